# SPDX-License-Identifier: Apache-2.0
"""Measure what each Conv of a detector loses in 4 bits: one Conv at a time is quantized, all others stay float.

    int4q-lab sensitivity-sweep yolov10n.onnx --images calib -n 16 -o sens.json
    int4q rewrite yolov10n.onnx --topk sens.json --keep 10

The codes are those of `int4q rewrite` (with the options of --rewrite), run once for all Convs: what it makes of one Conv
does not depend on the others.  With --what activations it is what Convs read that is quantized, one value at a time, and
all weights stay float; --rewrite names the statistics then, and 4 bits are taken unless it says --activations:

    sensitivity_sweep.py yolov10n.onnx --images calib --what activations --rewrite '--calibration stats.safetensors' \
        -o inputs.json
    int4q rewrite yolov10n.onnx --calibration stats.safetensors --activations uint4 --keep-activations inputs.json

(a tenth of them at most keep 8 bits: "k" in the file says how many).

For each, a mean over the images, against the float model:

    kl       sum over anchors and classes of the Kullback-Leibler divergence of the class probabilities, as in eval_coco.py
    box_mse  mean squared error of the box sides in pixels of the input, anchors weighted by their best float probability
    map_drop with --annotations: mAP50-95 of the float model minus that of the candidate, in percent

--metric both counts the first two, each as a part of its sum over all: what --bits wants, as KL knows nothing of boxes.
kl_error and box_mse_error are the standard errors of these means: how much other images might change them.

Before a Conv a candidate computes what the float model does, so that is computed once for a few Convs (--group) and kept.
Each result is stored as soon as it is known (--work); the same command goes on where it was stopped or killed.  Work is
spread by Dask, over processes of this machine or with --scheduler over those of others, which need Python with the
packages of requirements.txt, and no file of ours.
"""
import argparse
import math
import os
import shlex
import sys
from collections.abc import Sequence

from int4q.lab.base.errors import Error, user_errors, warn
from int4q.lab.base.files import Journal, digest, file_sha256, make_folder, need_file_name, write_json, write_whole
from int4q.lab.base.options import command_parser
from int4q.lab.base.places import TMP
from int4q.lab.base.tool import add_tool_option, find_int4q, tool_version
from int4q.lab.base.types import Array, Row
from int4q.lab.base.workers import add_worker_options, workers
from int4q.lab.detection.coco import categories_of, choose_images, dataset_sha256, read_annotations
from int4q.lab.detection.detectors import Detector, add_family_options, family_help
from int4q.lab.detection.pictures import read_picture, sample_pictures
from int4q.lab.experiment.candidates import Candidate, cut_groups, find_candidates, quantized
from int4q.lab.experiment.inputs import find_inputs
from int4q.lab.experiment.sweep import Truth, run_tasks
from int4q.lab.models.graph import Graph
from int4q.lab.models.session import load_whole

METRICS = {"kl": "KL divergence of the class probabilities, sum a picture",
           "boxes": "mean squared error of the boxes, square pixels", "map": "mAP50-95 lost, percent",
           "both": "part of all KL divergences and part of all errors of boxes"}
CANDIDATES = {"weights": find_candidates, "activations": find_inputs}
UNITS = {"weights": "Convs", "activations": "activations"}
COLUMNS = {"kl": ["kl"], "boxes": ["box_mse"], "map": ["map_drop"], "both": ["kl", "box_mse"]}


def read_images(detector: Detector, args: argparse.Namespace) -> tuple[list[str], list[Array], Truth | None]:
    """([path], [input], what mAP needs of them or None)."""
    chosen, coco = [], None
    if args.annotations:
        coco = read_annotations(args.annotations, args.images)
        chosen = choose_images(coco, args.images, args.number, args.strict)
        if len(chosen) < args.number:
            warn(f"only {len(chosen)} pictures in {args.images}")
    paths = [path for _, path in chosen] if coco else sample_pictures(args.images, args.number, args.seed, args.strict)
    prepared = [detector.prepare(read_picture(path)) for path in paths]
    truth = coco and Truth(coco, [i for i, _ in chosen], [placement for _, placement in prepared],
                           detector.category_ids(detector.run(prepared[0][0]), categories_of(coco)))
    return paths, [values.astype(detector.kind) for values, _ in prepared], truth


def check_head(detector: Detector, metric: str) -> None:
    if not detector.has_probabilities:
        raise Error(f"{detector.path}: its class probabilities cannot be found, so nothing can be compared")
    if metric in ("boxes", "both") and not detector.family.decode and len(detector.taps) < 2:
        raise Error(f"{detector.path}: its boxes before the choice of detections cannot be found; take --metric kl")


def rewrite_options(args: argparse.Namespace) -> list[str]:
    options = shlex.split(args.rewrite)
    chosen = any(o.split("=")[0] == "--activations" for o in options)
    return options if chosen or args.what == "weights" else [*options, "--activations", "uint4"]


