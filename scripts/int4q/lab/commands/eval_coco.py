# SPDX-License-Identifier: Apache-2.0
"""COCO mAP of ONNX detectors, side by side, with intervals.

    eval_coco.py float.onnx int4.onnx --images val2017 --annotations instances_val2017.json

For each model: mAP50-95 and mAP50 in percent (matching and averaging by pycocotools) with a 95 % interval from a
bootstrap over the images; the difference from the reference, over the same resamples; and KL, the sum over all
anchors and classes of the Kullback-Leibler divergence of the class probabilities (each a Bernoulli distribution)
from those of the reference, a mean image; and IoU, the mean overlap of an anchor's box with the reference's box of the
same anchor, over the anchors to which the reference gives more than 0.1, weighted by that probability.
KL and IoU are the steadier ones: on few images mAP is mostly noise.
The reference is the first model, or --reference, which is then evaluated as well.
A model whose name ends in .mnn is one that MNN made of the reference, and is run by MNN, a Python package.
"""
import argparse
import contextlib
import csv
import io
import json
import os
import sys

import numpy as np
from int4q.lab.detectors import Detector, Error, add_family_options, family_help, one_line, read_picture
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tqdm import tqdm

RECALLS, THRESHOLDS = np.linspace(0, 1, 101), 10  # of COCO's average precision; of IoU
TINY, SEEN = 2.0 ** -24, 0.1
TOGETHER = 1 << 22  # numbers of one array of the bootstrap
COLUMNS = ("model", "family", "bytes", "images", "mAP", "mAP_low", "mAP_high", "mAP50", "mAP50_low", "mAP50_high",
           "difference", "difference_low", "difference_high", "kl", "iou")


def numbered(rows):
    """{id: number} of images or categories: itself where all ids are numbers, else their places from 1."""
    ids = [row["id"] for row in rows]
    return {i: i if all(isinstance(i, int) for i in ids) else place for place, i in enumerate(ids, 1)}


def complete(data):
    """The annotations with what home-made files leave out, and with ids that pycocotools can count with.

    It wants numbers, and takes an annotation of id 0 for none at all.
    """
    images, categories = numbered(data["images"]), numbered(data["categories"])
    for rows, numbers in ((data["images"], images), (data["categories"], categories)):
        for row in rows:
            row["id"] = numbers[row["id"]]
    for place, row in enumerate(data["annotations"], 1):
        row.update(id=place, image_id=images.get(row["image_id"]), category_id=categories[row["category_id"]])
        row.setdefault("iscrowd", 0)
        row.setdefault("area", row["bbox"][2] * row["bbox"][3])
    return data


def read_annotations(path):
    """COCO's index of a file of instances."""
    coco = COCO()
    try:
        with open(path, encoding="utf-8") as file, contextlib.redirect_stdout(io.StringIO()):
            coco.dataset = complete(json.load(file))
            coco.createIndex()
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Error(f"{path}: no COCO annotations: {type(error).__name__}: {one_line(error)}") from error
    return coco


def choose_images(coco, folder, limit):
    """[(id, path)] of the annotated images that the folder has, by id."""
    if not os.path.isdir(folder):
        raise Error(f"{folder}: no such directory")
    every = [(i, os.path.join(folder, coco.imgs[i]["file_name"])) for i in sorted(coco.imgs)]
    there = [pair for pair in every if os.path.exists(pair[1])]
    if not there:
        raise Error(f"{folder}: none of the {len(every)} annotated images is there")
    if len(there) < len(every):
        print(f"{len(there)} of {len(every)} annotated images are in {folder}", file=sys.stderr)
    return there[:limit]


def divergence(wanted, got):
    """Sum of the Kullback-Leibler divergences of Bernoulli distributions with these probabilities."""
    p, q = (np.clip(a, TINY, 1 - TINY) for a in (wanted, got))
    return float((p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum())


def overlap(wanted, got):
    """IoU [n] of boxes [n, 4] with the boxes of the same rows."""
    low, high = np.maximum(wanted[:, :2], got[:, :2]), np.minimum(wanted[:, 2:], got[:, 2:])
    area = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), 1) for boxes in (wanted, got)]
    shared = np.prod(np.maximum(high - low, 0), 1)
    return shared / np.maximum(area[0] + area[1] - shared, TINY)


