# SPDX-License-Identifier: Apache-2.0
"""The page of run_schemes.py: table, plots and detections in one HTML file that needs nothing else."""
import base64
import html
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx
from pycocotools.coco import COCO

from int4q.lab.base.files import read_json, write_whole
from int4q.lab.base.tables import shown
from int4q.lab.base.tool import tool_version
from int4q.lab.base.types import Row
from int4q.lab.detection.coco import Image as CocoImage
from int4q.lab.detection.detectors import Detector
from int4q.lab.detection.pictures import read_picture
from int4q.lab.models.graph import stored
from int4q.lab.pages.drawing import SURE, draw
from int4q.lab.pages.page import inline, page
from int4q.lab.pages.plots import pareto, predictions, sensitivity_bars, svg, weight_histograms


class Show(NamedTuple):
    """Whose detections are drawn, and in how many pictures."""
    name: str | None  # of a scheme; None: the smallest on the front that loses at most 2 mAP, else the best
    number: int
    family: str | None
    size: int | None


# ---- Table

def interval(row: Row, key: str) -> str:
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    return "" if low is None else f" <small>({low:.1f} .. {high:.1f})</small>"


def table_row(row: Row) -> str:
    name = html.escape(row["name"])
    if row.get("mAP") is None:
        return f'<tr class="failed"><td>{name}</td><td colspan="10">{html.escape(row["smoke"])}</td></tr>'
    cells = [name, f"{row['bytes']:,}", shown(row["ratio"]), "" if row.get("kept") is None else row["kept"],
             row.get("keep_format") or "", shown(row["mAP"]) + interval(row, "mAP"), shown(row["mAP50"]),
             shown(row["difference"]) + interval(row, "difference"), shown(row["kl"]), shown(row["iou"], ".3f"),
             shown(row["ms_a_picture"], ".1f")]
    mark = ' class="front"' if row["pareto"] else ""
    return f"<tr{mark}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def table(rows: Sequence[Row]) -> str:
    head = ("model", "bytes", "ratio", "kept", "as", "mAP50-95 (95 %)", "mAP50", "difference (95 %)", "KL", "IoU",
            "ms a picture")
    body = sorted(rows, key=lambda row: (row.get("mAP") is None, row["bytes"] or 0))
    return ('<div class="wide"><table><tr>' + "".join(f"<th>{h}</th>" for h in head) + "</tr>"
            + "\n".join(map(table_row, body)) + "</table></div>")


# ---- Pictures

def choose_shown(rows: Sequence[Row], wanted: str | None) -> Row | None:
    """The row of the scheme whose detections are drawn."""
    known = [row for row in rows[1:] if row.get("mAP") is not None]
    if wanted:
        return next((row for row in known if row["name"] == wanted), None)
    close = [row for row in known if row["pareto"] and row["difference"] >= -2]
    return min(close, key=lambda row: row["bytes"]) if close else max(known, key=lambda row: row["mAP"], default=None)


def busiest(coco: COCO, images: Sequence[CocoImage], number: int) -> list[CocoImage]:
    """The images with most annotated objects of different categories, in their order."""
    def kinds(image: CocoImage) -> int:
        return len({a["category_id"] for a in coco.imgToAnns[image[0]]})
    return sorted(sorted(images, key=lambda image: (-kinds(image), image[0]))[:number])


def detections(rows: Sequence[Row], images: Sequence[CocoImage], coco: COCO, show: Show) -> str:
    row = choose_shown(rows, show.name)
    if row is None:
        return ""
    names = {i: coco.cats[c]["name"] for i, c in enumerate(sorted(coco.getCatIds()))}
    pairs = [(m, Detector(m["model"], show.family, show.size)) for m in (rows[0], row)]
    parts = []
    for _, path in busiest(coco, images, show.number):
        picture = read_picture(path)
        for model, detector in pairs:
            called = dict(enumerate(detector.class_names)) if detector.class_names else names
            data = base64.b64encode(draw(picture, detector.detect(picture), called)).decode()
            caption = html.escape(f"{os.path.basename(path)}, {model['name']}")
            parts.append(f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{data}">'
                         f"<figcaption>{caption}</figcaption></figure>")
    return (f"<h2>Detections: float beside {html.escape(row['name'])}</h2><p class='note'>Scores from {SURE}.</p>"
            f"<div class='pairs'>{''.join(parts)}</div>")


# ---- Plots

def histograms(model_path: str, layers: Sequence[str]) -> str:
    """Of the weights of these Convs."""
    graph = onnx.load(model_path).graph
    read = {n.name: n.input[1] for n in graph.node if n.op_type == "Conv" and n.name in layers}
    values = stored(graph, set(read.values()))
    found = [(layer, values[read[layer]].astype(np.float32)) for layer in layers if read.get(layer) in values]
    return inline(weight_histograms(found), "histograms") if found else ""


def sensitivity_part(plan: Row) -> str:
    """Bars and histograms, where the measured sensitivities are at hand."""
    path = plan.get("sensitivities")
    if not path or not os.path.exists(path):
        return ""
    data = read_json(path)
    rows = sorted(data["layer_sensitivity"], key=lambda row: -row["sensitivity"])
    title = (data.get("scheme") or {}).get("metric", "sensitivity")
    return (f"<h2>What each Conv loses alone</h2>{inline(sensitivity_bars(rows, title), 'bars')}"
            "<h2>Weights and the 4-bit grid</h2><p class='note'>The three most and the three least sensitive Convs: weights"
            " in steps of their channel (absmax), and the 15 values (lines) that they are rounded to.</p>"
            + histograms(plan["model"], [row["layer"] for row in rows[:3] + rows[-3:]]))


def prediction_part(rows: Sequence[Row]) -> str:
    """What budgets were predicted to lose, beside what they lose."""
    known = [row for row in rows if row.get("predicted_loss") and row.get("kl")]
    if len(known) < 2:
        return ""
    return ("<h2>Predicted and measured</h2><p class='note'>The sum of predicted losses, and KL from the float model.</p>"
            + inline(predictions([(row["method"], row["predicted_loss"], row["kl"]) for row in known]), "predictions"))


# ---- Page

def write_page(folder: str, tool: str, plan: Row, rows: Sequence[Row], images: Sequence[CocoImage], coco: COCO,
               show: Show, answer: str) -> None:
    good = [row for row in rows if row.get("mAP") is not None]
    figure = svg(pareto(good))
    write_whole(os.path.join(folder, "pareto.svg"), figure)
    title = f"{os.path.basename(plan['model'])}: {len(rows) - 1} candidates on {len(images)} pictures"
    commands = "".join(f"<tr><td>{html.escape(s['name'])}</td><td style='text-align:left'><code>"
                       f"{html.escape(s['command'])}</code></td></tr>" for s in plan["schemes"])
    parts = [
        f"<p><strong>{html.escape(answer)}</strong></p>",
        f"<p class='note'>{html.escape(tool_version(tool))}. Differences are from the float",
        " model, over the same resamples of the pictures; KL is the divergence of its class probabilities, a picture.</p>",
        f"<h2>mAP against bytes</h2>{inline(pareto(good), 'front')}", prediction_part(good), "<h2>All models</h2>",
        "<p class='note'>Coloured: on the Pareto front. Times are those of this run, whatever else the machine did.</p>",
        table(rows), detections(rows, images, coco, show),
        sensitivity_part(plan), f"<h2>Commands</h2><div class='wide'><table>{commands}</table></div>"]
    write_whole(os.path.join(folder, "report.html"), page(title, parts))
