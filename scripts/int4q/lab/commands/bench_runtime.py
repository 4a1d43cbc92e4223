# SPDX-License-Identifier: Apache-2.0
"""Measure how ONNX Runtime (CPU) runs a model before and after int4q: load time, latency, memory.

    scripts/bench.sh runtime [--model yolov10m.onnx] [--only float,int4]

Each form of the model is run in processes of its own, with 1 and with 2 threads, and they take turns: in each round
every one loads the model, runs it a few times on random input and says what it took.  Shown are medians over the
rounds: of the time to load, of the median latency, the least latency of all, and the resident set behind the last run
and at its peak, less that of a process that has only imported ONNX Runtime.  `no arena` is the session option
enable_cpu_mem_arena=False: memory goes back to the system after each run.  Without --model it is a YOLOv10m with
synthetic weights.
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
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime

from int4q.lab.base.errors import Error, user_errors
from int4q.lab.base.files import write_json
from int4q.lab.base.options import command_parser
from int4q.lab.base.tool import call_int4q
from int4q.lab.base.types import Row
from int4q.lab.models.yolov10 import Yolov10, make_model

NO_QDQ, NO_ARENA = "session.disable_quant_qdq=1", "enable_cpu_mem_arena="


class Form(NamedTuple):
    """How the model is stored and run."""
    rewrite: tuple[str, ...] | None      # options of int4q rewrite; None: the model itself
    session: tuple[str, ...] = ()        # attributes and configuration entries
    saved: bool = False                  # optimized and saved by ONNX Runtime


FORMS = {
    "float": Form(None),
    "float, no arena": Form(None, (NO_ARENA,)),
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


def status_bytes(key: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key + ":"))


def open_session(path: str, threads: int, entries: Sequence[str],
                 save: str | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    if save:
        options.optimized_model_filepath = save
    for key, value in (entry.split("=", 1) for entry in entries):
        if hasattr(options, key):
            setattr(options, key, bool(value))
        else:
            options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def probe(path: str, threads: int, runs: int, entries: Sequence[str]) -> Row:
    """What a process of its own finds; its imports are not counted."""
    before, start = status_bytes("VmRSS"), time.perf_counter()
    session = open_session(path, threads, entries)
    found: Row = {"load": time.perf_counter() - start, "runs": []}
    random = np.random.default_rng(0)
    feeds = {i.name: random.random([d if isinstance(d, int) else 1 for d in i.shape], np.float32)
             for i in session.get_inputs()}
    session.run(None, feeds)
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, feeds)
        found["runs"].append(time.perf_counter() - start)
    found |= {"rss": status_bytes("VmRSS") - before, "peak": status_bytes("VmHWM") - before}
    return found


def make_form(args: argparse.Namespace, folder: str, number: int, form: Form) -> str:
    """Path of one form of the model."""
    if form.rewrite is None:
        return str(args.model)
    path = os.path.join(folder, f"form{number}.onnx")
    call_int4q(args.int4q, "rewrite", "-q", "-f", args.model, "-o", path, *form.rewrite)
    if form.saved:
        open_session(path, 1, (NO_QDQ,), path + ".saved")
        os.replace(path + ".saved", path)
    return path


def measure(args: argparse.Namespace, paths: dict[str, str]) -> dict[tuple[str, int], list[Row]]:
    """{(name, threads): [what a process found, ...]}"""
    found: dict[tuple[str, int], list[Row]] = {}
    for _ in range(args.rounds):
        for threads in args.threads:
            for name, path in paths.items():
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                    try:
                        row = process.submit(probe, path, threads, args.runs, FORMS[name].session).result()
                    except BrokenProcessPool as error:
                        raise Error(f"{name}: its process died") from error
                found.setdefault((name, threads), []).append(row)
    return found


def summarize(paths: dict[str, str], found: dict[tuple[str, int], list[Row]]) -> list[Row]:
    rows = []
    for (name, threads), results in found.items():
        def middle(get: Callable[[Row], float], results: list[Row] = results) -> float:
            return statistics.median(map(get, results))
        rows.append({"name": name, "threads": threads, "bytes": os.path.getsize(paths[name]),
                     "load": middle(lambda r: r["load"]),
                     "latency": middle(lambda r: statistics.median(r["runs"])),
                     "least": min(min(r["runs"]) for r in results),
                     "rss": middle(lambda r: r["rss"]), "peak": middle(lambda r: r["peak"])})
    return rows


def print_table(rows: Sequence[Row]) -> None:
    base = {row["threads"]: row["least"] for row in rows if row["name"] == "float"}
    print(f"{'form':47}{'threads':>8}{'file MB':>9}{'load ms':>9}{'median ms':>11}{'least ms':>10}{'/ float':>9}"
          f"{'RSS MB':>8}{'peak MB':>9}")
    for row in rows:
        compared = f"{row['least'] / base[row['threads']]:9.2f}" if row["threads"] in base else "-".rjust(9)
        print(f"{row['name']:47}{row['threads']:8}{row['bytes'] / 1e6:9.2f}{row['load'] * 1e3:9.0f}"
              f"{row['latency'] * 1e3:11.1f}{row['least'] * 1e3:10.1f}{compared}"
              f"{row['rss'] / 1e6:8.0f}{row['peak'] / 1e6:9.0f}")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("--model", metavar="FILE", help="a float model (a synthetic YOLOv10m)")
    parser.add_argument("--only", metavar="FORM;...", type=lambda text: text.split(";"), default=list(FORMS),
                        help="; ".join(FORMS))
    parser.add_argument("-n", "--rounds", type=int, default=3, metavar="N", help="processes of each form (3)")
    parser.add_argument("--runs", type=int, default=5, metavar="N",
                        help="timed runs of a process, behind one that is not (5)")
    parser.add_argument("--threads", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2], metavar="N,...",
                        help="of ONNX Runtime (1,2)")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--int4q", required=True, metavar="FILE", help="the tool (bench.sh gives it)")
    parser.add_argument("--dir", required=True, metavar="DIR", help="where models are made (bench.sh gives it)")
    args = parser.parse_args(argv)
    for name in args.only:
        if name not in FORMS:
            parser.error(f"--only: no form '{name}'")
    return args


def bench(args: argparse.Namespace) -> None:
    os.makedirs(args.dir, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        if not args.model:
            args.model = os.path.join(folder, "yolov10m.onnx")
            onnx.save(make_model(Yolov10("m")), args.model)
        paths = {name: make_form(args, folder, number, FORMS[name]) for number, name in enumerate(args.only)}
        rows = summarize(paths, measure(args, paths))
    print_table(rows)
    if args.json:
        write_json(args.json, rows)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("bench_runtime.py"):
        bench(args)
