# SPDX-License-Identifier: Apache-2.0
"""The reports of the program as objects: its JSON (the files of `schemas` describe it), read into dataclasses.

Names are those of the JSON. Keys that a newer program writes are in `json`, the whole of it, and cause no error.
"""
import dataclasses
import html
import json
import os
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")
Json = dict[str, Any]
SHOWN = 12  # rows of a table in a notebook
COMMANDS = ("rewrite", "inspect", "restore")


def schema(command: str) -> Json:
    """The JSON Schema of a command's report: of rewrite, inspect or restore."""
    if command not in COMMANDS:
        raise ValueError(f"{command!r} is no command: {', '.join(COMMANDS)}")
    text = resources.files("int4q").joinpath("schemas", f"{command}.json").read_text(encoding="utf-8")
    found: Json = json.loads(text)
    return found


def read(kind: Any, value: Any) -> Any:
    """A value of JSON as this type: a dataclass, a tuple of them, or what it is."""
    arguments = typing.get_args(kind)
    if value is None:
        return None
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return read(next(a for a in arguments if a is not types.NoneType), value)
    if typing.get_origin(kind) is tuple:
        return tuple(read(arguments[0], item) for item in value)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        keys = {f.name: f.name.rstrip("_") for f in dataclasses.fields(kind)}  # `from_`, since `from` is a word of Python
        return kind(**{name: read(hints[name], value[key])  # type: ignore[operator]
                       for name, key in keys.items() if key in value})
    return value


@dataclass(frozen=True)
class File:
    """A model; `path` is None where it was in memory."""
    path: str | None
    bytes: int | None
    ir_version: int | None = None
    opset: int | None = None


@dataclass(frozen=True)
class Conv:
    """What became of one Conv; `reason` is None where it is quantized."""
    node: str
    op: str
    weight: str
    shape: tuple[int, ...] | None
    weights: int | None
    storage: str
    reason: str | None
    sensitivity: float | None
    bytes_before: int | None
    bytes_after: int | None
    sqnr_db: float | None
    max_error: float | None
    drift: float | None
    clipped: int | None
    moved: int | None
    output_sqnr_db: float | None
    predicted_loss: float | None = None
    block: int | None = None
    source: str | None = None
    source_bits: int | None = None
    exact: bool | None = None


@dataclass(frozen=True)
class Totals:
    convs: int
    quantized: int
    kept: int
    weights: int
    weights_quantized: int
    sqnr_db: float | None
    output_sqnr_db: float | None
    bits_per_weight: float | None = None
    imported: int | None = None
    predicted_loss: float | None = None


@dataclass(frozen=True)
class Next:
    """What a few more bytes would buy."""
    more_bytes: int
    predicted_loss: float | None


@dataclass(frozen=True)
class Budget:
    """What `bits`, or `target_size` with `choices`, decided."""
    bits: float | None
    target_size: int | None
    choices: tuple[str, ...]
    next: Next


@dataclass(frozen=True)
class QuantizedActivation:
    """A tensor that `activations` quantizes; `reason` says why it is left."""
    tensor: str
    bits: int | None
    scale: float | None
    zero_point: int | None
    channels: int
    granularity: str | None
    range: str | None
    reason: str | None


@dataclass(frozen=True)
class Sensitivities:
    """What was read of the file of `topk`."""
    path: str
    entries: int
    keep: int | None
    unmatched: tuple[str, ...]


@dataclass(frozen=True)
class Upgrade:
    node: str
    op: str
    from_: int
    to: int


@dataclass(frozen=True)
class StoredConv:
    """What one Conv's weight is stored as."""
    node: str
    op: str
    weight: str
    shape: tuple[int, ...] | None
    storage: str
    granularity: str | None
    block: int
    zero_point: str | None
    bytes: int | None
    scale_min: float | None
    scale_max: float | None
    zero_channels: int | None
    histogram: tuple[int, ...] | None
    sqnr_db: float | None
    max_error: float | None
    activation: str | None = None
    source: str | None = None
    source_bits: int | None = None
    exact: bool | None = None


