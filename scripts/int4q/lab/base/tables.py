# SPDX-License-Identifier: Apache-2.0
"""Numbers and tables as people read them."""
import csv
import io
from collections.abc import Iterable, Sequence

from int4q.lab.base.files import write_whole
from int4q.lab.base.types import Row


def shown(value: float | None, form: str = ".2f") -> str:
    """A number as people read it; nothing where there is none."""
    return "" if value is None else format(value, form)


def csv_text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Those columns of the rows, under their names; what a row has not stays empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    write_whole(path, csv_text(columns, rows))
