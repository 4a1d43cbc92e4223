# SPDX-License-Identifier: Apache-2.0
"""Candidate schemes: points of the curve of bits against loss, or, from measured sensitivities, Convs that stay large.

    int4q-lab make-schemes --model yolov10n.onnx -o tmp/schemes
    int4q-lab run-schemes tmp/schemes/schemes.json --images val2017 --annotations instances_val2017.json

For each method and each budget of --bits, each Conv gets the one of --choices that is predicted to pay most.
With --keep or --target in place of that, and a file of sensitivities: nothing kept; the K most sensitive Convs kept
(--keep) as float and as INT8 (--keep-format); and as many kept as fit into a size (--target).  --order byte ranks Convs by
what they lose a byte saved, instead of by what they lose.
--block 0,32 tries all that with a scale per output channel, and with one for each 32 weights; --activations float,uint8
with activations left alone, and in 8 bits with a scale a channel (its methods are called as calibrated+uint8).
Each scheme is a file NAME.json in the third shape of `int4q rewrite --topk` and a command in schemes.json, which also
tells the bytes to come.  Schemes that would give the same model are listed once.
"""
import argparse
import contextlib
import functools
import itertools
import json
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence

from int4q.lab.base.errors import Error, user_errors, warn
from int4q.lab.base.files import file_sha256, read_json, write_json
from int4q.lab.base.options import command_parser, listed, one_of
from int4q.lab.base.places import TMP
from int4q.lab.base.progress import progress
from int4q.lab.base.stamps import stamp
from int4q.lab.base.tool import add_tool_option, call_int4q, find_int4q, tool_version, versions
from int4q.lab.base.types import Row
from int4q.lab.models.session import files_of, load_model

ACTIVATIONS = ("float", "uint8", "int8", "uint6", "uint5", "uint4", "int4")
METHODS, FORMATS, ORDERS = ("absmax", "squant", "calibrated"), ("float", "int8"), ("loss", "byte")
BUDGETS, CHOICES = ("3.5", "4", "4.5", "5", "6"), "3,4,5,6,8"  # where the curve bends
Choice = tuple[str, str | None, list[str], str]  # name, order, options that decide what is kept, keep format


def read_sensitivities(path: str) -> tuple[list[Row], Row]:
    """([rows], the model that they were measured on or None)."""
    if path.lower().endswith(".onnx"):
        raise Error(f"{path}: a model goes to --model; here it is what sensitivity-sweep wrote")
    data = read_json(path)
    rows = data.get("layer_sensitivity") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows or not all(
            isinstance(r, dict) and "layer" in r and isinstance(r.get("sensitivity"), (int, float)) for r in rows):
        raise Error(f"{path}: no rows with layer and sensitivity, as sensitivity_sweep.py writes them")
    return rows, data.get("model") or {}


def scores(rows: Sequence[Row], order: str) -> dict[str, float]:
    """{layer: score}, higher is worse."""
    if order == "loss":
        return {r["layer"]: r["sensitivity"] for r in rows}
    if not all(r.get("bytes_saved", 0) > 0 for r in rows):
        raise Error("--order byte needs bytes_saved in every row, as sensitivity_sweep.py writes them")
    return {r["layer"]: r["sensitivity"] / r["bytes_saved"] for r in rows}


def choices(args: argparse.Namespace) -> list[Choice]:
    """[(name, order, options of int4q rewrite that decide what is kept, keep format)] for one method and block."""
    found: list[Choice] = [("keep0", None, [], "float")] if 0 in args.keep else []
    for order in args.order:
        mark = "" if order == "loss" else "-byte"
        for keep_format in args.keep_format:
            found += [(f"keep{k}-{keep_format}{mark}", order, ["--keep", str(k)], keep_format) for k in args.keep if k]
            found += [(f"size{t.replace('%', 'p')}-{keep_format}{mark}", order, ["--target-size", t], keep_format)
                      for t in args.target]
    return found


def plan(tool: str, model: str, options: Sequence[str]) -> Row:
    """int4q's report of a rewrite that is not done."""
    report: Row = json.loads(call_int4q(tool, "rewrite", model, "--dry-run", "--json", "-", *options))
    return report


