# SPDX-License-Identifier: Apache-2.0
"""Which category of the annotations each class of a model is: what is taken for another one costs all of the mAP."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from int4q.lab.base.errors import Error, warn_once
from int4q.lab.base.types import Array

NONE = -1  # no category: what is found of the class does not count


class Category(NamedTuple):
    """A category of COCO annotations."""
    id: int
    name: str  # "" where they do not say


def plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def some(names: Sequence[str]) -> str:
    return ", ".join(repr(n) for n in names[:3]) + (", ..." if len(names) > 3 else "")


def by_position(path: str, count: int | None, categories: Sequence[Category]) -> Array:
    """The n-th class is the n-th category, where there are as many."""
    if count is not None and count != len(categories):
        raise Error(f"{path}: {count} classes, but the annotations have {len(categories)} categories, and the model "
                    "does not say what its classes are called")
    return np.array([c.id for c in categories], np.int64)


def by_name(path: str, names: Sequence[str], categories: Sequence[Category]) -> Array:
    """Each class is the category of its name; as many of both are taken in their order where some names differ."""
    known = {plain(c.name): c.id for c in categories}
    ids = [known.get(plain(n), NONE) for n in names]
    others = [n for n, i in zip(names, ids, strict=True) if i == NONE]
    if others and len(names) == len(categories):
        differ = next((n, c.name) for n, c in zip(names, categories, strict=True) if plain(n) != plain(c.name))
        warn_once(f"class {differ[0]!r} is taken for category {differ[1]!r}: as many of both, in their order", path)
        return by_position(path, len(names), categories)
    if len(others) == len(names):
        raise Error(f"{path}: none of its {len(names)} classes ({some(names)}) is among the {len(categories)} categories of "
                    f"the annotations ({some([c.name for c in categories])})")
    if others:
        warn_once(f"{len(others)} of its {len(names)} classes are no categories of the annotations, and do not count: "
                  f"{some(others)}", path)
    return np.array(ids, np.int64)


def says_nothing(names: Sequence[str]) -> bool:
    """Each is called by its number, as ultralytics calls those that nobody named."""
    return all(plain(name) in (str(i), f"class{i}", f"class {i}") for i, name in enumerate(names))


def match_classes(path: str, names: Sequence[str] | None, count: int | None, categories: Sequence[Category]) -> Array:
    """The id of the category of each class, or NONE; `count` classes, where the outputs tell."""
    if names and count in (None, len(names)):
        if all(c.name for c in categories) and not says_nothing(names):
            return by_name(path, names, categories)
        count = len(names)
    return by_position(path, count, categories)
