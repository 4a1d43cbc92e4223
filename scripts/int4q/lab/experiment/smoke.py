# SPDX-License-Identifier: Apache-2.0
"""Whether a model can be used: checker, load, one run on random input, how far it is from a reference."""
import hashlib
import json
import math
import os
from collections import Counter
from typing import NamedTuple

import numpy as np
import onnx

from int4q.lab.base.errors import Error, one_line
from int4q.lab.base.files import file_sha256
from int4q.lab.base.tool import call_int4q
from int4q.lab.base.types import Array, Feeds, Row
from int4q.lab.detection.metadata import input_side
from int4q.lab.detection.recognition import SIDE
from int4q.lab.experiment.likeness import Answers, told
from int4q.lab.models.operators import library_digest
from int4q.lab.models.session import dims, inputs_of, load_model, open_session, run_session


class Run(NamedTuple):
    """How a model is run once."""
    threads: int = 1
    size: int | None = None  # of sides that the model leaves open; None: as its metadata say
    seed: int = 0     # of the input


def random_feeds(model: onnx.ModelProto, size: int | None, seed: int) -> Feeds:
    """{input: array}, uniform in 0..1; open dimensions become 1, those of a picture's sides `size`, or what metadata say."""
    random, feeds = np.random.default_rng(seed), {}
    open_sides = [size] if size else input_side(model) or [SIDE]
    for value in inputs_of(model.graph):
        sides = dims(value)
        picture = len(sides) == 4 and sides[1] == 3
        shape = [d or (open_sides[0 if axis == 2 else -1] if picture and axis > 1 else 1) for axis, d in enumerate(sides)]
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        feeds[value.name] = random.random(shape).astype(kind)
    return feeds


def run_once(path: str, model: onnx.ModelProto, how: Run) -> Feeds:
    """{output: array}"""
    session = open_session(path, how.threads, fold=False)
    values = run_session(path, session, random_feeds(model, how.size, how.seed))
    return dict(zip((o.name for o in session.get_outputs()), values, strict=True))


def figure(x: float) -> float | None:
    """Six digits; None for what JSON has no number for."""
    return float(f"{x:.6g}") if math.isfinite(x) else None


def compare(got: Array, wanted: Array | None) -> Row | None:
    """Figures of one output against the reference's; None where there is nothing to compare."""
    if wanted is None or got.shape != wanted.shape or not got.size:
        return None
    a, b = got.astype(np.float64).ravel(), wanted.astype(np.float64).ravel()
    largest, error = np.abs(b).max(), a - b
    with np.errstate(all="ignore"):
        worst = float(np.abs(error).max())
        return {"max_error": figure(worst), "relative_error": figure(float(worst / largest)),
                "cosine": figure(float(a @ b / np.sqrt((a @ a) * (b @ b)))),
                "sqnr_db": figure(float(10 * np.log10((b @ b) / (error @ error))))}


def describe_output(name: str, array: Array, reference: Feeds | None) -> Row:
    row: Row = {"name": name, "type": str(array.dtype), "shape": list(array.shape),
           "sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}
    if reference is not None:
        row["reference"] = compare(array, reference.get(name))
    return row


def describe_convs(tool: str, path: str) -> Row:
    """What int4q inspect says: Convs by storage, the names of those in 4 bits, {bits: activations}, problems."""
    said = json.loads(call_int4q(tool, "inspect", path, "-q", "--json", "-", statuses=(0, 3)) or "{}")
    if not said:
        raise Error(f"{path}: int4q inspect cannot read it")
    totals = {key: n for key, n in said["totals"].items() if n and key != "float_bytes"}
    small = [c["node"] or c["weight"] for c in said["convs"] if c["storage"] in ("int4", "uint4", "packed-u8")]
    activations = Counter(a["bits"] for a in said.get("activations", []))
    counts = {str(bits): n for bits, n in sorted(activations.items())}
    return {"opset": said["model"]["opsets"], "ir_version": said["model"]["ir_version"], "convs": totals,
            "four_bits": small, "activations": counts, "problems": said["problems"]}


def check_model(path: str, tool: str, how: Run, reference: Feeds | None) -> tuple[Row, Feeds]:
    """(row for the summary, outputs); raises Error where the model cannot be read, checked or run."""
    model = load_model(path)
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:  # classes of the package and of protobuf
        raise Error(f"{path}: onnx.checker: {one_line(error)}") from error
    row = {"model": path, "sha256": file_sha256(path), "bytes": os.path.getsize(path), "ok": True, "error": None,
           "ops_library": library_digest(model), **describe_convs(tool, path)}
    outputs = run_once(path, model, how)
    row["outputs"] = [describe_output(name, array, reference) for name, array in outputs.items()]
    broken = [name for name, a in outputs.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]
    if row["problems"] or broken:
        row["ok"] = False
        row["error"] = f"{path}: {row['problems'][0]}" if row["problems"] else f"{path}: output {broken[0]} is not finite"
    return row, outputs


def try_model(path: str, tool: str, how: Run, reference: Feeds | None, answers: Answers | None = None) -> Row:
    """A row, whatever happens; `answers` of the reference, where it is a detector, to compare with."""
    try:
        row = check_model(path, tool, how, reference)[0]
        if answers:
            row["likeness"] = answers.likeness(path)
        return row
    except Error as error:
        return {"model": path, "ok": False, "error": str(error)}


def line_of(row: Row) -> str:
    if not row["ok"]:
        return f"failed: {row['error']}"
    shapes = ", ".join(f"{o['name']} {o['shape']}" for o in row["outputs"])
    worst = [o["reference"]["sqnr_db"] for o in row["outputs"] if o.get("reference")]
    near = [w for w in worst if w is not None]
    against = f", {min(near):.1f} dB" if near else ", equal to the reference" if worst else ""
    if not worst and any("reference" in o for o in row["outputs"]):
        against = ", not compared: no output has name and shape of one of the reference's"
    if row.get("likeness") and near:
        against = f", {told(row['likeness'])}"
    inputs = "".join(f", {n} activations in {bits}" for bits, n in row["activations"].items())
    return f"{row['model']}: ok, {row['bytes']} bytes, {len(row['four_bits'])} Convs in 4 bits{inputs}, {shapes}{against}"