def compare(wanted, got):
    """(KL, weighted sum of IoUs, sum of their weights) of two (probabilities, boxes), NaN where one is not known."""
    found = np.full(3, np.nan)
    if wanted[0] is None or got[0] is None or wanted[0].shape != got[0].shape:
        return found
    found[0] = divergence(wanted[0], got[0])
    if wanted[1] is not None and got[1] is not None:
        best = wanted[0].max(1)
        seen = best > SEEN
        found[1:] = best[seen] @ overlap(wanted[1][seen], got[1][seen]), best[seen].sum()
    return found


def coco_rows(image, detections, categories, path):
    """Detections of one image as pycocotools wants them: image, x, y, width, height, score, category."""
    boxes, scores, classes = detections
    if classes.size and classes.max() >= len(categories):
        raise Error(f"{path}: class {classes.max()} found, but the annotations have {len(categories)} categories")
    sides = boxes[:, 2:] - boxes[:, :2]
    labels = np.array(categories)[classes] if classes.size else classes
    return np.column_stack([np.full(len(boxes), image), boxes[:, :2], sides, scores, labels]).astype(np.float64)


class MnnDetector(Detector):
    """What MNN made of the model of another detector, which says all that only an ONNX graph tells."""

    def __init__(self, path, origin, threads):
        self.__setstate__({**origin.__getstate__(), "path": path})
        try:
            from MNN import expr, nn
        except ImportError as error:
            raise Error(f"{path}: the Python package MNN is not installed") from error
        names = [[v.name for v in part] for part in (origin.session.get_inputs(), origin.session.get_outputs())]
        try:
            manager = nn.create_runtime_manager(({"numThread": threads},))
            self.expr, self.module = expr, nn.load_module_from_file(path, *names, runtime_manager=manager)
        except (SystemError, RuntimeError) as error:
            raise Error(f"{path}: MNN: no model with {', '.join(names[0] + names[1])}") from error

    def run(self, values):
        found = self.module.forward([self.expr.const(values, list(values.shape), self.expr.NCHW)])
        if not found:
            raise Error(f"{self.path}: MNN cannot run it")
        return [self.expr.convert(value, self.expr.NCHW).read().copy() for value in found]


def open_detectors(args):
    """The reference first."""
    first = [args.reference] if args.reference else []
    found = []
    for path in first + [m for m in args.models if m not in first]:
        found.append(MnnDetector(path, found[0], args.threads) if found and path.endswith(".mnn") else
                     Detector(path, args.family, args.size, args.threads, probabilities=True))
    return found


def run_detectors(detectors, images, categories):
    """([rows] of each detector, its comparison with the first, [detectors, images, 3] as `compare` has it)."""
    rows, compared = [[] for _ in detectors], np.full((len(detectors), len(images), 3), np.nan)
    for column, (image, path) in enumerate(tqdm(images, unit="image", disable=None)):
        picture, wanted, prepared = read_picture(path), None, {}
        for line, detector in enumerate(detectors):
            key = detector.name, detector.size
            if key not in prepared:
                prepared[key] = detector.prepare(picture)
            values, placement = prepared[key]
            outputs = detector.run(values)
            rows[line].append(coco_rows(image, detector.detections(outputs, placement), categories, detector.path))
            got = detector.probabilities(outputs), detector.all_boxes(outputs)
            wanted = got if line == 0 else wanted
            compared[line, column] = compare(wanted, got)
    return [np.concatenate(r) for r in rows], compared


