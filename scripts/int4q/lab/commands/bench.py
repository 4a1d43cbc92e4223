# SPDX-License-Identifier: Apache-2.0
"""Measure int4q beside cp and other tools; scripts/bench.sh sets up what this needs, and passes options on.

Every contender works on the same file, warm, on the same file system, and they take turns: in each round every one
runs once, a fresh process from start to end.  Shown are medians, and their ratios to cp and to int4q.  cp does not
sync what it writes and int4q does, so int4q is measured under libeatmydata, which turns fsync into nothing; the row
`int4q, with fsync` says what syncing adds.  Memory is the peak resident set of one more run, mapped pages included.
Models are made on the spot, and removed after.
"""
import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from int4q.lab.commands import other_tools
from int4q.lab.run import SCRIPTS

BUDGET = 30   # seconds that a contender may take for a case before it stops there
TIMEOUT = 600  # seconds after which one run is given up

LOAD_SAVE = "import sys, onnx; onnx.save(onnx.load(sys.argv[1]), sys.argv[2])"
LOAD_SAVE_EXTERNAL = ("import sys, os, onnx; onnx.save(onnx.load(sys.argv[1]), sys.argv[2], save_as_external_data=True,"
                      " location=os.path.basename(sys.argv[2]) + '.data')")


class Case(NamedTuple):
    """A model: how it is made, and whether the other tools are to take part."""
    name: str
    title: str
    maker: list
    weights: float  # bytes
    counted: int = 0  # nodes, where time a node is of interest
    peers: bool = False
    quick: bool = False

    @property
    def external(self):
        return "--external" in self.maker


def sized(name, title, weights, nodes=200, *more, **facts):
    maker = ["make_sized.py", "--bytes", str(int(weights)), "--nodes", str(nodes), *more]
    return Case(name, title, maker, weights, **facts)


CASES = [
    sized("nano", "3.7 MB, the size of YOLOX-nano, 113 Convs", 3.6e6, 226, peers=True, quick=True),
    Case("yolov10m", "61.7 MB, YOLOv10m, 118 Convs", ["make_yolov10.py", "--size", "m"], 61.7e6, peers=True),
    sized("500M", "500 MB, inline, 100 Convs", 500e6, peers=True),
    sized("3G", "3 GB, external data, 100 Convs", 3e9, 200, "--external", peers=True),
    *(sized(f"s{n}", f"{n} MB, 100 Convs", n * 1e6, quick=n < 100) for n in (1, 10, 100)),
    *(sized(f"n{n}", f"{n:,} nodes, 100 weights a Conv", 200 * n, n, counted=n, quick=n < 9999) for n in (1000, 20000, 200000)),
]
OURS, SYNCED, COPY = "int4q rewrite", "int4q, with fsync", "cp"
# case, contender, what its time is divided by, the most that may come out, or if negative the least
TARGETS = [("yolov10m", OURS, COPY, 1.0), ("3G", OURS, COPY, 1.0), ("yolov10m", "onnx load + save", OURS, -15),
           ("yolov10m", "onnxsim", OURS, -30)]


def free_memory():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


def contenders(args, case, source):
    """{name: (command, environment)}; every one writes args.out/model.onnx, and model.onnx.data beside it."""
    target = os.path.join(args.out, "model.onnx")
    rewrite = [args.int4q, "rewrite", "-q", source, "-o", target]
    preload = glob.glob("/usr/lib/*/libeatmydata.so")
    found = {COPY: (["cp", source, *([source + ".data"] if case.external else []), args.out], {}),
             OURS: (rewrite, {"LD_PRELOAD": preload[0]} if preload else {}), SYNCED: (rewrite, {})}
    if case.peers and not args.no_peers:
        limited = ["prlimit", f"--data={free_memory() * 3 // 4}"]  # some take ten times the model
        python = [*limited, sys.executable, "-c"]
        found["onnx load + save"] = [*python, LOAD_SAVE_EXTERNAL if case.external else LOAD_SAVE, source, target], {}
        for name, command in other_tools.commands(source, target, case.external).items():
            found[name] = [*limited, *command], {}
    return found


# ---- Running

