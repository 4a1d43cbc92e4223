# SPDX-License-Identifier: Apache-2.0
"""Check that models are whole and run: the full onnx.checker, a load, one inference on random input from a seed.

    smoke_run.py out.onnx --reference yolov10n.onnx

ONNX Runtime runs them on the CPU as it would by default, weights decoded at every run.  The summary (--out) is the same
from run to run: versions, size, Convs by storage and the names of those in 4 bits, shape and digest of each output.
With a reference, each output is compared with its: largest error, largest error by largest magnitude, cosine, SQNR.
Exit status 1 when a model fails, or has an output that is not finite.
"""
import argparse
import hashlib
import json
import math
import os
import sys

import numpy as np
import onnx
from int4q.lab.run import TMP, add_tool_option, call_int4q, find_int4q, user_errors, versions, write_json
from int4q.lab.commands.calibrate import file_sha256
from int4q.lab.detectors import Error, dims, inputs_of, load_model, one_line, open_session
from tqdm import tqdm

SIDE = 640  # of a picture where neither the model nor the user says


def random_feeds(model, size, seed):
    """{input: array}, uniform in 0..1; open dimensions become 1, those of a picture's sides `size`."""
    random, feeds = np.random.default_rng(seed), {}
    for value in inputs_of(model.graph):
        shape = dims(value)
        picture = len(shape) == 4 and shape[1] == 3
        shape = [d or (size if picture and axis > 1 else 1) for axis, d in enumerate(shape)]
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        feeds[value.name] = random.random(shape).astype(kind)
    return feeds


def run_once(path, model, args):
    """{output: array}"""
    session = open_session(path, args.threads, fold=False)
    names = [o.name for o in session.get_outputs()]
    try:
        return dict(zip(names, session.run(None, random_feeds(model, args.size, args.seed))))
    except Exception as error:  # ONNX Runtime's own classes of errors
        raise Error(f"{path}: ONNX Runtime: {one_line(error)}") from error


def figure(x):
    """Six digits; None for what JSON has no number for."""
    return float(f"{x:.6g}") if math.isfinite(x) else None


def compare(got, wanted):
    """Figures of one output against the reference's; None where there is nothing to compare."""
    if wanted is None or got.shape != wanted.shape or not got.size:
        return None
    a, b = got.astype(np.float64).ravel(), wanted.astype(np.float64).ravel()
    largest, error = np.abs(b).max(), a - b
    with np.errstate(all="ignore"):
        return {"max_error": figure(np.abs(error).max()), "relative_error": figure(np.abs(error).max() / largest),
                "cosine": figure(a @ b / np.sqrt((a @ a) * (b @ b))),
                "sqnr_db": figure(10 * np.log10((b @ b) / (error @ error)))}


def describe_output(name, array, reference):
    row = {"name": name, "type": str(array.dtype), "shape": list(array.shape),
           "sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}
    if reference is not None:
        row["reference"] = compare(array, reference.get(name))
    return row


def describe_convs(tool, path):
    """What int4q inspect says: Convs by storage, the names of those in 4 bits, problems."""
    said = json.loads(call_int4q(tool, "inspect", path, "-q", "--json", "-", statuses=(0, 3)) or "{}")
    if not said:
        raise Error(f"{path}: int4q inspect cannot read it")
    totals = {key: n for key, n in said["totals"].items() if n and key != "float_bytes"}
    small = [c["node"] or c["weight"] for c in said["convs"] if c["storage"] in ("int4", "uint4", "packed-u8")]
    return {"opset": said["model"]["opsets"], "ir_version": said["model"]["ir_version"], "convs": totals,
            "four_bits": small, "problems": said["problems"]}


def check_model(path, tool, args, reference):
    """(row for the summary, outputs); raises Error where the model cannot be read, checked or run."""
    model = load_model(path)
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:  # classes of the package and of protobuf
        raise Error(f"{path}: onnx.checker: {one_line(error)}") from error
    row = {"model": path, "sha256": file_sha256(path), "bytes": os.path.getsize(path), "ok": True, "error": None,
           **describe_convs(tool, path)}
    outputs = run_once(path, model, args)
    row["outputs"] = [describe_output(name, array, reference) for name, array in outputs.items()]
    broken = [name for name, a in outputs.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]
    if row["problems"] or broken:
        row["ok"] = False
        row["error"] = f"{path}: {row['problems'][0]}" if row["problems"] else f"{path}: output {broken[0]} is not finite"
    return row, outputs


def try_model(path, tool, args, reference):
    """A row, whatever happens."""
    try:
        return check_model(path, tool, args, reference)[0]
    except Error as error:
        return {"model": path, "ok": False, "error": str(error)}


def line_of(row):
    if not row["ok"]:
        return f"failed: {row['error']}"
    shapes = ", ".join(f"{o['name']} {o['shape']}" for o in row["outputs"])
    worst = [o["reference"]["sqnr_db"] for o in row["outputs"] if o.get("reference")]
    near = [w for w in worst if w is not None]
    against = f", {min(near):.1f} dB" if near else ", equal to the reference" if worst else ""
    return f"{row['model']}: ok, {row['bytes']} bytes, {len(row['four_bits'])} Convs in 4 bits, {shapes}{against}"


def smoke(args):
    tool = find_int4q(args.int4q)
    reference = None
    if args.reference:
        row, reference = check_model(args.reference, tool, args, None)
        if not row["ok"]:
            raise Error(row["error"])
    rows = [try_model(path, tool, args, reference) for path in tqdm(args.models, unit="model", disable=None)]
    for row in rows:
        print(line_of(row), file=sys.stdout if row["ok"] else sys.stderr)
    write_json(args.out, {"seed": args.seed, "reference": args.reference, "versions": versions(tool), "models": rows})
    return all(row["ok"] for row in rows)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--reference", metavar="MODEL", help="the float model")
    parser.add_argument("--size", type=int, default=SIDE, metavar="N", help=f"sides that a model leaves open ({SIDE})")
    parser.add_argument("--seed", type=int, default=0, help="of the input")
    parser.add_argument("--out", default=os.path.join(TMP, "smoke.json"), metavar="FILE", help="(tmp/smoke.json)")
    parser.add_argument("-j", "--threads", type=int, default=1, metavar="N", help="of ONNX Runtime (1)")
    add_tool_option(parser)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    with user_errors("smoke_run.py"):
        sys.exit(0 if smoke(args) else 1)
