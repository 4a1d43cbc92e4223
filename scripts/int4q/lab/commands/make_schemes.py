# SPDX-License-Identifier: Apache-2.0
"""Candidate schemes from measured sensitivities: which Convs stay large, as what, and how the others are quantized.

    make_schemes.py sens.json -o tmp/schemes
    run_schemes.py tmp/schemes/schemes.json --images val2017 --annotations instances_val2017.json

For each method: nothing kept; the K most sensitive Convs kept (--keep) as float and as INT8 (--keep-format); and as many
kept as fit into a size (--target).  --order byte ranks Convs by what they lose a byte saved, instead of by what they lose.
--block 0,32 tries all that with a scale per output channel, and with one for each 32 weights.
Each scheme is a file NAME.json in the third shape of `int4q rewrite --topk` and a command in schemes.json, which also
tells the bytes to come.  Schemes that would give the same model are listed once.
"""
import argparse
import itertools
import json
import os
import shlex
import sys
import tempfile

from int4q.lab.run import TMP, add_tool_option, call_int4q, find_int4q, read_json, tool_version, user_errors, write_json
from int4q.lab.commands.calibrate import file_sha256
from int4q.lab.detectors import Error
from tqdm import tqdm

METHODS, FORMATS, ORDERS = ("absmax", "squant", "calibrated"), ("float", "int8"), ("loss", "byte")


def read_sensitivities(path):
    """([rows], the model that they were measured on or None)."""
    data = read_json(path)
    rows = data.get("layer_sensitivity") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows or not all(
            isinstance(r, dict) and "layer" in r and isinstance(r.get("sensitivity"), (int, float)) for r in rows):
        raise Error(f"{path}: no rows with layer and sensitivity, as sensitivity_sweep.py writes them")
    return rows, data.get("model") or {}


def scores(rows, order):
    """{layer: score}, higher is worse."""
    if order == "loss":
        return {r["layer"]: r["sensitivity"] for r in rows}
    if not all(r.get("bytes_saved", 0) > 0 for r in rows):
        raise Error("--order byte needs bytes_saved in every row, as sensitivity_sweep.py writes them")
    return {r["layer"]: r["sensitivity"] / r["bytes_saved"] for r in rows}


def choices(args):
    """[(name, order, options of int4q rewrite that decide what is kept, keep format)] for one method and block."""
    found = [("keep0", None, [], "float")] if 0 in args.keep else []
    for order in args.order:
        mark = "" if order == "loss" else "-byte"
        for keep_format in args.keep_format:
            found += [(f"keep{k}-{keep_format}{mark}", order, ["--keep", str(k)], keep_format) for k in args.keep if k]
            found += [(f"size{t.replace('%', 'p')}-{keep_format}{mark}", order, ["--target-size", t], keep_format)
                      for t in args.target]
    return found


def plan(tool, model, options):
    """int4q's report of a rewrite that is not done."""
    return json.loads(call_int4q(tool, "rewrite", model, "--dry-run", "--json", "-", *options))


def scheme_name(method, block, choice):
    return "-".join([method, *([f"block{block}"] if block else []), choice])


def make_scheme(args, tool, model, method, block, choice, tables):
    """One scheme; its file is still to be written."""
    name, order, kept_by, keep_format = choice
    name = scheme_name(method, block, name)
    common = ["--method", method] + (["--calibration", os.path.abspath(args.calibration)] if method == "calibrated" else [])
    common += ["--block", str(block)] if block else []
    common += ["--keep-format", keep_format] if keep_format != "float" else []
    report = plan(tool, model, common + (["--topk", tables[order], *kept_by] if order else []))
    kept = [c["node"] or c["weight"] for c in report["convs"] if c["reason"] == "sensitive"]
    file = os.path.join(os.path.abspath(args.output), f"{name}.json")
    options = common + (["--topk", file] if kept else [])
    command = ["int4q", "rewrite", model, "-o", f"{name}.onnx", *options]
    return {"name": name, "method": method, "block": block, "kept": len(kept), "keep_format": keep_format if kept else None,
            "order": order, "bytes": report["output"]["bytes"], "topk": file, "options": options,
            "command": shlex.join(command), "convs": kept}