def run(command, environment):
    """(seconds of one process, None), or (None, what it died of)."""
    start = time.perf_counter()
    try:
        done = subprocess.run(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return None, f"took longer than {TIMEOUT} s"
    seconds = time.perf_counter() - start
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return (seconds, None) if done.returncode == 0 else (None, lines[-1] if lines else f"status {done.returncode}")


def peak_memory(command, environment):
    """Bytes; by way of time(1), since a child's peak begins with that of the process it was forked from."""
    if not shutil.which("time"):
        return None
    done = subprocess.run(["time", "-q", "-f", "%M", *command], env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return int(done.stderr.split()[-1]) * 1024


def clear(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)


def measure(args, commands, rounds):
    """[{name, runs, median, min, peak, bytes} or {name, failure}]: a round after the other, to hit all alike."""
    seconds, failures = {name: [] for name in commands}, {}
    for _ in range(rounds):
        for name, (command, environment) in commands.items():
            if name in failures or sum(seconds[name]) > BUDGET:
                continue
            clear(args.out)
            taken, failure = run(command, environment)
            if failure:
                failures[name] = failure
            else:
                seconds[name].append(taken)
    rows = []
    for name, (command, environment) in commands.items():
        clear(args.out)
        if name in failures:
            rows.append({"name": name, "failure": failures[name]})
            continue
        peak = peak_memory(command, environment)
        size = sum(entry.stat().st_size for entry in os.scandir(args.out))
        rows.append({"name": name, "runs": len(seconds[name]), "median": statistics.median(seconds[name]),
                     "min": min(seconds[name]), "peak": peak, "bytes": size})
    clear(args.out)
    return rows


# ---- Tables

def ratio(rows, name, base):
    """Of two medians; None where one is missing."""
    medians = {row["name"]: row.get("median") for row in rows}
    return medians[name] / medians[base] if medians.get(name) and medians.get(base) else None


def cell(value, width, digits=2):
    return f"{value:{width}.{digits}f}" if value is not None else "-".rjust(width)


def print_rows(title, rows):
    print(f"\n{title}\n  {'':22}{'runs':>5}{'median ms':>12}{'min ms':>11}{'/ cp':>8}{'/ int4q':>9}{'peak MB':>10}{'output MB':>11}")
    for row in rows:
        if "failure" in row:
            print(f"  {row['name']:22}fails: {row['failure'][:90]}")
            continue
        print(f"  {row['name']:22}{row['runs']:5}{row['median'] * 1e3:12.2f}{row['min'] * 1e3:11.2f}"
              + cell(ratio(rows, row["name"], COPY), 8) + cell(ratio(rows, row["name"], OURS), 9)
              + cell(row["peak"] and row["peak"] / 1e6, 10, 1) + cell(row["bytes"] / 1e6 or None, 11))
    sys.stdout.flush()


def print_growth(cases, results):
    """Time against size and number of nodes."""
    print(f"\ntime of int4q rewrite against size\n  {'':44}{'ms':>10}{'GB/s':>8}{'us a node':>11}{'/ cp':>8}")
    for case in (c for c in cases if c.name in results):
        median = next(row.get("median") for row in results[case.name] if row["name"] == OURS)
        if median:
            print(f"  {case.title:44}{median * 1e3:10.1f}{case.weights / 1e9 / median:8.2f}"
                  + cell(median * 1e6 / case.counted if case.counted else None, 11) + cell(ratio(results[case.name], OURS, COPY), 8))


def print_targets(results):
    print("\ntargets")
    for case, name, base, bound in TARGETS:
        found = ratio(results.get(case, []), name, base)
        if found:
            met = found >= -bound if bound < 0 else found <= bound
            print(f"  {case}: {name} / {base} {'>=' if bound < 0 else '<='} {abs(bound)}: {found:.2f}, {'met' if met else 'missed'}")


def measure_case(args, case):
    """Makes the model, measures, removes it; None where the disk has no room."""
    source = os.path.join(args.dir, "in", "model.onnx")
    clear(os.path.dirname(source))
    if shutil.disk_usage(args.dir).free < case.weights * 2.5:
        print(f"\n{case.title}: left out, {args.dir} has too little room")
        return None
    try:
        subprocess.run([sys.executable, os.path.join(SCRIPTS, case.maker[0]), *case.maker[1:], "-o", source], check=True,
                       stdout=subprocess.DEVNULL)
        rows = measure(args, contenders(args, case, source), args.rounds)
    finally:
        shutil.rmtree(os.path.dirname(source))
    print_rows(case.title, rows)
    return rows


def parse(argv):
    names = ["start", *(case.name for case in CASES)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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


def bench(args):
    results = {}
    print(subprocess.run([args.int4q, "--version"], capture_output=True, text=True, check=True).stdout.strip())
    if "start" in args.only:
        programs = {"true": ["true"], "int4q --version": [args.int4q, "--version"], "python -c pass": [sys.executable, "-c", ""]}
        results["start"] = measure(args, {name: (command, {}) for name, command in programs.items()}, args.rounds * 3)
        print_rows("start-up", results["start"])
    cases = [case for case in CASES if case.name in args.only]
    for case in cases:
        rows = measure_case(args, case)
        if rows:
            results[case.name] = rows
    print_growth(cases, results)
    print_targets(results)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


def main(argv=None):
    args = parse(argv)
    try:
        bench(args)
    except (OSError, subprocess.CalledProcessError) as failed:
        sys.exit(f"bench.py: {failed}")
