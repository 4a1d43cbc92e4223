# SPDX-License-Identifier: Apache-2.0
"""Measure int4q beside cp and other tools; scripts/bench.sh sets up what this needs, and passes options on.

Every contender works on the same file, warm, on the same file system, and they take turns: in each round every one
runs once, a fresh process from start to end.  Shown are medians, and their ratios to cp and to int4q.  cp does not
sync what it writes and int4q does, so int4q is measured under libeatmydata, which turns fsync into nothing; the row
`int4q, with fsync` says what syncing adds.  Memory is the peak resident set of one more run, mapped pages included.
Models are made on the spot, and removed after.
"""
import argparse
import ctypes
import glob
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import onnx

from int4q.lab.base.errors import last_line, user_errors
from int4q.lab.base.files import write_json
from int4q.lab.base.options import command_parser
from int4q.lab.base.types import Row
from int4q.lab.experiment import rivals
from int4q.lab.models import sized as sized_models
from int4q.lab.models.yolov10 import Yolov10, make_model

BUDGET = 30   # seconds that a contender may take for a case before it stops there
TIMEOUT = 600  # seconds after which one run is given up
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
# Prints the process that becomes the command as soon as there is a line to read.
FORK = 'exec 3<&0; { read -r line <&3; exec "$@" 3<&-; } >/dev/null 2>&1 & echo $!'
LOAD_SAVE = "import sys, onnx; onnx.save(onnx.load(sys.argv[1]), sys.argv[2])"
LOAD_SAVE_EXTERNAL = ("import sys, os, onnx; onnx.save(onnx.load(sys.argv[1]), sys.argv[2], save_as_external_data=True,"
                      " location=os.path.basename(sys.argv[2]) + '.data')")


class Contender(NamedTuple):
    command: list[str]
    environment: Mapping[str, str] = {}  # added to ours


class Case(NamedTuple):
    """A model: how it is made, and whether the other tools are to take part."""
    name: str
    title: str
    make: Callable[[str], None]  # into this file, and what is external beside it
    weights: float  # bytes
    external: bool = False
    counted: int = 0  # nodes, where time a node is of interest
    peers: bool = False
    quick: bool = False


def make_yolov10m(path: str) -> None:
    onnx.save(make_model(Yolov10("m")), path)


def sized(name: str, title: str, weights: float, nodes: int = 200, external: bool = False, **facts: Any) -> Case:
    def make(path: str) -> None:
        onnx.save(sized_models.make_model(int(weights), nodes, path, external), path)
    return Case(name, title, make, weights, external, **facts)


CASES = [
    sized("nano", "3.7 MB, the size of YOLOX-nano, 113 Convs", 3.6e6, 226, peers=True, quick=True),
    Case("yolov10m", "61.7 MB, YOLOv10m, 118 Convs", make_yolov10m, 61.7e6, peers=True),
    sized("500M", "500 MB, inline, 100 Convs", 500e6, peers=True),
    sized("3G", "3 GB, external data, 100 Convs", 3e9, external=True, peers=True),
    *(sized(f"s{n}", f"{n} MB, 100 Convs", n * 1e6, quick=n < 100) for n in (1, 10, 100)),
    *(sized(f"n{n}", f"{n:,} nodes, 100 weights a Conv", 200 * n, n, counted=n, quick=n < 9999)
      for n in (1000, 20000, 200000)),
]
OURS, SYNCED, COPY = "int4q rewrite", "int4q, with fsync", "cp"
# case, contender, what its time is divided by, the most that may come out, or if negative the least
TARGETS = [("yolov10m", OURS, COPY, 1.0), ("3G", OURS, COPY, 1.0), ("yolov10m", "onnx load + save", OURS, -15),
           ("yolov10m", "onnxsim", OURS, -30)]


def free_memory() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


