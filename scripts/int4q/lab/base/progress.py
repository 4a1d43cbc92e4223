# SPDX-License-Identifier: Apache-2.0
"""A bar on a terminal, and nothing elsewhere."""
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], unit: str, **more: Any) -> Iterable[T]:
    """The items, counted on standard error; more options are those of tqdm."""
    return tqdm(items, unit=unit, disable=None, **more)  # type: ignore[no-any-return]


def progress_bar(total: int, unit: str, **more: Any) -> Any:
    """A bar to be moved by its method update, for a with statement."""
    return tqdm(total=total, unit=unit, disable=None, **more)