@dataclass(frozen=True)
class Activation:
    """A tensor that goes through QuantizeLinear and DequantizeLinear; numbers, or one a channel."""
    tensor: str
    bits: int
    codes: str
    low: int
    high: int
    channels: int | None
    scale: Any
    zero_point: Any
    decoded_scale: Any
    range: str | None


@dataclass(frozen=True)
class Quant:
    """A node that only tools of QONNX, Brevitas and FINN run."""
    node: str
    op: str
    tensor: str | None
    bits: int | None
    activation: bool


@dataclass(frozen=True)
class Model:
    """The model that was inspected."""
    path: str | None
    bytes: int
    ir_version: int
    opsets: dict[str, int]
    producer: str
    external: tuple[str, ...]


@dataclass(frozen=True)
class RestoredActivation:
    """What became of one quantized activation: float, factor (a Mul is left), quant, left (see `reason`)."""
    tensor: str
    bits: int
    became: str
    reason: str | None


@dataclass(frozen=True)
class Requirement:
    expr: str
    holds: bool
    value: int


@dataclass(frozen=True)
class Restored:
    """One weight that was decoded from integers: float, quant (as_="qonnx"), or left (see `reason`)."""
    node: str
    weight: str
    storage: str
    weights: int
    became: str
    bits: int | None
    reason: str | None


class _Rows:
    """What reports have in common: rows, which a notebook shows as a table and pandas takes."""
    json: Json
    rows_in: ClassVar[str]  # the key that they are in
    columns: ClassVar[tuple[str, ...]]  # that a notebook shows

    def to_pandas(self) -> Any:
        """A pandas.DataFrame of the rows, with all their keys. Needs pandas, of which no extra is."""
        try:
            import pandas
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("to_pandas needs pandas: pip install pandas", name="pandas") from error
        return pandas.DataFrame(self.json[self.rows_in])

    def summary(self) -> str:
        """One line."""
        raise NotImplementedError

    def shown_rows(self) -> Sequence[Json]:
        """Those that a notebook shows first."""
        rows: Sequence[Json] = self.json[self.rows_in]
        return rows

    def _repr_html_(self) -> str:
        rows = self.shown_rows()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        more = f"<p>and {len(rows) - SHOWN} more: <code>.to_pandas()</code></p>" if len(rows) > SHOWN else ""
        return (f"<p>{html.escape(self.summary())}</p><table><thead><tr>{head}</tr></thead><tbody>"
                + "".join(map(self._html_row, rows[:SHOWN])) + f"</tbody></table>{more}")

    def _html_row(self, row: Json) -> str:
        return "<tr>" + "".join(f"<td>{html.escape(_cell(row.get(name)))}</td>" for name in self.columns) + "</tr>"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(map(str, value))
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _name(file: File | Model) -> str:
    return os.path.basename(file.path) if file.path else "model in memory"


class _Written:
    """A report of what wrote a model: to a file, or to memory, where no path was given for it."""
    model: bytes | None

    def to_onnx(self) -> Any:
        """The onnx.ModelProto, where it was written to memory. Needs onnx."""
        import onnx
        if self.model is None:
            raise ValueError("the model is in a file, or was not written")
        return onnx.load_from_string(self.model)


