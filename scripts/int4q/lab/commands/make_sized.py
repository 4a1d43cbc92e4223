# SPDX-License-Identifier: Apache-2.0
"""Make an ONNX model of a given size and number of nodes, for measuring speed.

    make_sized.py --bytes 500M --nodes 200 -o big.onnx
    make_sized.py --bytes 3G --nodes 200 --external -o huge.onnx

A chain of Conv and Relu in turn, all Convs of one shape, with random weights from a fixed seed.  Needs the packages
onnx and numpy only, and little memory with --external, where the weights go to OUTPUT.data.
"""
import argparse
import math
import os
import re
import sys

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, helper

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def size(text):
    """'500M' as a number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no size; such are 800000, 500M, 3G")
    return int(float(match[1]) * UNITS[match[2]])


def shape_of(weights):
    """A shape [c, c, k, k] of about so many weights."""
    kernel = 3 if weights >= 9 * 16 else 1
    return [max(1, round(math.sqrt(weights / kernel**2)))] * 2 + [kernel] * 2


def make_weights(count, shape, output, external):
    """The initializers, no two of them equal; external payloads are written on the way."""
    values = np.random.default_rng(0).standard_normal(math.prod(shape), np.float32)
    with open(output + ".data" if external else os.devnull, "wb") as file:
        for i in range(count):
            data = (values * np.float32(1 + i / count)).tobytes()
            tensor = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=shape, raw_data=data)
            if external:
                external_data_helper.set_external_data(tensor, os.path.basename(file.name), file.tell(), len(data))
                tensor.ClearField("raw_data")
                file.write(data)
            yield tensor


def make_model(size_bytes, nodes, output, external):
    convs = nodes // 2
    shape = shape_of(size_bytes / 4 / convs)
    values = ["x", *(f"v{i}" for i in range(1, 2 * convs)), "y"]
    chain = []
    for i in range(convs):
        before, between, after = values[2 * i:2 * i + 3]
        chain.append(helper.make_node("Conv", [before, f"w{i}"], [between], name=f"conv{i}", pads=[shape[2] // 2] * 4))
        chain.append(helper.make_node("Relu", [between], [after], name=f"relu{i}"))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, shape[0], 8, 8]) for n in "xy"]
    graph = helper.make_graph(chain, "sized", ends[:1], ends[1:], list(make_weights(convs, shape, output, external)))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=size, default=size("4M"), help="of all weights, such as 500M (4M)")
    parser.add_argument("--nodes", type=int, default=200, help="half of them Convs (200)")
    parser.add_argument("--external", action="store_true", help="weights go to OUTPUT.data")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    args = parser.parse_args(argv)
    if args.nodes < 2 or args.bytes < 4:
        parser.error("--nodes and --bytes: at least two nodes and one weight")
    if args.bytes > 1.9e9 and not args.external:
        parser.error("more than 1.9 GB of weights need --external")
    try:
        onnx.save(make_model(args.bytes, args.nodes, args.output, args.external), args.output)
    except OSError as error:
        sys.exit(f"make_sized.py: {error.filename or args.output}: {error.strerror}")
