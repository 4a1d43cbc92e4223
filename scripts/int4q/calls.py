# SPDX-License-Identifier: Apache-2.0
"""The three commands of the program as functions."""
import json
import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from int4q.installation import find_program
from int4q.reports import Inspection, Json, Report, Restoration, make

if TYPE_CHECKING:
    import onnx

T = TypeVar("T")
PathLike: TypeAlias = str | os.PathLike[str]
Source: TypeAlias = "PathLike | bytes | onnx.ModelProto"
Option: TypeAlias = PathLike | bool | int | float | Sequence[PathLike] | Mapping[str, Any] | None
REPEATABLE = ("include", "exclude", "include_from", "exclude_from", "require")


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


def rewrite(src: Source, dst: PathLike | None = None, *, method: str = "squant", **options: Option) -> Report:
    """Quantize the weights of a model's Convs, as `int4q rewrite` does.

    src: a path, the bytes of a file, or an onnx.ModelProto.
    dst: a path, which must not exist unless force=True; None: the model goes to `report.model` (bytes), and
        `report.to_onnx()` gives it as onnx.ModelProto.
    method: "squant" (no images), "calibrated" (with calibration=FILE), or "absmax", the default of the command line.
    options: those of `int4q rewrite --help`, with _ for -, and import_ for --import: format="int8", block=32, dry_run=True,
        exclude=["model.23.*"], target_size="2M", rank="weights", topk=FILE or {name: sensitivity}, threads=1 ...
    """
    dry_run = bool(options.get("dry_run"))
    return _write(Report, "rewrite", src, dst, {"method": method, **options}, dry_run)


def restore(src: Source, dst: PathLike | None = None, **options: Option) -> Restoration:
    """Fold quantized weights back into float initializers, as `int4q restore` does. src and dst as for rewrite."""
    return _write(Restoration, "restore", src, dst, options, False)


def inspect(src: Source, *, reference: "Source | None" = None, require: Sequence[str] = (),
            **options: Option) -> Inspection:
    """Tell what the weights of a model's Convs are stored as, as `int4q inspect` does.

    reference: the model that it was made from: what each Conv lost, and all other differences.
    require: as ["int4>=82", "size<9M", "valid"]; one that does not hold is an Error of status 4.
    options: those of `int4q inspect --help`, as stats=True.
    """
    with tempfile.TemporaryDirectory(prefix="int4q-") as name:
        folder = Path(name)
        path = _as_file(src, folder / "model.onnx")
        more = {} if reference is None else {"reference": _as_file(reference, folder / "reference.onnx")}
        document, said = _run("inspect", path, {**more, "require": list(require), **options}, folder)
    if not _is_path(src):
        document["model"]["path"] = None
    return make(Inspection, document, warnings=said)


def _write(kind: type[T], command: str, src: Source, dst: PathLike | None, options: Mapping[str, Option],
           dry_run: bool) -> T:
    """A command that writes a model."""
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
    path.write_bytes(src if isinstance(src, bytes) else src.SerializeToString())
    return str(path)


def _arguments(options: Mapping[str, Option], folder: Path) -> Iterator[str]:
    for name, value in options.items():
        option = "--" + name.rstrip("_").replace("_", "-")
        if isinstance(value, Mapping):
            path = folder / f"{name}.json"
            path.write_text(json.dumps(value), encoding="utf-8")
            yield f"{option}={path}"
        elif isinstance(value, Sequence) and not isinstance(value, str):
            values = [os.fspath(item) for item in value]
            yield from (f"{option}={item}" for item in (values if name in REPEATABLE else [",".join(values)]))
        elif value is True:
            yield option
        elif value is not None and value is not False:
            yield f"{option}={value if isinstance(value, int | float) else os.fspath(value)}"


def _run(command: str, path: str, options: Mapping[str, Option], folder: Path) -> tuple[Json, tuple[str, ...]]:
    """(the report of the program, its lines on standard error)"""
    report = folder / "report.json"
    done = subprocess.run([find_program(), command, f"--json={report}", *_arguments(options, folder), "--", path],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
                          encoding="utf-8", errors="replace")
    lines = tuple(line.removeprefix("int4q: ").removeprefix("warning: ") for line in done.stderr.splitlines())
    document = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
    if done.returncode or document is None:
        said = lines[-1] if lines else f"{command}: ended with status {done.returncode}"
        raise Error(said, done.returncode, document)
    for line in lines:
        warnings.warn(line, ToolWarning, stacklevel=4)
    return document, lines
