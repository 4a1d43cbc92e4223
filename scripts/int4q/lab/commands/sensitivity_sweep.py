# SPDX-License-Identifier: Apache-2.0
"""Measure what each Conv of a detector loses in 4 bits: one Conv at a time is quantized, all others stay float.

    sensitivity_sweep.py yolov10n.onnx --images calib -n 16 -o sens.json
    int4q rewrite yolov10n.onnx --topk sens.json --keep 10

The codes are those of `int4q rewrite` (with the options of --rewrite), run once for all Convs: what it makes of one Conv
does not depend on the others.  For each Conv, a mean over the images, against the float model:

    kl       sum over anchors and classes of the Kullback-Leibler divergence of the class probabilities, as in eval_coco.py
    box_mse  mean squared error of the box sides in pixels of the input, anchors weighted by their best float probability
    map_drop with --annotations: mAP50-95 of the float model minus that of the candidate, in percent

Before a Conv a candidate computes what the float model does, so that is computed once for a few Convs (--group) and kept.
Each result is stored as soon as it is known (--work); the same command goes on where it was stopped or killed.  Work is
spread by Dask, over processes of this machine or with --scheduler over those of others, which need Python with the
packages of requirements.txt, and no file of ours.
"""
import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from typing import NamedTuple

import numpy as np
import onnx
from int4q.lab.run import (TMP, Journal, add_tool_option, add_worker_options, call_int4q, digest, find_int4q, finished,
                   given, make_folder, tool_version, user_errors, workers, write_json, write_whole)
from int4q.lab.commands.calibrate import file_sha256
from int4q.lab.detectors import (Detector, Error, add_family_options, family_help, load_model, one_line, read_picture,
                       sample_pictures)
from int4q.lab.commands.eval_coco import choose_images, coco_rows, divergence, match, read_annotations, summary
from onnx import numpy_helper
from int4q.lab.graph import Graph
from tqdm import tqdm

METRICS = {"kl": "KL divergence of the class probabilities, sum a picture",
           "boxes": "mean squared error of the boxes, square pixels", "map": "mAP50-95 lost, percent"}
COLUMN = {"kl": "kl", "boxes": "box_mse", "map": "map_drop"}


# ---- Candidates

class Candidate(NamedTuple):
    """One weight in 4 bits."""
    layer: str     # its node's name, else the weight's
    at: int        # position of the first node that reads it
    changes: dict  # as Graph.part takes them
    weights: int
    saved: int     # bytes


def restored_model(path, tool, options):
    """(int4q's report, the model with every weight as it decodes to, a digest of the quantized one)."""
    with tempfile.TemporaryDirectory() as folder:
        small, wide = os.path.join(folder, "small.onnx"), os.path.join(folder, "wide.onnx")
        report = json.loads(call_int4q(tool, "rewrite", path, "-o", small, "--json", "-", *options))
        call_int4q(tool, "restore", small, "-o", wide, "-q")
        return report, onnx.load(wide), file_sha256(small)


def stored_values(graph, names):
    """{name: array} of the initializers and Constant nodes with these names."""
    found = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.name in names}
    for node in graph.node:
        if node.op_type == "Constant" and node.output[0] in names and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def weight_rows(report):
    """{weight: [rows of the report]} of what int4q quantized."""
    found = {}
    for row in report["convs"]:
        if row["reason"] is None:
            found.setdefault(row["weight"], []).append(row)
    return found


def find_candidates(model, report, decoded):
    """[Candidate] in the order of the graph. A bias that int4q corrects belongs to its weight."""
    makers = {name: n for n in model.graph.node for name in n.output}
    positions = {n.output[0]: at for at, n in enumerate(model.graph.node) if n.output}
    after = {n.output[0]: n for n in decoded.graph.node if n.output}
    rows, readers = weight_rows(report), {}
    for node in model.graph.node:
        for name in node.input[1:2]:
            while name in makers and makers[name].op_type == "Identity":
                name = makers[name].input[0]
            if name in rows and node.op_type in {r["op"] for r in rows[name]}:
                readers.setdefault(name, []).append(node)
    biases = {n for nodes in readers.values() for node in nodes for n in after[node.output[0]].input[2:3]}
    old, new = stored_values(model.graph, biases), stored_values(decoded.graph, biases | set(readers))
    found = []
    for weight, nodes in readers.items():
        stored, inputs = {weight: new[weight]}, {}
        for node in nodes:
            bias = list(after[node.output[0]].input[2:3])
            if bias and bias[0] in new and not np.array_equal(old.get(bias[0]), new[bias[0]]):
                stored[bias[0]], inputs[node.output[0]] = new[bias[0]], [*node.input[:2], *bias]
        first = rows[weight][0]
        found.append(Candidate(first["node"] or weight, min(positions[n.output[0]] for n in nodes),
                               {"stored": stored, "inputs": inputs}, first["weights"],
                               first["bytes_before"] - first["bytes_after"]))
    if not found:
        raise Error("no Conv of the main graph is quantized")
    return sorted(found, key=lambda c: c.at)