def contenders(args: argparse.Namespace, case: Case, source: str) -> dict[str, Contender]:
    """By name; every one writes args.out/model.onnx, and model.onnx.data beside it."""
    target = os.path.join(args.out, "model.onnx")
    rewrite = [args.int4q, "rewrite", "-q", source, "-o", target]
    preload = glob.glob("/usr/lib/*/libeatmydata.so")
    found = {COPY: Contender(["cp", source, *([source + ".data"] if case.external else []), args.out]),
             OURS: Contender(rewrite, {"LD_PRELOAD": preload[0]} if preload else {}), SYNCED: Contender(rewrite)}
    if case.peers and not args.no_peers:
        limited = ["prlimit", f"--data={free_memory() * 3 // 4}"]  # some take ten times the model
        python = [*limited, sys.executable, "-c"]
        save = LOAD_SAVE_EXTERNAL if case.external else LOAD_SAVE
        found["onnx load + save"] = Contender([*python, save, source, target])
        for name, command in rivals.commands(source, target, case.external).items():
            found[name] = Contender([*limited, *command])
    return found


# ---- Running

def run(contender: Contender) -> tuple[float, str | None]:
    """(seconds of one process, what it died of or None)."""
    start = time.perf_counter()
    try:
        done = subprocess.run(contender.command, env={**os.environ, **contender.environment}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return TIMEOUT, f"took longer than {TIMEOUT} s"
    seconds = time.perf_counter() - start
    return seconds, last_line(done.stderr.decode(errors="replace"), done.returncode) if done.returncode else None


def run_for_peak(contender: Contender) -> tuple[int, str | None]:
    """(bytes of the peak resident set of one process, what it died of or None).

    A process's peak begins with the size of the one it was forked from.  So a small shell forks it and ends, before the
    command begins, and leaves it to us to wait for.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        with subprocess.Popen(["sh", "-c", FORK, "sh", *contender.command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env={**os.environ, **contender.environment}, text=True) as shell:
            assert shell.stdin and shell.stdout
            process = int(shell.stdout.read())
            shell.wait()
            shell.stdin.write("\n")
        _, status, usage = os.wait4(process, 0)
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0)
    code = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * 1024, f"status {code} at its last run" if code else None


def clear(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)


def measure(args: argparse.Namespace, contenders: dict[str, Contender], rounds: int) -> list[Row]:
    """[{name, runs, median, min, peak, bytes} or {name, failure}]: a round after the other, to hit all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    failures: dict[str, str] = {}
    for _ in range(rounds):
        for name, contender in contenders.items():
            if name in failures or sum(seconds[name]) > BUDGET:
                continue
            clear(args.out)
            taken, failure = run(contender)
            if failure:
                failures[name] = failure
            else:
                seconds[name].append(taken)
    rows = [{"name": name, "failure": failures[name]} if name in failures else
            last_row(args, name, contender, seconds[name]) for name, contender in contenders.items()]
    clear(args.out)
    return rows


def last_row(args: argparse.Namespace, name: str, contender: Contender, seconds: list[float]) -> Row:
    """Runs once more, for memory and for what is written."""
    clear(args.out)
    peak, failure = run_for_peak(contender)
    if failure:
        return {"name": name, "failure": failure}
    size = sum(entry.stat().st_size for entry in os.scandir(args.out))
    return {"name": name, "runs": len(seconds), "median": statistics.median(seconds), "min": min(seconds), "peak": peak,
            "bytes": size}


# ---- Tables

def ratio(rows: Sequence[Row], name: str, base: str) -> float | None:
    """Of two medians; None where one is missing."""
    medians = {row["name"]: row["median"] for row in rows if row.get("median")}
    return medians[name] / medians[base] if name in medians and base in medians else None


def cell(value: float | None, width: int, digits: int = 2) -> str:
    return f"{value:{width}.{digits}f}" if value is not None else "-".rjust(width)


def print_rows(title: str, rows: Sequence[Row]) -> None:
    print(f"\n{title}\n  {'':22}{'runs':>5}{'median ms':>12}{'min ms':>11}{'/ cp':>8}{'/ int4q':>9}{'peak MB':>10}"
          f"{'output MB':>11}")
    for row in rows:
        if "failure" in row:
            print(f"  {row['name']:22}fails: {row['failure'][:90]}")
            continue
        print(f"  {row['name']:22}{row['runs']:5}{row['median'] * 1e3:12.2f}{row['min'] * 1e3:11.2f}"
              + cell(ratio(rows, row["name"], COPY), 8) + cell(ratio(rows, row["name"], OURS), 9)
              + cell(row["peak"] and row["peak"] / 1e6, 10, 1) + cell(row["bytes"] / 1e6 or None, 11))
    sys.stdout.flush()


def print_growth(cases: Sequence[Case], results: dict[str, list[Row]]) -> None:
    """Time against size and number of nodes."""
    print(f"\ntime of int4q rewrite against size\n  {'':44}{'ms':>10}{'GB/s':>8}{'us a node':>11}{'/ cp':>8}")
    for case in (c for c in cases if c.name in results):
        median = next(row.get("median") for row in results[case.name] if row["name"] == OURS)
        if median:
            print(f"  {case.title:44}{median * 1e3:10.1f}{case.weights / 1e9 / median:8.2f}"
                  + cell(median * 1e6 / case.counted if case.counted else None, 11)
                  + cell(ratio(results[case.name], OURS, COPY), 8))


def print_targets(results: dict[str, list[Row]]) -> None:
    print("\ntargets")
    for case, name, base, bound in TARGETS:
        found = ratio(results.get(case, []), name, base)
        if found:
            met = found >= -bound if bound < 0 else found <= bound
            print(f"  {case}: {name} / {base} {'>=' if bound < 0 else '<='} {abs(bound)}: {found:.2f}, "
                  f"{'met' if met else 'missed'}")


def measure_case(args: argparse.Namespace, case: Case) -> list[Row] | None:
    """Makes the model, measures, removes it; None where the disk has no room."""
    source = os.path.join(args.dir, "in", "model.onnx")
    clear(os.path.dirname(source))
    if shutil.disk_usage(args.dir).free < case.weights * 2.5:
        print(f"\n{case.title}: left out, {args.dir} has too little room")
        return None
    try:
        case.make(source)
        rows = measure(args, contenders(args, case, source), args.rounds)
    finally:
        shutil.rmtree(os.path.dirname(source))
    print_rows(case.title, rows)
    return rows


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    names = ["start", *(case.name for case in CASES)]
    parser = command_parser(__doc__)
    parser.add_argument("-n", "--rounds", type=int, metavar="N", help=f"runs of each (11); fewer after {BUDGET} s")
    parser.add_argument("--only", metavar="CASE,...", type=lambda text: text.split(","), help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="small models only, 3 rounds")
    parser.add_argument("--no-peers", action="store_true", help="int4q and cp only")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--int4q", required=True, metavar="FILE", help="the tool (bench.sh gives it)")
    parser.add_argument("--dir", required=True, metavar="DIR", help="where models are made (bench.sh gives it)")
    args = parser.parse_args(argv)
    for name in args.only or []:
        if name not in names:
            parser.error(f"--only: no case '{name}'; there are {', '.join(names)}")
    args.rounds, args.out = args.rounds or (3 if args.quick else 11), os.path.join(args.dir, "out")
    args.only = args.only or ["start", *(case.name for case in CASES if case.quick or not args.quick)]
    return args


def bench(args: argparse.Namespace) -> None:
    results = {}
    print(subprocess.run([args.int4q, "--version"], capture_output=True, text=True, check=True).stdout.strip())
    if "start" in args.only:
        programs = {"true": Contender(["true"]), "int4q --version": Contender([args.int4q, "--version"]),
                    "python -c pass": Contender([sys.executable, "-c", ""])}
        results["start"] = measure(args, programs, args.rounds * 3)
        print_rows("start-up", results["start"])
    cases = [case for case in CASES if case.name in args.only]
    for case in cases:
        rows = measure_case(args, case)
        if rows:
            results[case.name] = rows
    print_growth(cases, results)
    print_targets(results)
    if args.json:
        write_json(args.json, results)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("bench.py"):
        bench(args)