def match(coco, rows, ids):
    """The COCOeval of one model: evaluated (detections matched to annotations), and accumulated."""
    with contextlib.redirect_stdout(io.StringIO()):
        found = coco.loadRes(rows) if len(rows) else empty_results(coco)
        evaluation = COCOeval(coco, found, "bbox")
        evaluation.params.imgIds = ids
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def empty_results(coco):
    found = COCO()
    found.dataset = {"images": coco.dataset["images"], "categories": coco.dataset["categories"], "annotations": []}
    found.createIndex()
    return found


def summary(precision):
    """precision [thresholds, ...], -1 where a category has no annotation -> (mAP50-95, mAP50) in percent."""
    def mean(part):
        return 100 * float(part[part > -1].mean()) if (part > -1).any() else 0.0
    return mean(precision), mean(precision[:1])


def category_matches(evaluation):
    """For each category: (hits [T, n], misses [T, n], image index [n]) by falling score, annotations [images]."""
    images, found = len(evaluation.params.imgIds), []
    for start in range(0, len(evaluation.evalImgs), images):
        cell = [(i, e) for i, e in enumerate(evaluation.evalImgs[start:start + images]) if e is not None]
        wanted = np.zeros(images)
        for i, e in cell:
            wanted[i] = np.sum(np.asarray(e["gtIgnore"]) == 0)
        if not wanted.any():
            continue
        order = np.argsort(-np.concatenate([e["dtScores"] for _, e in cell]), kind="mergesort")
        matched = np.concatenate([e["dtMatches"] for _, e in cell], 1)[:, order] != 0
        ignored = np.concatenate([e["dtIgnore"] for _, e in cell], 1)[:, order].astype(bool)
        index = np.concatenate([np.full(len(e["dtScores"]), i) for i, e in cell])[order].astype(np.int64)
        found.append((matched & ~ignored, ~matched & ~ignored, index, wanted))
    return found


def weighted_precision(category, weights):
    """Average precision [R, T] of one category if image i were there weights[r, i] times; NaN without annotations.

    Precision matters where recall grows, at the hits; there the envelope counts for each of the recalls just reached.
    """
    hits, misses, index, wanted = category
    total, times = weights @ wanted, weights[:, index]
    found = np.full((len(weights), len(hits)), np.nan)
    there = total > 0
    for column, (hit, miss) in enumerate(zip(hits, misses)):
        places = np.flatnonzero(hit)
        right = np.cumsum(times[:, places], 1)[there]
        wrong = np.cumsum(times * miss, 1)[there][:, places]
        precision = right / np.maximum(right + wrong, np.spacing(1))
        envelope = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        reached = np.searchsorted(RECALLS, right / total[there, None], side="right")
        found[there, column] = (envelope * np.diff(reached, axis=1, prepend=0)).sum(1) / len(RECALLS)
    return found


def weighted_summary(categories, weights):
    """[R, 2]: mAP50-95 and mAP50 in percent of the images taken weights[r, i] times."""
    table = np.array([weighted_precision(c, weights) for c in categories]).reshape(-1, len(weights), THRESHOLDS)
    count = np.maximum(np.sum(~np.isnan(table[:, :, 0]), 0), 1)
    means = 100 * np.nansum(table, 0) / count[:, None]
    return np.stack([means.mean(1), means[:, 0]], 1)


