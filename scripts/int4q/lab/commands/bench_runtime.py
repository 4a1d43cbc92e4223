# SPDX-License-Identifier: Apache-2.0
"""Measure how ONNX Runtime (CPU) runs models before and after int4q: load time, latency, memory.

    scripts/bench.sh runtime [--model yolov10m.onnx ...] [--only 'float;ConvNBits'] [--also other.onnx ...]

Latency: all forms of a model are loaded into one process, for 1 and for 2 threads, and take turns on the same random
input; the table has the least and the median of each, how many times as fast as float the least is, and the least time
of processors, which is the steadier one on a machine that has other work.  Load time and
memory: processes of their own, which take turns too; medians of the time to load, of the resident set behind a run and
at its peak, less that of a process that has only imported ONNX Runtime.  `no arena` is the session option
enable_cpu_mem_arena=False: memory goes back to the system after each run.  W8A8 is ONNX Runtime's static quantizer, with
attention and what comes behind the last Convs in float; its ranges are those of noise, for its speed only, and so are those
of `fused`, which computes in 8 bits from 4-bit weights.  Without
--model they are a YOLOv10n and a YOLOv10m with synthetic weights, without --only the forms that compute in different
ways; all forms are listed below.
"""
import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime

from int4q.lab.base.errors import Error, user_errors
from int4q.lab.base.files import write_json
from int4q.lab.base.options import command_parser
from int4q.lab.base.tool import call_int4q
from int4q.lab.base.types import Feeds, Row
from int4q.lab.experiment.static8 import make_static8, measure_noise
from int4q.lab.models.operators import add_operators_option, find_library, register, use_library
from int4q.lab.models.session import load_model
from int4q.lab.models.yolov10 import Yolov10, make_model

NO_QDQ, NO_ARENA = "session.disable_quant_qdq=1", "enable_cpu_mem_arena="
FLOAT = "float"
STATIC8_OPSET = 13  # the first whose DequantizeLinear has an axis


class Form(NamedTuple):
    """How the model is stored and run."""
    rewrite: tuple[str, ...] | None = None  # options of int4q rewrite; None: the model itself
    session: tuple[str, ...] = ()           # attributes and configuration entries
    saved: bool = False                     # optimized and saved by ONNX Runtime
    static8: bool = False                   # by ONNX Runtime's quantizer
    calibrated: bool = False                # with statistics of noise
    library: bool = False                   # with that of ConvNBits


NBITS = ("--decode", "nbits")
FORMS = {
    FLOAT: Form(),
    "W8A8": Form(static8=True),
    "fused": Form(("--activations", "uint8", "--decode", "fused", "--keep-activations", "0"), calibrated=True),
    "ConvNBits": Form(NBITS, library=True),
    "ConvNBits, no library": Form(NBITS),
    "float, no arena": Form(session=(NO_ARENA,)),
    "int4": Form(()),
    "int4, no arena": Form((), (NO_ARENA,)),
    "int4, disable_quant_qdq": Form((), (NO_QDQ,)),
    "int4, disable_quant_qdq, no arena": Form((), (NO_QDQ, NO_ARENA)),
    "int4 --decode cast": Form(("--decode", "cast")),
    "int4 --min-weights 10000": Form(("--min-weights", "10000")),
    "int4 --min-weights 100000": Form(("--min-weights", "100000")),
    "int4 --min-weights 100000, disable_quant_qdq": Form(("--min-weights", "100000"), (NO_QDQ,)),
    "int4 --min-weights 100000 --keep-format int8": Form(("--min-weights", "100000", "--keep-format", "int8")),
    "packed-u8": Form(("--format", "packed-u8")),
    "int8": Form(("--format", "int8")),
    "int8, disable_quant_qdq": Form(("--format", "int8"), (NO_QDQ,)),
    "int4, optimized and saved by ONNX Runtime": Form((), saved=True),
}
USUAL = [FLOAT, "W8A8", "fused", "ConvNBits", "ConvNBits, no library"]
SIZES = ("n", "m")  # of the YOLOv10 that is measured without --model


