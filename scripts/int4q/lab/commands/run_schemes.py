# SPDX-License-Identifier: Apache-2.0
"""Make, check and measure every scheme of make_schemes.py: one table, and one page to look at.

    run_schemes.py tmp/schemes/schemes.json --images val2017 --annotations instances_val2017.json -o tmp/experiment

Each scheme is rewritten by int4q and checked as by smoke_run.py; then it, the float model and the models of --models are
evaluated as by eval_coco.py, with intervals from a bootstrap over the pictures.  In the output folder: results.csv,
results.json, report.html (one file, nothing is loaded from elsewhere), pareto.svg, the models.
Work is spread by Dask in pieces of some models and some pictures, and a piece that is done is not done again: the same
command goes on where it was stopped.  With --scheduler the workers must find models and pictures under the same paths.
Times are those of this run; all other figures are the same from run to run.
"""
import argparse
import csv
import os
import statistics
import sys
import time
from types import SimpleNamespace

import numpy as np
from int4q.lab.run import (TMP, add_tool_option, add_worker_options, call_int4q, digest, find_int4q, finished, make_folder,
                   read_json, shown, tool_version, user_errors, versions, workers, write_json)
from int4q.lab.commands.calibrate import file_sha256
from int4q.lab.detectors import Detector, Error, add_family_options, family_help
from int4q.lab.commands.eval_coco import COLUMNS, bootstrap, choose_images, match, read_annotations, report_rows, run_detectors
from int4q.lab.commands.smoke_run import check_model, try_model
from tqdm import tqdm

TOGETHER = 8  # models of one piece: all of them are compared with one run of the float model
PIECE_VERSION = 2  # of what a piece holds
TABLE = ("name", "method", "kept", "keep_format", "bytes", "ratio", "mAP", "mAP_low", "mAP_high", "mAP50", "difference",
         "difference_low", "difference_high", "kl", "iou", "pareto", "ms_a_picture", "rewrite_s", "smoke", "sha256",
         "model")


# ---- Models

def rewritten(tool, source, scheme, folder):
    """(path of the scheme's model, seconds that the rewrite took). Made anew only when something has changed."""
    path, stamp = (os.path.join(folder, f"{scheme['name']}.{end}") for end in ("onnx", "rewrite.json"))
    files = {o: file_sha256(o) for o in [source, *scheme["options"]] if os.path.isfile(o)}
    key = digest(tool_version(tool), scheme["options"], files)
    if os.path.exists(path) and os.path.exists(stamp) and read_json(stamp)["key"] == key:
        return path, read_json(stamp)["seconds"]
    begin = time.perf_counter()
    call_int4q(tool, "rewrite", source, "-o", path, "-f", "-q", *scheme["options"])
    seconds = round(time.perf_counter() - begin, 3)
    write_json(stamp, {"key": key, "seconds": seconds})
    return path, seconds


def name_of(path):
    return os.path.splitext(os.path.basename(path))[0]


def collect(args, tool, plan):
    """[row] of the float model, the schemes and the models of --models, each checked; the float one first."""
    smoke = SimpleNamespace(threads=1, size=args.size or 640, seed=args.seed)
    first, reference = check_model(plan["model"], tool, smoke, None)
    rows = [{"name": "float", "method": "float", "model": plan["model"], "smoke": "ok", **facts(first)}]
    folder = make_folder(os.path.join(args.output, "models"))
    todo = [(s["name"], s, None) for s in plan["schemes"]] + [(name_of(p), {}, p) for p in args.models]
    names = [name for name, *_ in todo]
    if len(set(names)) < len(names):
        raise Error(f"two models are called {next(n for n in names if names.count(n) > 1)}")
    for name, scheme, path in tqdm(todo, unit="model", desc="rewrite, check", disable=None):
        seconds = None
        if path is None:
            path, seconds = rewritten(tool, plan["model"], scheme, folder)
        checked = try_model(path, tool, smoke, reference)
        rows.append({"name": name, "method": scheme.get("method", "extra"), "kept": scheme.get("kept"),
                     "keep_format": scheme.get("keep_format"), "model": os.path.abspath(path), "rewrite_s": seconds,
                     "smoke": "ok" if checked["ok"] else checked["error"], **facts(checked)})
        if not checked["ok"]:
            print(f"run_schemes.py: {name}: {checked['error']}", file=sys.stderr)
    return rows


