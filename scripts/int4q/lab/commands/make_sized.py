# SPDX-License-Identifier: Apache-2.0
"""Make an ONNX model of a given size and number of nodes, for measuring speed.

    int4q-lab make-sized --bytes 500M --nodes 200 -o big.onnx
    int4q-lab make-sized --bytes 3G --nodes 200 --external -o huge.onnx

A chain of Conv and Relu in turn, all Convs of one shape, with random weights from a fixed seed.  Needs the packages
onnx and numpy only, and little memory with --external, where the weights go to OUTPUT.data.
"""
import argparse
import re
from collections.abc import Sequence

import onnx

from int4q.lab.base.errors import user_errors
from int4q.lab.base.options import command_parser
from int4q.lab.models.sized import make_model

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def size(text: str) -> int:
    """'500M' as a number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no size; such are 800000, 500M, 3G")
    return int(float(match[1]) * UNITS[match[2]])


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--bytes", type=size, default=size("4M"), help="of all weights, such as 500M (4M)")
    parser.add_argument("--nodes", type=int, default=200, help="half of them Convs (200)")
    parser.add_argument("--external", action="store_true", help="weights go to OUTPUT.data")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    args = parser.parse_args(argv)
    if args.nodes < 2 or args.bytes < 4:
        parser.error("--nodes and --bytes: at least two nodes and one weight")
    if args.bytes > 1.9e9 and not args.external:
        parser.error("more than 1.9 GB of weights need --external")
    with user_errors("make_sized.py"):
        onnx.save(make_model(args.bytes, args.nodes, args.output, args.external), args.output)