def bootstrap(evaluations, rounds, seed):
    """[rounds, models, 2]: mAP50-95 and mAP50 over images drawn with replacement, the same for all models."""
    images = len(evaluations[0].params.imgIds)
    random, found = np.random.default_rng(seed), np.zeros((rounds, len(evaluations), 2))
    drawn = [np.bincount(random.integers(images, size=images), minlength=images) for _ in range(rounds)]
    for column, evaluation in enumerate(tqdm(evaluations, unit="model", desc="resample", disable=None, leave=False)):
        categories = category_matches(evaluation)
        together = max(1, TOGETHER // max([1, *(len(c[2]) for c in categories)]))
        for start in range(0, rounds, together):
            weights = np.array(drawn[start:start + together], np.float64)
            found[start:start + together, column] = weighted_summary(categories, weights)
    return found


def interval(point, values, lowest=0):
    """The middle 95 % of the resamples, moved so that their mean is the point; [None, None] without any.

    Moved, because with few images a category the mAP of a resample is some percent too high on average.
    """
    if not len(values):
        return [None, None]
    ends = np.percentile(values - values.mean() + point, [2.5, 97.5])
    return [round(float(v), 4) for v in np.clip(ends, lowest, 100)]


def similarity(compared):
    """(KL, IoU) over all images from [images, 3]; None for what is not known."""
    if np.isnan(compared[:, 0]).any():
        return None, None
    total, weight = compared[:, 1:].sum(0)
    return round(float(compared[:, 0].mean()), 4), round(float(total / weight), 4) if weight > 0 else None


def report_rows(detectors, evaluations, resamples, compared):
    points, rows = [summary(e.eval["precision"]) for e in evaluations], []
    for i, (detector, point) in enumerate(zip(detectors, points)):
        values = [detector.path, detector.name, os.path.getsize(detector.path), len(evaluations[i].params.imgIds)]
        for part in range(2):
            values += [round(point[part], 4), *interval(point[part], resamples[:, i, part])]
        change = point[0] - points[0][0]
        changes = resamples[:, i, 0] - resamples[:, 0, 0]
        values += [round(change, 4), *interval(change, changes, -100)] if i else [None] * 3
        values += similarity(compared[i]) if i else [None] * 2
        rows.append(dict(zip(COLUMNS, values)))
    return rows


def cell(row, key):
    """A number with its interval, for people."""
    if row[key] is None:
        return "-"
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return f"{row[key]:.2f}" + (f" ({low:.2f} .. {high:.2f})" if low is not None else "")


def print_table(rows):
    lines = [("model", "bytes", "mAP50-95", "mAP50", "difference", "KL", "IoU")]
    for row in rows:
        similar = ["-" if row[key] is None else f"{row[key]:.3f}" for key in ("kl", "iou")]
        lines.append((os.path.basename(row["model"]), str(row["bytes"]), cell(row, "mAP"), cell(row, "mAP50"),
                      cell(row, "difference"), *similar))
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def write_reports(args, rows):
    if args.csv:
        with open(args.csv, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"annotations": args.annotations, "resamples": args.bootstrap, "seed": args.seed,
                       "models": rows}, file, indent=1)
            file.write("\n")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, epilog=family_help(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--images", required=True, metavar="DIR")
    parser.add_argument("--annotations", required=True, metavar="JSON", help="COCO instances of these images")
    parser.add_argument("--reference", metavar="MODEL", help="the float model (default: the first MODEL)")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images only")
    add_family_options(parser)
    parser.add_argument("--bootstrap", type=int, default=200, metavar="N", help="resamples (200); 0: no intervals")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples")
    parser.add_argument("--csv", metavar="FILE")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("-j", "--threads", type=int, default=1, metavar="N", help="of ONNX Runtime, or MNN (1)")
    args = parser.parse_args(argv)
    if args.limit is not None and args.limit < 1 or args.bootstrap < 0 or args.threads < 1:
        parser.error("--limit and --threads are at least 1, --bootstrap at least 0")
    return args


def evaluate(args):
    """Rows for the report, the reference first."""
    coco = read_annotations(args.annotations)
    images = choose_images(coco, args.images, args.limit)
    detectors = open_detectors(args)
    rows, compared = run_detectors(detectors, images, sorted(coco.getCatIds()))
    evaluations = [match(coco, r, [i for i, _ in images]) for r in rows]
    return report_rows(detectors, evaluations, bootstrap(evaluations, args.bootstrap, args.seed), compared)


def main(argv=None):
    args = parse(argv)
    try:
        rows = evaluate(args)
        print_table(rows)
        write_reports(args, rows)
    except Error as error:
        sys.exit(f"eval_coco.py: {error}")
    except OSError as error:
        sys.exit(f"eval_coco.py: {error.filename}: {error.strerror}")