def method_options(args: argparse.Namespace, method: str) -> list[str]:
    """Of a method as METHOD, or METHOD+ACTIVATIONS."""
    method, _, activations = method.partition("+")
    statistics = ["--calibration", os.path.abspath(args.calibration)] if method == "calibrated" or activations else []
    more = ["--activations", activations, "--activation-scales", "channel"] if activations else []
    return ["--method", method, *statistics, *more]


def listed_scheme(name: str, method: str, model: str, report: Row, options: Sequence[str]) -> Row:
    """What schemes.json tells of every scheme."""
    command = ["int4q", "rewrite", model, "-o", f"{name}.onnx", *options]
    return {"name": name, "method": method, "block": 0, "kept": 0, "keep_format": None, "order": None,
            "bytes": report["output"]["bytes"], "bits_per_weight": report["totals"]["bits_per_weight"],
            "predicted_loss": report["totals"]["predicted_loss"], "topk": None, "options": list(options),
            "command": shlex.join(command), "convs": []}


def budget_scheme(args: argparse.Namespace, tool: str, model: str, method: str, bits: str) -> tuple[Row, Row]:
    """One point of the curve, and int4q's report."""
    options = [*method_options(args, method), "--format", "packed-u8", "--choices", args.choices, "--bits", bits]
    report = plan(tool, model, options)
    return listed_scheme(f"{method}-{bits}bits", method, model, report, options), report


def scheme_name(method: str, block: int, choice: str) -> str:
    return "-".join([method, *([f"block{block}"] if block else []), choice])


def make_scheme(args: argparse.Namespace, tool: str, model: str, method: str, block: int, choice: Choice,
                tables: dict[str, str]) -> tuple[Row, Row]:
    """One scheme, whose file is still to be written, and int4q's report."""
    name, order, kept_by, keep_format = choice
    name = scheme_name(method, block, name)
    common = method_options(args, method) + (["--block", str(block)] if block else [])
    common += ["--keep-format", keep_format] if keep_format != "float" else []
    report = plan(tool, model, common + (["--topk", tables[order], *kept_by] if order else []))
    kept = [c["node"] or c["weight"] for c in report["convs"] if c["reason"] == "sensitive"]
    file = os.path.join(os.path.abspath(args.output), f"{name}.json")
    options = common + (["--topk", file] if kept else [])
    return {**listed_scheme(name, method, model, report, options), "block": block, "kept": len(kept),
            "keep_format": keep_format if kept else None, "order": order, "topk": file, "convs": kept}, report


def find_model(args: argparse.Namespace, measured: Row) -> str:
    model: str | None = args.model or measured.get("path")
    if not model or not os.path.exists(model):
        raise Error(f"{model or args.sensitivities}: no model there; name it with --model")
    if measured.get("sha256") and measured["sha256"] != file_sha256(model):
        warn(f"{model} is not the file that was measured")
    return os.path.abspath(model)


def candidates(args: argparse.Namespace, tool: str, model: str, rows: Sequence[Row],
               folder: str) -> Iterator[tuple[str, Callable[[], tuple[Row, Row]]]]:
    """(name, what makes the scheme and its report) of all that is asked for."""
    for method, bits in itertools.product(args.method, args.bits):
        yield f"{method}-{bits}bits", functools.partial(budget_scheme, args, tool, model, method, bits)
    tables = {order: os.path.join(folder, f"{order}.json") for order in args.order}
    for order, path in tables.items():
        write_json(path, scores(rows, order) if rows else {})
    for method, block, choice in itertools.product(args.method, args.block, choices(args)):
        yield scheme_name(method, block, choice[0]), functools.partial(make_scheme, args, tool, model, method, block, choice,
                                                                       tables)


def make_schemes(args: argparse.Namespace) -> list[Row]:
    """What goes into schemes.json, made anew only where something has changed; and the files of the schemes."""
    tool, path = find_int4q(args.int4q), os.path.join(args.output, "schemes.json")
    rows, measured = read_sensitivities(args.sensitivities) if args.sensitivities else ([], {})
    model = find_model(args, measured)
    options = {key: value for key, value in vars(args).items() if key != "int4q"}
    files = [*files_of(model, load_model(model)), *filter(None, [args.sensitivities, args.calibration])]
    made = stamp(options, files, versions(tool))
    found = known_schemes(path, made)
    if not found:
        found = list_schemes(args, tool, model, rows)
        write_json(path, {
            "model": model, "model_sha256": file_sha256(model), "int4q": tool_version(tool), "made": made,
            "sensitivities": args.sensitivities and os.path.abspath(args.sensitivities), "schemes": found})
    for scheme in found:
        if scheme["topk"]:
            write_json(scheme["topk"], {"excluded_onnx_nodes": scheme["convs"]})
    return found


