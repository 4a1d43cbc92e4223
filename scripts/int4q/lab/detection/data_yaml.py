# SPDX-License-Identifier: Apache-2.0
"""data.yaml, the file in which ultralytics says where the pictures of a data set are and what its classes are called."""
import os
from typing import Any

from int4q.lab.base.errors import Error, one_line, warn


def is_data_yaml(path: str) -> bool:
    return path.lower().endswith((".yaml", ".yml")) and not os.path.isdir(path)


def read_data_yaml(path: str) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped] # comes with Dask
    try:
        with open(path, encoding="utf-8") as file:
            said = yaml.safe_load(file)
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise Error(f"{path}: {one_line(error)}") from error
    if not isinstance(said, dict) or not (said.get("train") or said.get("val")):
        raise Error(f"{path}: no data.yaml: it has neither train nor val")
    return said


def data_places(path: str, split: str) -> list[str]:
    """Where the pictures of a split are. With a warning val stands for train, but never train for val."""
    said = read_data_yaml(path)
    given = said.get(split) or said.get("val")
    if not given:
        raise Error(f"{path}: val is missing: it does not say which pictures to evaluate on")
    if not said.get(split):
        warn(f"{path}: {split} is missing: pictures of val stand for it")
    here, root = os.path.dirname(path), str(said.get("path") or "")
    places = [given] if isinstance(given, str) else list(map(str, given))
    return [place_of(place, [os.path.join(here, root), root, here]) for place in places]


def place_of(place: str, roots: list[str]) -> str:
    """From the first root that has it. What Roboflow writes, ../train/images, is meant from the folder of its file."""
    inside = [place.removeprefix("../")] if place.startswith("../") else []
    paths = [os.path.join(root, p) for p in (place, *inside) for root in roots]
    return next(filter(os.path.exists, paths), paths[0])


def class_list(path: str) -> list[str]:
    """What the classes are called, from a list or {number: name}; "" where only their number is said."""
    said = read_data_yaml(path)
    names, count = said.get("names"), said.get("nc")
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[i] for i in range(len(names))]
    if names is None and isinstance(count, int):
        names = [""] * count
    if not isinstance(names, list) or not names:
        raise Error(f"{path}: names has no list of the classes, counted from 0")
    if isinstance(count, int) and count != len(names):
        raise Error(f"{path}: nc is {count}, but there are {len(names)} names")
    return list(map(str, names))


def has_keypoints(path: str) -> bool:
    """Whether labels have points of a pose behind their box."""
    return bool(read_data_yaml(path).get("kpt_shape"))