def cut_groups(graph, candidates, size):
    """[(cut, [candidates])]: so many candidates share what is computed before the cut, which lies where little is live."""
    groups, low = [], 0
    for start in range(0, len(candidates), size):
        part = candidates[start:start + size]
        groups.append((graph.best_cut(low, part[0].at), part))
        low = part[-1].at + 1
    return groups


# ---- Tasks, which any worker may run

def parsed(data, outputs):
    return Graph(onnx.load_from_string(data), outputs)


def advance(data, outputs, first, last, states):
    """The states at the cut `last`, from those at `first`."""
    graph = parsed(data, outputs)
    return graph.run(first, last, states, graph.live(last))


def finish(data, outputs, first, states, changes=None):
    """For each state the list of outputs of the (changed) model."""
    graph = parsed(data, outputs)
    return [[found[name] for name in outputs] for found in graph.run(first, len(graph.nodes), states, outputs, 1, changes)]


def judge(detector, values):
    """What candidates are compared with: [(boxes, probabilities)] of the float model."""
    return [(detector.all_boxes(v), detector.probabilities(v)) for v in values]


def box_error(got, wanted, probabilities):
    weight = probabilities.max(1)
    return float((weight * ((got - wanted) ** 2).mean(1)).sum() / weight.sum()) if weight.sum() else 0.0


def mean_precision(detector, values, truth):
    coco, ids, placements, categories = truth
    rows = [coco_rows(i, detector.detections(v, p), categories, "model") for i, v, p in zip(ids, values, placements)]
    return summary(match(coco, np.concatenate(rows), ids).eval["precision"])[0]


def measure(data, detector, outputs, first, states, reference, truth, candidate):
    """The row of one candidate."""
    begin = time.perf_counter()
    try:
        values = finish(data, outputs, first, states, candidate.changes)
    except Error as error:
        raise Error(f"{candidate.layer}: {error}") from error
    wanted, row = reference["heads"], {"layer": candidate.layer}
    row["kl"] = float(np.mean([divergence(w[1], detector.probabilities(v)) for w, v in zip(wanted, values)]))
    boxes = [box_error(detector.all_boxes(v), w[0], w[1]) for w, v in zip(wanted, values) if w[0] is not None]
    row["box_mse"] = float(np.mean(boxes)) if boxes else None
    if truth:
        row["map_drop"] = reference["map"] - mean_precision(detector, values, truth)
    return {**row, "seconds": round(time.perf_counter() - begin, 3)}


def refer(data, detector, outputs, first, states, truth):
    """What the float model finds."""
    values = finish(data, outputs, first, states)
    return {"heads": judge(detector, values), "map": mean_precision(detector, values, truth) if truth else None}


# ---- The sweep

def read_images(detector, args):
    """([path], [input], what mAP needs or None)."""
    if args.annotations:
        coco = read_annotations(args.annotations)
        chosen = choose_images(coco, args.images, args.number)
        ids, paths = zip(*chosen)
    else:
        paths = sample_pictures(args.images, args.number, args.seed)
    if len(paths) < args.number:
        print(f"sensitivity_sweep.py: only {len(paths)} pictures in {args.images}", file=sys.stderr)
    prepared = [detector.prepare(read_picture(path)) for path in paths]
    truth = None
    if args.annotations:
        truth = coco, list(ids), [placement for _, placement in prepared], sorted(coco.getCatIds())
    return paths, [values.astype(detector.kind) for values, _ in prepared], truth


def load_whole(path):
    load_model(path)  # for its errors
    try:
        return onnx.load(path)
    except Exception as error:  # of external data
        raise Error(f"{path}: {one_line(error)}") from error


