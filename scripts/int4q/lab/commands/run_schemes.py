# SPDX-License-Identifier: Apache-2.0
"""Make, check and measure every scheme of make_schemes.py: one table, and one page to look at.

    int4q-lab run-schemes tmp/schemes/schemes.json --images val2017 --annotations instances_val2017.json -o tmp/experiment

Each scheme is rewritten by int4q and checked as by smoke_run.py; then it, the float model and the models of --models are
evaluated as by eval_coco.py, with intervals from a bootstrap over the pictures.  In the output folder: results.csv,
results.json, report.html (one file, nothing is loaded from elsewhere), pareto.svg, the models.
Work is spread by Dask in pieces of some models and some pictures, and a piece that is done is not done again: the same
command goes on where it was stopped.  With --scheduler the workers must find models and pictures under the same paths.
Times are those of this run; all other figures are the same from run to run.
"""
import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence

import numpy as np
from pycocotools.coco import COCO

from int4q.lab.base.errors import Error, user_errors, warn
from int4q.lab.base.files import digest, file_sha256, make_folder, read_json, write_json
from int4q.lab.base.options import command_parser
from int4q.lab.base.places import TMP
from int4q.lab.base.progress import progress
from int4q.lab.base.tables import shown, write_csv
from int4q.lab.base.tool import add_tool_option, call_int4q, find_int4q, tool_version, versions
from int4q.lab.base.types import Row
from int4q.lab.base.workers import add_worker_options, processors
from int4q.lab.detection.bootstrap import bootstrap
from int4q.lab.detection.coco import Image, categories_of, choose_images, dataset_sha256, match, read_annotations
from int4q.lab.detection.detectors import add_family_options, family_help
from int4q.lab.detection.evaluation import COLUMNS, Model, report_rows
from int4q.lab.detection.truth import add_truth_options, check_truth
from int4q.lab.experiment.pieces import Pieces
from int4q.lab.experiment.smoke import Run, check_model, try_model
from int4q.lab.models.operators import add_operators_option, use_library
from int4q.lab.pages.front import pareto_front

FROM_SCHEME = ("block", "order", "bits_per_weight", "predicted_loss", "kept", "keep_format", "command")
TABLE = ("name", "method", "kind", "block", "order", "bits_per_weight", "predicted_loss", "kept", "keep_format", "bytes",
         "ratio", "mAP", "mAP_low", "mAP_high", "mAP50", "difference", "difference_low", "difference_high", "kl", "iou",
         "pareto", "ms_a_picture", "rewrite_s", "smoke", "sha256", "model", "command")
WITHIN = 1.0  # mAP that one is ready to lose


def rewritten(tool: str, source: str, scheme: Row, folder: str) -> tuple[str, float]:
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