@dataclass(frozen=True)
class Report(_Rows, _Written):
    """What int4q.rewrite did."""
    command: str
    version: str
    dry_run: bool
    written: bool
    input: File
    output: File
    options: dict[str, Any]
    convs: tuple[Conv, ...]
    totals: Totals
    topk: Sensitivities | None
    upgrades: tuple[Upgrade, ...]
    inputs_dropped: int
    notes: tuple[str, ...]
    budget: Budget | None = None
    quants: dict[str, Any] | None = None
    activations: tuple[QuantizedActivation, ...] = ()
    warnings: tuple[str, ...] = ()
    json: Json = field(default_factory=dict, repr=False)
    model: bytes | None = field(default=None, repr=False)

    rows_in: ClassVar[str] = "convs"
    columns: ClassVar[tuple[str, ...]] = ("node", "shape", "storage", "reason", "bytes_before", "bytes_after", "sqnr_db")

    @property
    def ratio(self) -> float | None:
        """How many times smaller the file is."""
        return self.input.bytes / self.output.bytes if self.input.bytes and self.output.bytes else None

    def summary(self) -> str:
        smaller = f" ({self.ratio:.2f} times smaller)" if self.ratio else ""
        return f"{_name(self.input)}: {', '.join(self._done())}, {self.input.bytes} -> {self.output.bytes} bytes{smaller}"

    def _done(self) -> Iterator[str]:
        """What happened to weights and activations."""
        totals, levels = self.totals, self.options.get("activations")
        if totals.quantized or not totals.imported:
            yield f"{totals.quantized} of {totals.convs} Convs in {self.options['format']} by {self.options['method']}"
        if totals.imported:
            yield f"{totals.imported} of {totals.convs} Convs imported"
        if levels:  # with decode="fused" there are no rows to count
            count = f"{sum(a.reason is None for a in self.activations)} " if self.activations else ""
            yield f"{count}activations in {levels}"
        if quants := sum((self.quants or {}).get(key, 0) for key in ("linear", "sign", "steps")):
            yield f"{quants} activations imported"

    def shown_rows(self) -> Sequence[Json]:
        """Those that lost most."""
        return sorted(self.json["convs"], key=lambda row: (row["sqnr_db"] is None, row["sqnr_db"]))


@dataclass(frozen=True)
class Inspection(_Rows):
    """What int4q.inspect found."""
    command: str
    version: str
    model: Model
    convs: tuple[StoredConv, ...]
    totals: dict[str, int]
    problems: tuple[str, ...]
    requirements: tuple[Requirement, ...]
    differences: tuple[str, ...]
    bits_per_weight: float | None = None
    activations: tuple[Activation, ...] = ()
    quants: tuple[Quant, ...] = ()
    warnings: tuple[str, ...] = ()
    json: Json = field(default_factory=dict, repr=False)

    rows_in: ClassVar[str] = "convs"
    columns: ClassVar[tuple[str, ...]] = ("node", "shape", "storage", "granularity", "zero_point", "bytes", "sqnr_db")

    def summary(self) -> str:
        stored = ", ".join(f"{count} {kind}" for kind, count in self.totals.items() if count and kind != "float_bytes")
        activations = f", {len(self.activations)} activations quantized" if self.activations else ""
        return f"{_name(self.model)}: {self.model.bytes} bytes, Convs: {stored or 'none'}{activations}"


@dataclass(frozen=True)
class Restoration(_Rows, _Written):
    """What int4q.restore did."""
    command: str
    version: str
    input: File
    output: File
    weights: tuple[Restored, ...]
    activations: tuple[RestoredActivation, ...] = ()
    warnings: tuple[str, ...] = ()
    json: Json = field(default_factory=dict, repr=False)
    model: bytes | None = field(default=None, repr=False)

    rows_in: ClassVar[str] = "weights"
    columns: ClassVar[tuple[str, ...]] = ("weight", "storage", "weights")

    def summary(self) -> str:
        rows: dict[str, Sequence[Restored | RestoredActivation]] = {"weights": self.weights, "activations": self.activations}
        told = [f"{sum(row.became != 'left' for row in of)} {what}" for what, of in rows.items() if of]
        return (f"{_name(self.input)}: {' and '.join(told) or '0 weights'} restored, "
                f"{self.input.bytes} -> {self.output.bytes} bytes")


def make(kind: type[T], document: Json, **more: Any) -> T:
    """The report that a document of the program tells."""
    report: T = read(kind, {**document, **more})
    return dataclasses.replace(report, json=document)  # type: ignore[type-var]