def sweep(args: argparse.Namespace) -> Row:
    need_file_name(args.output)
    tool = find_int4q(args.int4q)
    detector = Detector(args.model, args.family, args.size, 1, probabilities=True)
    check_head(detector, args.metric)
    model = load_whole(args.model)
    made = quantized(args.model, tool, rewrite_options(args))
    candidates = CANDIDATES[args.what](model, made)
    paths, inputs, truth = read_images(detector, args)
    key = digest(file_sha256(args.model), args.what, made.digest, [file_sha256(p) for p in paths], detector.name,
                 detector.size, truth and dataset_sha256(truth.coco))
    journal = Journal(os.path.join(make_folder(args.work), f"{key[:16]}.jsonl"))
    known = {row["layer"] for row in journal.rows}
    if known:
        print(f"{len(known)} of {len(candidates)} {UNITS[args.what]} are done already: {journal.path}", file=sys.stderr)
    if any(c.layer not in known for c in candidates):
        outputs = detector.outputs + detector.taps
        groups = cut_groups(Graph(model, outputs), candidates, args.group)
        with workers(args.scheduler, args.workers) as client:
            run_tasks(client, detector, model, groups, inputs, truth, journal)
    return describe(args, tool, made.report, paths, candidates, journal)


def scores(rows: Sequence[Row], metric: str) -> list[tuple[float, float | None]]:
    """(score, its standard error) of each row; of several measures each counts as a part of its sum over the rows."""
    columns = COLUMNS[metric]
    if len(columns) == 1:
        return [(row[columns[0]], row.get(f"{columns[0]}_error")) for row in rows]
    sums = {c: sum(row[c] for row in rows) or 1. for c in columns}
    return [(sum(row[c] / sums[c] for c in columns),
             math.hypot(*((row.get(f"{c}_error") or 0) / sums[c] for c in columns))) for row in rows]


def describe(args: argparse.Namespace, tool: str, report: Row, paths: Sequence[str], candidates: Sequence[Candidate],
             journal: Journal) -> Row:
    """The file for --topk or --keep-activations, most sensitive first."""
    found = {row["layer"]: row for row in journal.rows}
    scored = scores([found[c.layer] for c in candidates], args.metric)
    rows = [{"layer": c.layer, "num_bits": c.bits, "sensitivity": score, "sensitivity_error": error,
             **{key: v for key, v in found[c.layer].items() if key not in ("layer", "seconds")}, **c.about}
            for c, (score, error) in zip(candidates, scored, strict=True)]
    keep = {"k": max(1, len(rows) // 10)} if args.what == "activations" else {}
    return {**keep, "scheme": {"what": args.what, "rewrite": args.rewrite, "options": report["options"],
                       "metric": METRICS[args.metric], "direction": "higher is worse"},
            "model": {"path": os.path.abspath(args.model), "sha256": file_sha256(args.model), "layers": len(rows)},
            "dataset": {"images": [os.path.basename(p) for p in paths], "annotations": args.annotations},
            "int4q": tool_version(tool),
            "layer_sensitivity": sorted(rows, key=lambda row: -row["sensitivity"])}


def write_results(args: argparse.Namespace, result: Row) -> None:
    from int4q.lab.pages.plots import sensitivity_bars, svg  # matplotlib takes a second
    rows = result["layer_sensitivity"]
    write_json(args.output, result)
    plot = args.plot or os.path.splitext(args.output)[0] + ".svg"
    write_whole(plot, svg(sensitivity_bars(rows, result["scheme"]["metric"], UNITS[args.what])))
    print(f"{result['scheme']['metric']}; the most sensitive of {len(rows)} {UNITS[args.what]}:")
    for row in rows[:5]:
        print(f"{row['sensitivity']:12.6g}  {row['layer']}")
    print(f"{args.output}, {plot}")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__, family_help())
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--images", required=True, metavar="PLACE", help="a folder, a list (.txt), a data.yaml")
    parser.add_argument("-o", "--output", required=True, metavar="FILE",
                        help="JSON for int4q rewrite --topk, or --keep-activations")
    parser.add_argument("--what", choices=CANDIDATES, default="weights", help="what is quantized (weights)")
    parser.add_argument("--plot", metavar="FILE", help="bars as SVG (default: beside the output)")
    parser.add_argument("--annotations", metavar="FILE",
                        help="COCO instances, or a data.yaml: the first images of it, and their mAP")
    parser.add_argument("--metric", choices=METRICS, default="kl", help="what `sensitivity` is in the output (kl)")
    parser.add_argument("-n", "--number", type=int, default=16, metavar="N", help="pictures (16)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pictures")
    parser.add_argument("--rewrite", default="", metavar="OPTIONS", help="of int4q rewrite, as '--method squant'")
    parser.add_argument("--group", type=int, default=8, metavar="N", help="Convs that share a cut (8)")
    parser.add_argument("--work", default=os.path.join(TMP, "sweep"), metavar="DIR",
                        help="where finished results are kept (tmp/sweep)")
    add_family_options(parser)
    add_worker_options(parser)
    add_tool_option(parser)
    args = parser.parse_args(argv)
    if args.number < 1 or args.group < 1 or args.workers < 1:
        parser.error("-n, --group and -j are at least 1")
    if args.metric == "map" and not args.annotations:
        parser.error("--metric map needs --annotations")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("sensitivity_sweep.py", resumes=True):
        write_results(args, sweep(args))