def known_schemes(path: str, made: Row) -> list[Row]:
    """Those of a file that was made so; else none."""
    known = None
    with contextlib.suppress(Error):  # no such file, or another one, which goes
        known = read_json(path)
    return list(known["schemes"]) if isinstance(known, dict) and known.get("made") == made else []


def list_schemes(args: argparse.Namespace, tool: str, model: str, rows: Sequence[Row]) -> list[Row]:
    found, seen = [], set()
    with tempfile.TemporaryDirectory() as folder:
        for name, make in progress(list(candidates(args, tool, model, rows, folder)), "scheme"):
            try:
                scheme, report = make()
            except Error as error:  # a budget that cannot be met, nothing left to quantize
                warn(f"{name}: {error}")
                continue
            key = scheme["method"], tuple((c["storage"], c["block"]) for c in report["convs"])
            if key not in seen:
                seen.add(key)
                found.append(scheme)
    if not found:
        raise Error("no scheme is possible")
    return found


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("sensitivities", metavar="SENS", nargs="?",
                        help="JSON of sensitivity_sweep.py, for --keep and --target")
    parser.add_argument("--model", help="default: the one that SENS names")
    parser.add_argument("--bits", type=listed(str), metavar="LIST",
                        help=f"budgets, stored bits a weight ({','.join(BUDGETS)}; none with --keep or --target)")
    parser.add_argument("--choices", default=CHOICES, metavar="LIST", help=f"what a Conv may become with --bits ({CHOICES})")
    parser.add_argument("--method", type=listed(one_of(METHODS)), default=["absmax", "squant"], metavar="LIST",
                        help=f"of {', '.join(METHODS)} (absmax,squant)")
    parser.add_argument("--activations", type=listed(one_of(ACTIVATIONS)), default=["float"], metavar="LIST",
                        help=f"of {', '.join(ACTIVATIONS)} (float)")
    parser.add_argument("--calibration", metavar="FILE",
                        help="statistics of calibrate.py, for `calibrated` and --activations")
    parser.add_argument("--block", type=listed(int), default=[0], metavar="LIST",
                        help="weights that share a scale; 0: those of an output channel (0)")
    parser.add_argument("--keep", type=listed(int), default=[], metavar="LIST",
                        help="numbers of Convs, as 0,5,10,20")
    parser.add_argument("--keep-format", type=listed(one_of(FORMATS)), default=list(FORMATS), metavar="LIST",
                        help="(float,int8)")
    parser.add_argument("--target", type=listed(str), default=[], metavar="LIST", help="sizes, as 2M,20%%")
    parser.add_argument("--order", type=listed(one_of(ORDERS)), default=["loss"], metavar="LIST",
                        help="of loss, byte (loss)")
    parser.add_argument("-o", "--output", default=os.path.join(TMP, "schemes"), metavar="DIR", help="(tmp/schemes)")
    add_tool_option(parser)
    args = parser.parse_args(argv)
    if args.bits is None:
        args.bits = [] if args.keep or args.target else list(BUDGETS)
    if not args.sensitivities and (args.keep or args.target or not args.model):
        parser.error("without SENS there is --model, and neither --keep nor --target")
    if any(n < 0 for n in args.keep + args.block):
        parser.error("--keep and --block: at least 0")
    if ("calibrated" in args.method or args.activations != ["float"]) and not args.calibration:
        parser.error("--method calibrated and --activations need --calibration")
    args.method = [m if a == "float" else f"{m}+{a}" for m in args.method for a in args.activations]
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("make_schemes.py"):
        for scheme in make_schemes(args):
            print(f"{scheme['bytes']:12d} bytes  {scheme['name']}")
        print(os.path.join(args.output, "schemes.json"))
