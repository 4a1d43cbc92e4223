# SPDX-License-Identifier: Apache-2.0
"""A bar on a terminal; elsewhere, in logs and notebooks, a line now and then of what takes long."""
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
SECONDS = 10  # between lines, and before the first
LINE = "{desc} {n_fmt} of {total_fmt} {unit}s, {elapsed} so far, about {remaining} to go"


class _Lines:
    """Where a bar would be drawn over and over: each time a line of its own on standard error, the last one once."""
    last = ""

    def write(self, text: str) -> None:
        line = text.strip()
        if line and line != self.last:
            print(line, file=sys.stderr, flush=True)
            self.last = line

    def flush(self) -> None:
        pass


def _style() -> dict[str, Any]:
    if sys.stderr.isatty():
        return {}
    return {"file": _Lines(), "delay": SECONDS, "mininterval": SECONDS, "maxinterval": SECONDS, "bar_format": LINE}


def progress(items: Iterable[T], unit: str, **more: Any) -> Iterable[T]:
    """The items, counted on standard error; more options are those of tqdm."""
    return tqdm(items, unit=unit, **_style(), **more)  # type: ignore[no-any-return]


def progress_bar(total: int, unit: str, **more: Any) -> Any:
    """A bar to be moved by its method update, for a with statement."""
    return tqdm(total=total, unit=unit, **_style(), **more)