def run_tasks(client, detector, outputs, data, groups, states, truth, journal):
    """Submit everything that has no result yet, and store results as they come."""
    done = {row["layer"] for row in journal.rows}
    total = sum(len(part) for _, part in groups)
    data, detector, truth, *states = (client.submit(given, v, pure=False) for v in (data, detector, truth, states))
    cuts = [cut for cut, _ in groups]
    for first, last in zip([0, *cuts], cuts):
        states.append(client.submit(advance, data, outputs, first, last, states[-1], pure=False))
    reference = client.submit(refer, data, detector, outputs, cuts[-1], states[-1], truth, pure=False, priority=1)
    futures = [client.submit(measure, data, detector, outputs, cut, state, reference, truth, candidate, pure=False,
                             priority=-number)
               for number, ((cut, part), state) in enumerate(zip(groups, states[1:]))
               for candidate in part if candidate.layer not in done]
    del states  # so that each goes when its last candidate is done
    with tqdm(total=total, initial=total - len(futures), unit="Conv", disable=None) as bar:
        for future, row in finished(futures):
            journal.add(row)
            future.release()
            bar.update()


def check_head(detector, args):
    if not detector.has_probabilities:
        raise Error(f"{args.model}: its class probabilities cannot be found, so nothing can be compared")
    if args.metric == "boxes" and not detector.family.decode and len(detector.taps) < 2:
        raise Error(f"{args.model}: its boxes before the choice of detections cannot be found; take --metric kl")


def sweep(args):
    tool, options = find_int4q(args.int4q), shlex.split(args.rewrite)
    detector = Detector(args.model, args.family, args.size, 1, probabilities=True)
    check_head(detector, args)
    model = load_whole(args.model)
    report, decoded, quantized = restored_model(args.model, tool, options)
    candidates = find_candidates(model, report, decoded)
    paths, inputs, truth = read_images(detector, args)
    key = digest(file_sha256(args.model), quantized, [file_sha256(p) for p in paths], detector.name, detector.size,
                 args.annotations and file_sha256(args.annotations))
    journal = Journal(os.path.join(make_folder(args.work), f"{key[:16]}.jsonl"))
    known = {row["layer"] for row in journal.rows}
    if known:
        print(f"{len(known)} of {len(candidates)} Convs are done already: {journal.path}", file=sys.stderr)
    if any(c.layer not in known for c in candidates):
        outputs = detector.outputs + detector.taps
        groups = cut_groups(Graph(model, outputs), candidates, args.group)
        name = detector.session.get_inputs()[0].name
        with workers(args) as client:
            run_tasks(client, detector, outputs, model.SerializeToString(), groups, [{name: v} for v in inputs], truth,
                      journal)
    return describe(args, tool, report, paths, candidates, journal)


def describe(args, tool, report, paths, candidates, journal):
    """The file for --topk, most sensitive first."""
    found = {row["layer"]: row for row in journal.rows}
    bits = 8.0 if report["options"]["format"] == "int8" else 4.0
    rows = [{"layer": c.layer, "num_bits": bits, "sensitivity": found[c.layer][COLUMN[args.metric]],
             **{key: v for key, v in found[c.layer].items() if key not in ("layer", "seconds")}, "weights": c.weights,
             "bytes_saved": c.saved} for c in candidates]
    return {"scheme": {"rewrite": args.rewrite, "options": report["options"], "metric": METRICS[args.metric],
                       "direction": "higher is worse"},
            "model": {"path": os.path.abspath(args.model), "sha256": file_sha256(args.model), "layers": len(rows)},
            "dataset": {"images": [os.path.basename(p) for p in paths], "annotations": args.annotations},
            "int4q": tool_version(tool),
            "layer_sensitivity": sorted(rows, key=lambda row: -row["sensitivity"])}


def write_results(args, result):
    from int4q.lab.plots import sensitivity_bars, svg  # matplotlib takes a second
    write_json(args.output, result)
    plot = args.plot or os.path.splitext(args.output)[0] + ".svg"
    write_whole(plot, svg(sensitivity_bars(result["layer_sensitivity"], result["scheme"]["metric"])))
    rows = result["layer_sensitivity"]
    print(f"{result['scheme']['metric']}; the most sensitive of {len(rows)} Convs:")
    for row in rows[:5]:
        print(f"{row['sensitivity']:12.6g}  {row['layer']}")
    print(f"{args.output}, {plot}")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, epilog=family_help(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--images", required=True, metavar="DIR")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="JSON for int4q rewrite --topk")
    parser.add_argument("--plot", metavar="FILE", help="bars as SVG (default: beside the output)")
    parser.add_argument("--annotations", metavar="JSON", help="COCO instances: the first images of it, and their mAP")
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


def main(argv=None):
    args = parse(argv)
    with user_errors("sensitivity_sweep.py"):
        write_results(args, sweep(args))
