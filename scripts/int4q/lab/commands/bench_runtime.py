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
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from int4q.lab.run import SCRIPTS

NO_QDQ, NO_ARENA = "session.disable_quant_qdq=1", "enable_cpu_mem_arena="
# name: (options of int4q rewrite, None for the model itself; attributes and configuration entries of the session)
FORMS = {
    "float": (None, ()),
    "float, no arena": (None, (NO_ARENA,)),
    "int4": ((), ()),
    "int4, no arena": ((), (NO_ARENA,)),
    "int4, disable_quant_qdq": ((), (NO_QDQ,)),
    "int4, disable_quant_qdq, no arena": ((), (NO_QDQ, NO_ARENA)),
    "int4 --decode cast": (("--decode", "cast"), ()),
    "int4 --min-weights 10000": (("--min-weights", "10000"), ()),
    "int4 --min-weights 100000": (("--min-weights", "100000"), ()),
    "int4 --min-weights 100000, disable_quant_qdq": (("--min-weights", "100000"), (NO_QDQ,)),
    "int4 --min-weights 100000 --keep-format int8": (("--min-weights", "100000", "--keep-format", "int8"), ()),
    "packed-u8": (("--format", "packed-u8"), ()),
    "int8": (("--format", "int8"), ()),
    "int8, disable_quant_qdq": (("--format", "int8"), (NO_QDQ,)),
    "int4, optimized and saved by ONNX Runtime": ("optimized", ()),
}


def status_bytes(key):
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key + ":"))


def open_session(path, threads, entries, save=None):
    import onnxruntime
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


def child(path, threads, runs, entries):
    """Prints what one process finds, as JSON."""
    import numpy as np
    import onnxruntime  # noqa: F401 - its import is not counted
    before, start = status_bytes("VmRSS"), time.perf_counter()
    session = open_session(path, threads, entries)
    found = {"load": time.perf_counter() - start, "runs": []}
    random = np.random.default_rng(0)
    feeds = {i.name: random.random([d if isinstance(d, int) else 1 for d in i.shape], np.float32) for i in session.get_inputs()}
    session.run(None, feeds)
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, feeds)
        found["runs"].append(time.perf_counter() - start)
    found |= {"rss": status_bytes("VmRSS") - before, "peak": status_bytes("VmHWM") - before}
    print(json.dumps(found))


def make_form(args, folder, number, how):
    """Path of one form of the model."""
    if how is None:
        return args.model
    path = os.path.join(folder, f"form{number}.onnx")
    more = () if how == "optimized" else how
    subprocess.run([args.int4q, "rewrite", "-q", "-f", args.model, "-o", path, *more], check=True)
    if how == "optimized":
        open_session(path, 1, (NO_QDQ,), path + ".saved")
        os.replace(path + ".saved", path)
    return path


def measure(args, paths):
    """{(name, threads): [what a process found, ...]}"""
    found = {}
    for _ in range(args.rounds):
        for threads in args.threads:
            for name, path in paths.items():
                command = [sys.executable, os.path.join(SCRIPTS, "bench_runtime.py"), "--child", path, str(threads), str(args.runs), *FORMS[name][1]]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found.setdefault((name, threads), []).append(json.loads(done.stdout))
    return found


def summarize(paths, found):
    rows = []
    for (name, threads), results in found.items():
        def middle(get, results=results):
            return statistics.median(map(get, results))
        rows.append({"name": name, "threads": threads, "bytes": os.path.getsize(paths[name]), "load": middle(lambda r: r["load"]),
                     "latency": middle(lambda r: statistics.median(r["runs"])), "least": min(min(r["runs"]) for r in results),
                     "rss": middle(lambda r: r["rss"]), "peak": middle(lambda r: r["peak"])})
    return rows


def print_table(rows):
    base = {row["threads"]: row["least"] for row in rows if row["name"] == "float"}
    print(f"{'form':47}{'threads':>8}{'file MB':>9}{'load ms':>9}{'median ms':>11}{'least ms':>10}{'/ float':>9}{'RSS MB':>8}{'peak MB':>9}")
    for row in rows:
        compared = f"{row['least'] / base[row['threads']]:9.2f}" if row["threads"] in base else "-".rjust(9)
        print(f"{row['name']:47}{row['threads']:8}{row['bytes'] / 1e6:9.2f}{row['load'] * 1e3:9.0f}{row['latency'] * 1e3:11.1f}"
              f"{row['least'] * 1e3:10.1f}{compared}{row['rss'] / 1e6:8.0f}{row['peak'] / 1e6:9.0f}")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="FILE", help="a float model (a synthetic YOLOv10m)")
    parser.add_argument("--only", metavar="FORM;...", type=lambda text: text.split(";"), default=list(FORMS),
                        help="; ".join(FORMS))
    parser.add_argument("-n", "--rounds", type=int, default=3, metavar="N", help="processes of each form (3)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="timed runs of a process, behind one that is not (5)")
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


def bench(args):
    os.makedirs(args.dir, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        if not args.model:
            args.model = os.path.join(folder, "yolov10m.onnx")
            subprocess.run([sys.executable, os.path.join(SCRIPTS, "make_yolov10.py"), "--size", "m", "-o", args.model], check=True,
                           stdout=subprocess.DEVNULL)
        paths = {name: make_form(args, folder, number, FORMS[name][0]) for number, name in enumerate(args.only)}
        rows = summarize(paths, measure(args, paths))
    print_table(rows)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


def main(argv=None):
    if argv is None and sys.argv[1:2] == ["--child"]:
        return child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
    args = parse(argv)
    try:
        return bench(args)
    except (OSError, subprocess.CalledProcessError) as failed:
        sys.exit(f"bench_runtime.py: {failed}")
