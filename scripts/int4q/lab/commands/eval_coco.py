# SPDX-License-Identifier: Apache-2.0
"""COCO mAP of ONNX detectors, side by side, with intervals.

    int4q-lab eval-coco float.onnx int4.onnx --images val2017 --annotations instances_val2017.json
    int4q-lab eval-coco float.onnx int4.onnx --annotations data.yaml

For each model: mAP50-95 and mAP50 in percent (matching and averaging by pycocotools) with a 95 % interval from a
bootstrap over the images; the difference from the reference, over the same resamples; and KL, the sum over all
anchors and classes of the Kullback-Leibler divergence of the class probabilities (each a Bernoulli distribution)
from those of the reference, a mean image; and IoU, the mean overlap of an anchor's box with the reference's box of the
same anchor, over the anchors to which the reference gives more than 0.1, weighted by that probability.
KL and IoU are the steadier ones: on few images mAP is mostly noise.
The reference is the first model, or --reference, which is then evaluated as well.
Models called NAME-draw0.onnx, NAME-draw1.onnx and so on differ in what they were calibrated with: a second table has their
means, with the standard deviation of mAP, and mAP as a part of the reference's.
A model whose name ends in .mnn is one that MNN made of the reference, and is run by MNN, a Python package.
"""
import argparse
import os
from collections.abc import Sequence

from int4q.lab.base.errors import user_errors
from int4q.lab.base.files import need_file_name, write_json
from int4q.lab.base.options import command_parser
from int4q.lab.base.tables import shown, write_csv
from int4q.lab.base.types import Row
from int4q.lab.detection.bootstrap import bootstrap
from int4q.lab.detection.coco import categories_of, choose_images, match, read_annotations
from int4q.lab.detection.detectors import Detector, add_family_options, family_help
from int4q.lab.detection.draws import mean_rows
from int4q.lab.detection.evaluation import COLUMNS, Model, open_detectors, report_rows, run_detectors
from int4q.lab.detection.truth import add_truth_options, check_truth
from int4q.lab.models.operators import add_operators_option, use_library


def cell(row: Row, key: str) -> str:
    """A number with its interval, for people."""
    if row[key] is None:
        return "-"
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return f"{row[key]:.2f}" + (f" ({low:.2f} .. {high:.2f})" if low is not None else "")


def print_table(rows: Sequence[Row]) -> None:
    lines = [("model", "bytes", "mAP50-95", "mAP50", "difference", "KL", "IoU")]
    for row in rows:
        similar = ["-" if row[key] is None else f"{row[key]:.3f}" for key in ("kl", "iou")]
        lines.append((os.path.basename(row["model"]), str(row["bytes"]), cell(row, "mAP"), cell(row, "mAP50"),
                      cell(row, "difference"), *similar))
    print_lines(lines)


def print_means(rows: Sequence[Row]) -> None:
    lines = [("mean of draws", "number", "mAP50-95", "ratio", "KL", "IoU")]
    for row in rows:
        spread = f" ± {row['deviation']:.2f}" if row["deviation"] is not None else ""
        lines.append((row["name"], str(row["draws"]), f"{row['mAP']:.2f}{spread}", shown(row["ratio"], ".3f"),
                      shown(row["kl"], ".2f"), shown(row["iou"], ".3f")))
    if rows:
        print()
        print_lines(lines)


def print_classes(rows: Sequence[Row]) -> None:
    """mAP50-95 of each class, that which changes most first."""
    names = sorted(rows[0]["classes"], key=lambda name: -spread([row["classes"][name] for row in rows]))
    print()
    print_lines([("mAP50-95 of", *(os.path.basename(row["model"]) for row in rows)),
                 *((name, *(f"{row['classes'][name]:.2f}" for row in rows)) for name in names)])


def spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def print_lines(lines: Sequence[Sequence[str]]) -> None:
    """In columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def write_reports(args: argparse.Namespace, rows: list[Row]) -> None:
    if args.csv:
        write_csv(args.csv, COLUMNS, rows)
    if args.json:
        write_json(args.json, {"annotations": args.annotations, "resamples": args.bootstrap, "seed": args.seed,
                               "models": rows, "means": mean_rows(rows)})


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__, family_help())
    parser.add_argument("models", nargs="+", metavar="MODEL")
    add_truth_options(parser)
    parser.add_argument("--reference", metavar="MODEL", help="the float model (default: the first MODEL)")
    add_family_options(parser)
    parser.add_argument("--bootstrap", type=int, default=200, metavar="N", help="resamples (200); 0: no intervals")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples")
    parser.add_argument("--classes", action="store_true", help="also mAP of each class (it is in --json anyway)")
    parser.add_argument("--csv", metavar="FILE")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("-j", "--threads", type=int, default=1, metavar="N", help="of ONNX Runtime, or MNN (1)")
    add_operators_option(parser)
    args = parser.parse_args(argv)
    check_truth(parser, args)
    if (args.limit is not None and args.limit < 1) or args.bootstrap < 0 or args.threads < 1:
        parser.error("--limit and --threads are at least 1, --bootstrap at least 0")
    return args


def open_models(args: argparse.Namespace) -> list[Detector]:
    """The reference first."""
    first = [args.reference] if args.reference else []
    return open_detectors([*first, *args.models], args.family, args.size, args.threads)


def evaluate(args: argparse.Namespace) -> list[Row]:
    """Rows for the report, the reference first."""
    coco = read_annotations(args.annotations, args.images)
    images = choose_images(coco, args.images, args.limit, args.strict)
    detectors = open_models(args)
    rows, compared = run_detectors(detectors, images, categories_of(coco))
    evaluations = [match(coco, r, [i for i, _ in images]) for r in rows]
    models = [Model(d.path, d.name) for d in detectors]
    return report_rows(models, evaluations, bootstrap(evaluations, args.bootstrap, args.seed), compared)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("eval_coco.py"):
        use_library(args.ops_library)
        for path in filter(None, (args.csv, args.json)):
            need_file_name(path)
        rows = evaluate(args)
        print_table(rows)
        print_means(mean_rows(rows))
        if args.classes:
            print_classes(rows)
        write_reports(args, rows)
