# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that evaluate: pictures, and what is known to be in them."""
import argparse
from collections.abc import Sequence

from int4q.lab.detection.data_yaml import is_data_yaml


def add_truth_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", metavar="PLACE", help="pictures: a folder, a list (.txt), or a data.yaml of ultralytics")
    parser.add_argument("--annotations", metavar="FILE",
                        help="COCO instances of these images (JSON), or the data.yaml, whose labels lie beside them; "
                        "a data.yaml need be named once")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images only")


def check_truth(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Where one of both is a data.yaml it stands for the other too."""
    args.images, args.annotations = both([args.images, args.annotations])
    if not args.images or not args.annotations:
        parser.error("--images and --annotations are needed, or a data.yaml as one of them")


def both(given: Sequence[str | None]) -> list[str | None]:
    """What is not given is the data.yaml that is."""
    data = next(filter(None, map(data_yaml, given)), None)
    return [g or data for g in given]


def data_yaml(place: str | None) -> str | None:
    """The place, if it is one."""
    return place if place and is_data_yaml(place) else None