class Contender(NamedTuple):
    """One form of one model."""
    name: str
    path: str
    form: Form


# ---- in processes of their own

def status_bytes(key: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key + ":"))


def open_session(path: str, threads: int, form: Form, save: str | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    if save:
        options.optimized_model_filepath = save
    if form.library:
        register(options)
    for key, value in (entry.split("=", 1) for entry in form.session):
        if hasattr(options, key):
            setattr(options, key, bool(value))
        else:
            options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds_of(session: onnxruntime.InferenceSession) -> Feeds:
    random = np.random.default_rng(0)
    return {i.name: random.random([d if isinstance(d, int) else 1 for d in i.shape], np.float32)
            for i in session.get_inputs()}


def probe(contender: Contender, threads: int) -> Row:
    """Time and memory of a load and two runs; what is imported is not counted."""
    before, start = status_bytes("VmRSS"), time.perf_counter()
    session = open_session(contender.path, threads, contender.form)
    load, held = time.perf_counter() - start, status_bytes("VmRSS") - before
    for _ in range(2):
        session.run(None, feeds_of(session))
    return {"load": load, "loaded": held, "rss": status_bytes("VmRSS") - before, "peak": status_bytes("VmHWM") - before}


def race(contenders: Sequence[Contender], threads: int, runs: int) -> list[list[tuple[float, float]]]:
    """Seconds of the runs of each, by the clock and of processors; they take turns, and the first ones are not counted."""
    sessions = [open_session(c.path, threads, c.form) for c in contenders]
    feeds, seconds = [feeds_of(s) for s in sessions], [list[tuple[float, float]]() for _ in sessions]
    for turn in range(runs + 1):
        for session, given, taken in zip(sessions, feeds, seconds, strict=True):
            start, busy = time.perf_counter(), time.process_time()
            session.run(None, given)
            if turn:
                taken.append((time.perf_counter() - start, time.process_time() - busy))
    return seconds


def apart(name: str, work: Callable[..., Any], *args: object) -> Any:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(work, *args).result()
        except BrokenProcessPool as error:
            raise Error(f"{name}: its process died") from error


# ---- here

def raised(tool: str, source: str, path: str) -> str:
    """The model in an opset that ONNX Runtime's quantizer can do with; weights of older ones are rounded to 8 bits."""
    if any(o.version >= STATIC8_OPSET for o in load_model(source).opset_import if o.domain in ("", "ai.onnx")):
        return source
    call_int4q(tool, "rewrite", "-q", "-f", source, "-o", path, "--format", "int8", "--opset", STATIC8_OPSET)
    call_int4q(tool, "restore", "-q", "-f", path, "-o", path + ".raised")
    return path + ".raised"


def make_form(args: argparse.Namespace, source: str, path: str, form: Form) -> str:
    """Path of one form of the model: `path`, if it has to be made."""
    if form.static8:
        apart("W8A8", make_static8, raised(args.int4q, source, path), path)
        return path
    if form.rewrite is None:
        return source
    more = ("--calibration", measure_noise(source, path + ".statistics")) if form.calibrated else ()
    call_int4q(args.int4q, "rewrite", "-q", "-f", source, "-o", path, *form.rewrite, *more)
    if form.saved:
        open_session(path, 1, Form(session=(NO_QDQ,)), path + ".saved")
        os.replace(path + ".saved", path)
    return path


def measure(args: argparse.Namespace, contenders: Sequence[Contender], threads: int) -> list[Row]:
    """A row for each."""
    probes: list[list[Row]] = [[] for _ in contenders]
    for _ in range(args.rounds):
        for contender, found in zip(contenders, probes, strict=True):
            found.append(apart(contender.name, probe, contender, threads))
    rows, times = [], apart("race", race, contenders, threads, args.runs)
    for contender, found, seconds in zip(contenders, probes, times, strict=True):
        middle = {key: statistics.median(row[key] for row in found) for key in found[0]}
        rows.append({"name": contender.name, "threads": threads, "bytes": os.path.getsize(contender.path), **middle,
                     "latency": statistics.median(s for s, _ in seconds), "least": min(s for s, _ in seconds),
                     "processor": min(busy for _, busy in seconds)})
    return rows


def print_table(title: str, rows: Sequence[Row]) -> None:
    base = {row["threads"]: row["least"] for row in rows if row["name"] == FLOAT}
    wide = max(len(row["name"]) for row in rows)
    print(f"\n{title}\n  {'':{wide}}{'threads':>9}{'file MB':>9}{'load ms':>9}{'median ms':>11}{'least ms':>10}"
          f"{'x float':>9}{'CPU ms':>8}{'loaded MB':>11}{'RSS MB':>8}{'peak MB':>9}")
    for row in rows:
        compared = f"{base[row['threads']] / row['least']:9.2f}" if row["threads"] in base else "-".rjust(9)
        print(f"  {row['name']:{wide}}{row['threads']:9}{row['bytes'] / 1e6:9.2f}{row['load'] * 1e3:9.0f}"
              f"{row['latency'] * 1e3:11.1f}{row['least'] * 1e3:10.1f}{compared}"
              f"{row['processor'] * 1e3:8.1f}{row['loaded'] / 1e6:11.0f}{row['rss'] / 1e6:8.0f}{row['peak'] / 1e6:9.0f}",
              flush=True)


def measure_model(args: argparse.Namespace, source: str, folder: str) -> list[Row]:
    """Rows of all forms and threads, printed too."""
    contenders = []
    for number, name in enumerate(args.only):
        path = make_form(args, source, os.path.join(folder, f"form{number}.onnx"), FORMS[name])
        contenders.append(Contender(name, path, FORMS[name]))
    contenders += [Contender(os.path.basename(path), path, Form(library=True)) for path in args.also]
    rows = [row for threads in args.threads for row in measure(args, contenders, threads)]
    print_table(os.path.basename(source), rows)
    return [{"model": os.path.basename(source), **row} for row in rows]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__, "forms: " + "; ".join(FORMS))
    parser.add_argument("--model", nargs="+", metavar="FILE", help="float models (a synthetic YOLOv10n and YOLOv10m)")
    parser.add_argument("--also", nargs="+", default=[], metavar="FILE", help="the same model as others have made it")
    parser.add_argument("--only", metavar="FORM;...", type=lambda text: text.split(";"), help="; ".join(USUAL))
    parser.add_argument("-n", "--rounds", type=int, default=3, metavar="N", help="processes of each form, for load (3)")
    parser.add_argument("--runs", type=int, default=15, metavar="N", help="timed runs of each form (15)")
    parser.add_argument("--threads", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2], metavar="N,...",
                        help="of ONNX Runtime (1,2)")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--int4q", required=True, metavar="FILE", help="the tool (bench.sh gives it)")
    parser.add_argument("--dir", required=True, metavar="DIR", help="where models are made (bench.sh gives it)")
    add_operators_option(parser)
    args = parser.parse_args(argv)
    for name in args.only or []:
        if name not in FORMS:
            parser.error(f"--only: no form '{name}'")
    return args


def bench(args: argparse.Namespace) -> None:
    use_library(args.ops_library)
    args.only = args.only or [name for name in USUAL if find_library() or not FORMS[name].library]
    os.makedirs(args.dir, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        if not args.model:
            args.model = [os.path.join(folder, f"yolov10{size}.onnx") for size in SIZES]
            for size, path in zip(SIZES, args.model, strict=True):
                onnx.save(make_model(Yolov10(size)), path)
        for path in args.model:
            rows += measure_model(args, path, folder)
    if args.json:
        write_json(args.json, rows)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("bench_runtime.py"):
        bench(args)