def facts(checked):
    return {"bytes": checked.get("bytes"), "sha256": checked.get("sha256")}


# ---- Evaluation

class TimedDetector(Detector):
    """Keeps the seconds of each run."""

    def run(self, values):
        begin = time.perf_counter()
        outputs = super().run(values)
        self.seconds = [*getattr(self, "seconds", []), time.perf_counter() - begin]
        return outputs


def evaluate_piece(paths, images, categories, family, size):
    """For each model, the first of which the others are compared with: (rows, comparison, seconds, family)."""
    detectors = [TimedDetector(path, family, size, 1, probabilities=True) for path in paths]
    rows, compared = run_detectors(detectors, images, categories)
    return [(r, c, statistics.median(d.seconds), d.name) for r, c, d in zip(rows, compared, detectors)]


def piece_file(args, row, images):
    """Where the result of one model on some images is kept."""
    key = digest(PIECE_VERSION, row["sha256"], args.reference_sha256, [file for _, file in images], args.family, args.size,
                 args.annotations_sha256)
    return os.path.join(args.output, "pieces", f"{key[:20]}.npz")


def load_piece(path):
    with np.load(path) as data:
        return data["rows"], data["compared"], float(data["seconds"]), str(data["family"])


def save_piece(path, result):
    make_folder(os.path.dirname(path))
    temporary = f"{path}.{os.getpid()}.npz"
    np.savez_compressed(temporary, rows=result[0], compared=result[1], seconds=result[2], family=result[3])
    os.replace(temporary, path)


def missing_pieces(args, rows, chunks):
    """[(rows of the models, images)] that no file has the result of; without the float model in front."""
    found = []
    for chunk in chunks:
        lacking = [row for row in rows if not os.path.exists(piece_file(args, row, chunk))]
        rest = [row for row in lacking if row is not rows[0]]
        groups = [rest[i:i + TOGETHER] for i in range(0, len(rest), TOGETHER)] or ([[]] if lacking else [])
        found += [(group, chunk) for group in groups]
    return found


def run_pieces(args, rows, chunks, categories):
    todo = missing_pieces(args, rows, chunks)
    total = len(todo)
    if not total:
        return
    with workers(args) as client, tqdm(total=total, unit="piece", desc="evaluate", disable=None) as bar:
        running = {client.submit(evaluate_piece, [rows[0]["model"], *(r["model"] for r in group)], chunk, categories,
                                 args.family, args.size, pure=False): (group, chunk) for group, chunk in todo}
        for future, results in finished(list(running)):
            group, chunk = running[future]
            for row, result in zip([rows[0], *group], results):
                save_piece(piece_file(args, row, chunk), result)
            bar.update()


def evaluate(args, rows):
    """Adds the figures of eval_coco.py to the rows of models that passed the check."""
    coco = read_annotations(args.annotations)
    images = choose_images(coco, os.path.abspath(args.images), args.limit)
    chunks = [images[i:i + args.chunk] for i in range(0, len(images), args.chunk)]
    args.reference_sha256, args.annotations_sha256 = rows[0]["sha256"], file_sha256(args.annotations)
    good = [row for row in rows if row["smoke"] == "ok"]
    run_pieces(args, good, chunks, sorted(coco.getCatIds()))
    models, compared, evaluations = [], [], []
    for row in tqdm(good, unit="model", desc="match", disable=None):
        found = [load_piece(piece_file(args, row, chunk)) for chunk in chunks]
        row["ms_a_picture"] = round(1000 * statistics.median(f[2] for f in found), 1)
        models.append(SimpleNamespace(path=row["model"], name=found[0][3]))
        compared.append(np.concatenate([f[1] for f in found]))
        evaluations.append(match(coco, np.concatenate([f[0] for f in found]), [i for i, _ in images]))
    figures = report_rows(models, evaluations, bootstrap(evaluations, args.bootstrap, args.seed), compared)
    for row, figure in zip(good, figures):
        row.update({key: figure[key] for key in COLUMNS if key not in ("model", "bytes")})
    return good, images, coco