def name_of(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def collect(args: argparse.Namespace, tool: str, plan: Row) -> list[Row]:
    """[row] of the float model, the schemes and the models of --models, each checked; the float one first."""
    how = Run(1, args.size, args.seed)
    first, reference = check_model(plan["model"], tool, how, None)
    rows = [{"name": "float", "method": "float", "kind": "float", "model": plan["model"], "smoke": "ok", **facts(first)}]
    folder = make_folder(os.path.join(args.output, "models"))
    todo = [(s["name"], s, None) for s in plan["schemes"]] + [(name_of(p), {}, p) for p in args.models]
    names = [name for name, *_ in todo]
    if len(set(names)) < len(names):
        raise Error(f"two models are called {next(n for n in names if names.count(n) > 1)}")
    for name, scheme, extra in progress(todo, "model", desc="rewrite, check"):
        path, seconds = (extra, None) if extra else rewritten(tool, plan["model"], scheme, folder)
        checked = try_model(path, tool, how, reference)
        rows.append({"name": name, "method": scheme.get("method", "extra"), "kind": kind_of(scheme),
                     **{key: scheme.get(key) for key in FROM_SCHEME},
                     "model": os.path.abspath(path), "rewrite_s": seconds,
                     "smoke": "ok" if checked["ok"] else checked["error"], **facts(checked)})
        if not checked["ok"]:
            warn(f"{name}: {checked['error']}")
    return rows


def kind_of(scheme: Row) -> str:
    """How scales and bits are spread, in a word or two."""
    if not scheme:
        return "other"
    if "--choices" in scheme["options"]:
        return "mixed bits"
    return f"block {scheme['block']}" if scheme.get("block") else "per channel"


def origin(args: argparse.Namespace, tool: str, plan: Row, images: Sequence[Image]) -> list[tuple[str, str]]:
    """How the page was made, as (what, value)."""
    found = [("date", time.strftime("%Y-%m-%d %H:%M %Z")), ("model", plan["model"]),
             ("pictures", f"{len(images)} of {os.path.abspath(args.images)}"),
             ("annotations", os.path.abspath(args.annotations)), ("resamples", f"{args.bootstrap}, seed {args.seed}"),
             ("schemes", os.path.abspath(args.schemes))]
    if plan.get("sensitivities"):
        found.append(("sensitivities", plan["sensitivities"]))
    calibrations = sorted({s["options"][s["options"].index("--calibration") + 1] for s in plan["schemes"]
                           if "--calibration" in s["options"]})
    return [*found, *(("calibration", path) for path in calibrations),
            ("host", f"{platform.node()}, {platform.machine()}, {processors()} processors"), *versions(tool).items()]


def facts(checked: Row) -> Row:
    return {"bytes": checked.get("bytes"), "sha256": checked.get("sha256"), "ops_library": checked.get("ops_library")}


def evaluate(args: argparse.Namespace, rows: list[Row]) -> tuple[list[Row], list[Image], COCO]:
    """Adds the figures of eval_coco.py to the rows of models that passed the check, which are returned."""
    coco = read_annotations(args.annotations, args.images)
    images = choose_images(coco, os.path.abspath(args.images), args.limit, args.strict)
    chunks = [images[i:i + args.chunk] for i in range(0, len(images), args.chunk)]
    good = [row for row in rows if row["smoke"] == "ok"]
    folder = os.path.join(args.output, "pieces")
    pieces = Pieces(folder, good, dataset_sha256(coco), args.family, args.size)
    pieces.run(chunks, categories_of(coco), args.scheduler, args.workers)
    models, compared, evaluations = [], [], []
    for row in progress(good, "model", desc="match"):
        found = [pieces.load(row, chunk) for chunk in chunks]
        row["ms_a_picture"] = round(1000 * statistics.median(f.seconds for f in found), 1)
        models.append(Model(row["model"], found[0].family))
        compared.append(np.concatenate([f.compared for f in found]))
        evaluations.append(match(coco, np.concatenate([f.rows for f in found]), [i for i, _ in images]))
    figures = report_rows(models, evaluations, bootstrap(evaluations, args.bootstrap, args.seed), compared)
    for row, figure in zip(good, figures, strict=True):
        row.update({key: figure[key] for key in (*COLUMNS, "classes") if key not in ("model", "bytes")})
    return good, images, coco


def add_pareto(rows: Sequence[Row]) -> None:
    front = set(pareto_front([(row["bytes"], row["mAP"]) for row in rows]))
    for i, row in enumerate(rows):
        row["pareto"], row["ratio"] = i in front, round(rows[0]["bytes"] / row["bytes"], 2)


def smallest(rows: Sequence[Row], within: float = WITHIN) -> Row | None:
    """The row of the smallest scheme whose mAP is at most so much below that of the float model, the first one."""
    close = [row for row in rows[1:] if row["mAP"] >= rows[0]["mAP"] - within]
    return min(close, key=lambda row: row["bytes"], default=None)


def answer(rows: Sequence[Row]) -> str:
    """The first line for people."""
    row = smallest(rows)
    if row is None:
        return f"nothing is within {WITHIN:g} mAP of the float model"
    how = f": {row['command']}" if row.get("command") else ""
    change = row["mAP"] - rows[0]["mAP"]
    return f"smallest within {WITHIN:g} mAP: {row['name']}, {row['bytes']} bytes, {change:+.2f} mAP{how}"


def write_tables(args: argparse.Namespace, tool: str, plan: Row, rows: list[Row], best: Row | None) -> None:
    write_csv(os.path.join(args.output, "results.csv"), TABLE, rows)
    write_json(os.path.join(args.output, "results.json"), {
        "versions": versions(tool), "schemes": os.path.abspath(args.schemes), "sensitivities": plan.get("sensitivities"),
        "annotations": os.path.abspath(args.annotations), "resamples": args.bootstrap, "seed": args.seed,
        "smallest": best and {"within": WITHIN, **{key: best.get(key) for key in ("name", "bytes", "mAP", "command")}},
        "models": rows})


def print_rows(rows: Sequence[Row]) -> None:
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


def run_schemes(args: argparse.Namespace) -> bool:
    from int4q.lab.pages.report_page import Show, write_page  # matplotlib and Altair take seconds
    tool, plan = find_int4q(args.int4q), read_json(args.schemes)
    if not isinstance(plan, dict) or not isinstance(plan.get("schemes"), list) or "model" not in plan:
        raise Error(f"{args.schemes}: no schemes of make_schemes.py")
    make_folder(args.output)
    rows = collect(args, tool, plan)
    good, images, coco = evaluate(args, rows)
    add_pareto(good)
    write_tables(args, tool, plan, rows, smallest(good))
    write_page(args.output, plan, rows, images, coco, Show(args.show, args.draw, args.family, args.size, tool), TABLE,
               origin(args, tool, plan, images))
    print(answer(good))
    print_rows(rows)
    print(f"look at {os.path.join(args.output, 'report.html')}")
    return len(good) == len(rows)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__, family_help())
    parser.add_argument("schemes", metavar="SCHEMES", help="schemes.json of make_schemes.py")
    add_truth_options(parser)
    parser.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="others for the table, as INT8 baselines")
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
    add_operators_option(parser)
    args = parser.parse_args(argv)
    check_truth(parser, args)
    if (args.limit is not None and args.limit < 1) or args.bootstrap < 0 or args.chunk < 1 or args.workers < 1:
        parser.error("--limit, --chunk and -j are at least 1, --bootstrap at least 0")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("run_schemes.py", resumes=True):
        use_library(args.ops_library)
        sys.exit(0 if run_schemes(args) else 1)
