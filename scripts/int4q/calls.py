# SPDX-License-Identifier: Apache-2.0
"""The three commands of the program as functions."""
import json
import os
import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from int4q.arguments import Option, PathLike, arguments, refuse_own
from int4q.installation import find_program
from int4q.reports import Inspection, Json, Report, Restoration, make

if TYPE_CHECKING:
    import onnx

T = TypeVar("T")
Source: TypeAlias = "PathLike | bytes | bytearray | memoryview | onnx.ModelProto"


class Error(Exception):
    """The program refused; str() is the line that it said.

    status: its exit status: 1 could not do it, 2 wrong usage, 3 the model or a file is malformed or unsupported, 4 nothing
    to quantize, a size that cannot be met, or a requirement that does not hold; negative: the signal that ended it.
    report: its JSON, where it got as far.
    """

    def __init__(self, message: str, status: int, report: Json | None = None) -> None:
        super().__init__(message)
        self.message, self.status, self.report = message, status, report


class ToolWarning(UserWarning):
    """A line that the program said on standard error, and went on."""


def rewrite(src: Source, dst: PathLike | None = None, *, method: str | None = None, **options: Option) -> Report:
    """Quantize the weights of a model's Convs, as `int4q rewrite` does.

    src: a path, the bytes of a file, or an onnx.ModelProto.
    dst: a path, which must not exist unless force=True; None: the model goes to `report.model` (bytes), and
        `report.to_onnx()` gives it as onnx.ModelProto.
    method: "squant" (no images), "calibrated" (with calibration=FILE), or "absmax". By default squant; but with import_ none
        is passed, since one would have Convs of floats quantized too.
    options: those of `int4q rewrite --help`, with _ for -, and import_ for --import; X=False is --no-X where there is one:
        format="int8", block=32, dry_run=True, bias_correction=False,
        exclude=["model.23.*"], target_size="2M", rank="weights", topk=FILE or {name: sensitivity}, threads=1 ...
    """
    if method is None and not (options.get("import_") or options.get("import")):
        method = "squant"
    return _write(Report, "rewrite", src, dst, {"method": method, **options}, bool(options.get("dry_run")))


def restore(src: Source, dst: PathLike | None = None, **options: Option) -> Restoration:
    """Fold quantized weights back into float initializers, as `int4q restore` does. src and dst as for rewrite."""
    return _write(Restoration, "restore", src, dst, options, False)


def inspect(src: Source, *, reference: "Source | None" = None, require: str | Sequence[str] = (),
            **options: Option) -> Inspection:
    """Tell what the weights of a model's Convs are stored as, as `int4q inspect` does.

    reference: the model that it was made from: what each Conv lost, and all other differences.
    require: as "valid" or ["int4>=82", "size<9M"]; one that does not hold is an Error of status 4.
    options: those of `int4q inspect --help`, as stats=True.
    """
    refuse_own("inspect", options)
    with tempfile.TemporaryDirectory(prefix="int4q-") as name:
        folder = Path(name)
        path = _as_file(src, folder / "model.onnx")
        more = {} if reference is None else {"reference": _as_file(reference, folder / "reference.onnx")}
        document, said = _run("inspect", path, {**more, "require": require, **options}, folder)
    if not _is_path(src):
        document["model"]["path"] = None
    return make(Inspection, document, warnings=said)


def _write(kind: type[T], command: str, src: Source, dst: PathLike | None, options: Mapping[str, Option],
           dry_run: bool) -> T:
    """A command that writes a model."""
    refuse_own(command, options)
    if dst is not None and not isinstance(dst, str | os.PathLike):
        raise TypeError(f"dst: a path is wanted, not {type(dst).__name__}")
    if dst == "-":
        raise TypeError("dst: '-' is no path here; without dst the model is report.model")
    with tempfile.TemporaryDirectory(prefix="int4q-") as name:
        folder = Path(name)
        target, more = dst, dict(options)
        if target is None:
            target = folder / "output.onnx"
            more.setdefault("external_data", "inline")
        document, said = _run(command, _as_file(src, folder / "input.onnx"), {"output": target, **more}, folder)
        model = target.read_bytes() if dst is None and isinstance(target, Path) and not dry_run else None
    if not _is_path(src):
        document["input"]["path"] = None
    if dst is None:
        document["output"]["path"] = None
    return make(kind, document, warnings=said, model=model)


def _is_path(src: Source) -> bool:
    return isinstance(src, str | os.PathLike)


def _as_file(src: Source, path: Path) -> str:
    """Where the program finds the model; what is in memory is written to this path."""
    if isinstance(src, str | os.PathLike):
        return os.fspath(src)
    if isinstance(src, bytes | bytearray | memoryview):
        path.write_bytes(src)
    elif hasattr(src, "SerializeToString"):
        path.write_bytes(src.SerializeToString())
    else:
        raise TypeError(f"model: a path, bytes or an onnx.ModelProto is wanted, not {type(src).__name__}")
    return str(path)


def _in_python(said: str, path: str, folder: Path) -> str:
    """A line of the program in terms of Python: options as they are called here, no name of a file of ours."""
    if path.startswith(f"{folder}{os.sep}"):
        said = said.replace(path, "the model")
    return said.replace("-f replaces it, -o FILE takes another name", "force=True replaces it")


def _run(command: str, path: str, options: Mapping[str, Option], folder: Path) -> tuple[Json, tuple[str, ...]]:
    """(the report of the program, its lines on standard error)"""
    report = folder / "report.json"
    done = subprocess.run([find_program(), command, f"--json={report}", *arguments(command, options, folder), "--", path],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
                          encoding="utf-8", errors="replace")
    lines = tuple(line.removeprefix("int4q: ").removeprefix("warning: ") for line in done.stderr.splitlines())
    document = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
    if done.returncode or document is None:
        said = lines[-1] if lines else f"{command}: ended with status {done.returncode}"
        raise Error(_in_python(said, path, folder), done.returncode, document)
    for line in lines:
        warnings.warn(line, ToolWarning, stacklevel=4)
    return document, lines