# ---- Results

def add_pareto(rows):
    from int4q.lab.plots import pareto_front  # matplotlib takes a second
    front = set(pareto_front([(row["bytes"], row["mAP"]) for row in rows]))
    for i, row in enumerate(rows):
        row["pareto"], row["ratio"] = i in front, round(rows[0]["bytes"] / row["bytes"], 2)


def write_tables(args, tool, plan, rows):
    with open(os.path.join(args.output, "results.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, TABLE, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    write_json(os.path.join(args.output, "results.json"), {
        "versions": versions(tool), "schemes": os.path.abspath(args.schemes), "sensitivities": plan.get("sensitivities"),
        "annotations": os.path.abspath(args.annotations), "resamples": args.bootstrap, "seed": args.seed, "models": rows})


def print_rows(rows):
    wide = max(len(row["name"]) for row in rows)
    print(f"{'model':{wide}} {'bytes':>10}  {'mAP50-95':>8}  {'95 %':^15}  {'difference':>10}  {'KL':>8}  {'IoU':>5}")
    for row in sorted(rows, key=lambda r: (r.get("mAP") is None, r["bytes"] or 0)):
        if row.get("mAP") is None:
            print(f"{row['name']:{wide}} {row['bytes'] or 0:10d}  failed")
            continue
        spread = f"{row['mAP_low']:.2f} .. {row['mAP_high']:.2f}" if row["mAP_low"] is not None else ""
        change, kl, iou = (shown(row[key], form) for key, form in (("difference", ".2f"), ("kl", ".2f"), ("iou", ".3f")))
        line = f"{row['name']:{wide}} {row['bytes']:10d}  {row['mAP']:8.2f}  {spread:^15}  {change:>10}  {kl:>8}  {iou:>5}"
        print((line + ("  on the front" if row["pareto"] else "")).rstrip())


def run_schemes(args):
    from int4q.lab.report_page import write_page  # matplotlib takes a second
    tool, plan = find_int4q(args.int4q), read_json(args.schemes)
    if not isinstance(plan, dict) or not isinstance(plan.get("schemes"), list) or "model" not in plan:
        raise Error(f"{args.schemes}: no schemes of make_schemes.py")
    make_folder(args.output)
    rows = collect(args, tool, plan)
    good, images, coco = evaluate(args, rows)
    add_pareto(good)
    write_tables(args, tool, plan, rows)
    write_page(args, tool, plan, rows, images, coco)
    print_rows(rows)
    print(f"look at {os.path.join(args.output, 'report.html')}")
    return len(good) == len(rows)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, epilog=family_help(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("schemes", metavar="SCHEMES", help="schemes.json of make_schemes.py")
    parser.add_argument("--images", required=True, metavar="DIR")
    parser.add_argument("--annotations", required=True, metavar="JSON", help="COCO instances of these images")
    parser.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="others for the table, as INT8 baselines")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images only")
    parser.add_argument("--bootstrap", type=int, default=200, metavar="N", help="resamples (200); 0: no intervals")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples and of the check's input")
    parser.add_argument("--chunk", type=int, default=32, metavar="N", help="pictures of a piece of work (32)")
    parser.add_argument("--show", metavar="NAME", help="the scheme whose detections are drawn (default: the smallest on "
                        "the front that loses at most 2 mAP, else the best)")
    parser.add_argument("--draw", type=int, default=4, metavar="N", help="pictures to draw (4)")
    parser.add_argument("-o", "--output", default=os.path.join(TMP, "experiment"), metavar="DIR", help="(tmp/experiment)")
    add_family_options(parser)
    add_worker_options(parser)
    add_tool_option(parser)
    args = parser.parse_args(argv)
    if args.limit is not None and args.limit < 1 or args.bootstrap < 0 or args.chunk < 1 or args.workers < 1:
        parser.error("--limit, --chunk and -j are at least 1, --bootstrap at least 0")
    return args


def main(argv=None):
    args = parse(argv)
    with user_errors("run_schemes.py"):
        sys.exit(0 if run_schemes(args) else 1)