def make_schemes(args):
    tool = find_int4q(args.int4q)
    rows, measured = read_sensitivities(args.sensitivities)
    model = args.model or measured.get("path")
    if not model or not os.path.exists(model):
        raise Error(f"{model or args.sensitivities}: no model there; name it with --model")
    if measured.get("sha256") and measured["sha256"] != file_sha256(model):
        print(f"make_schemes.py: {model} is not the file that was measured", file=sys.stderr)
    found, seen = [], set()
    with tempfile.TemporaryDirectory() as folder:
        tables = {order: os.path.join(folder, f"{order}.json") for order in args.order}
        for order, path in tables.items():
            write_json(path, scores(rows, order))
        todo = list(itertools.product(args.method, args.block, choices(args)))
        for method, block, choice in tqdm(todo, unit="scheme", disable=None):
            try:
                scheme = make_scheme(args, tool, os.path.abspath(model), method, block, choice, tables)
            except Error as error:  # a size that cannot be met, nothing left to quantize
                print(f"make_schemes.py: {scheme_name(method, block, choice[0])}: {error}", file=sys.stderr)
                continue
            key = method, block, scheme["keep_format"], tuple(scheme["convs"])
            if key not in seen:
                seen.add(key)
                found.append(scheme)
                write_json(scheme["topk"], {"excluded_onnx_nodes": scheme["convs"]})
    if not found:
        raise Error("no scheme is possible")
    write_json(os.path.join(args.output, "schemes.json"), {
        "model": os.path.abspath(model), "model_sha256": file_sha256(model), "int4q": tool_version(tool),
        "sensitivities": os.path.abspath(args.sensitivities), "schemes": found})
    return found


def listed(known=None):
    """A type for argparse: values separated by commas."""
    def read(text):
        values = [v.strip() for v in text.split(",") if v.strip()]
        if known is None:
            return values
        if known is int:
            return [int(v) for v in values]
        for value in values:
            if value not in known:
                raise argparse.ArgumentTypeError(f"{value}: none of {', '.join(known)}")
        return values
    read.__name__ = "list"
    return read


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sensitivities", metavar="SENS", help="JSON of sensitivity_sweep.py")
    parser.add_argument("--model", help="default: the one that SENS names")
    parser.add_argument("--method", type=listed(METHODS), default=["absmax", "squant"], metavar="LIST",
                        help=f"of {', '.join(METHODS)} (absmax,squant)")
    parser.add_argument("--calibration", metavar="FILE", help="statistics of calibrate.py, for `calibrated`")
    parser.add_argument("--block", type=listed(int), default=[0], metavar="LIST",
                        help="weights that share a scale; 0: those of an output channel (0)")
    parser.add_argument("--keep", type=listed(int), default=[0, 5, 10, 20], metavar="LIST", help="(0,5,10,20)")
    parser.add_argument("--keep-format", type=listed(FORMATS), default=list(FORMATS), metavar="LIST", help="(float,int8)")
    parser.add_argument("--target", type=listed(), default=[], metavar="LIST", help="sizes, as 2M,20%%")
    parser.add_argument("--order", type=listed(ORDERS), default=["loss"], metavar="LIST", help="of loss, byte (loss)")
    parser.add_argument("-o", "--output", default=os.path.join(TMP, "schemes"), metavar="DIR", help="(tmp/schemes)")
    add_tool_option(parser)
    args = parser.parse_args(argv)
    if any(n < 0 for n in args.keep + args.block):
        parser.error("--keep and --block: at least 0")
    if "calibrated" in args.method and not args.calibration:
        parser.error("--method calibrated needs --calibration")
    return args


def main(argv=None):
    args = parse(argv)
    with user_errors("make_schemes.py"):
        for scheme in make_schemes(args):
            print(f"{scheme['bytes']:12d} bytes  {scheme['name']}")
        print(os.path.join(args.output, "schemes.json"))
