# SPDX-License-Identifier: Apache-2.0
"""The page of run_schemes.py: the answer, charts, table and detections in one HTML file that needs nothing else."""
import base64
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jinja2
import numpy as np
import onnx
from markupsafe import Markup
from pycocotools.coco import COCO

from int4q.lab.base.files import read_json, write_whole
from int4q.lab.base.tables import csv_text, shown
from int4q.lab.base.types import Array, Row
from int4q.lab.detection.classes import says_nothing
from int4q.lab.detection.coco import Image as CocoImage
from int4q.lab.detection.coco import categories_of
from int4q.lab.detection.detectors import Detector
from int4q.lab.detection.pictures import read_picture
from int4q.lab.pages import charts
from int4q.lab.pages.drawing import SURE, draw
from int4q.lab.pages.histograms import conv_weights, decoded_weights, histogram
from int4q.lab.pages.plots import pareto, svg

BOUNDS = {"difference": 1.0, "kl": 4.0}  # what the smallest may lose, until the reader says something else
NOBODY = {"link": "", "shown": dict.fromkeys(("name", "bytes", "ratio", "command", "difference", "interval", "kl"), "")}
FEW = 300  # pictures, with which mAP tells little


class Show(NamedTuple):
    """Whose detections are drawn, and in how many pictures."""
    name: str | None  # of a scheme; None: the smallest on the front that loses at most 2 mAP, else the best
    number: int
    family: str | None
    size: int | None
    tool: str  # int4q, which decodes weights


class Column(NamedTuple):
    """Of the table: the key of a row, how it is shown, and what it means."""
    key: str
    title: str
    form: str
    about: str
    minor: bool = False  # not on a phone


COLUMNS = (Column("name", "model", "", "its name, with a link to the file"),
           Column("bytes", "bytes", ",", "of the file"),
           Column("difference", "mAP lost or won", "+.2f", "mAP50-95 minus that of the float model, and 95 % of resamples"),
           Column("kl", "KL", ".2f", "divergence of the class probabilities from the float model's, a picture"),
           Column("ratio", "ratio", ".2f", "how many times smaller than the float model", True),
           Column("bits_per_weight", "bits", ".2f", "stored bits a weight, scales included", True),
           Column("mAP", "mAP50-95", ".2f", "in percent", True), Column("mAP50", "mAP50", ".2f", "in percent", True),
           Column("iou", "IoU", ".3f", "overlap of the boxes with those of the float model", True),
           Column("kept", "kept", "d", "Convs that are not in the method's bits", True),
           Column("keep_format", "as", "", "what these are stored as", True),
           Column("ms_a_picture", "ms", ".1f", "milliseconds a picture, in this run", True))


# ---- Table and answer

def interval(row: Row, key: str) -> str:
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    return "" if low is None else f"({low:+.1f} .. {high:+.1f})"


def cell(row: Row, column: Column) -> Row:
    value = row.get(column.key)
    return {"value": "" if value is None else value, "text": shown(value, column.form), "minor": column.minor,
            "failed": False, "small": interval(row, column.key) if column.key == "difference" else ""}


def link_to(row: Row, folder: str) -> str:
    """Of the model, seen from the page."""
    return os.path.relpath(row["model"], folder) if os.path.exists(row["model"]) else ""


def table_row(row: Row, folder: str) -> Row:
    failed = row.get("mAP") is None
    cells = [cell(row, column) for column in COLUMNS[1:]]
    if failed:
        cells[1] = {**cells[1], "text": row["smoke"], "failed": True}
    return {"name": row["name"], "method": row["method"], "kind": row["kind"], "pareto": row.get("pareto"), "failed": failed,
            "link": link_to(row, folder), "command": row.get("command"), "cells": cells}


def candidate(row: Row, folder: str) -> Row:
    """What the page's script chooses the answer from."""
    texts = {"name": row["name"], "bytes": f"{row['bytes']:,}", "ratio": shown(row["ratio"]),
             "command": row.get("command") or "", "difference": shown(row["difference"], "+.2f"),
             "interval": interval(row, "difference"), "kl": shown(row["kl"])}
    return {**{key: row[key] for key in ("name", "bytes", "difference", "kl")}, "command": row.get("command"),
            "link": link_to(row, folder), "shown": texts}


def smallest_within(candidates: Sequence[Row], most: float) -> Row | None:
    """Of those that int4q makes, as the page's script has it."""
    close = [row for row in candidates if row["command"] and row["difference"] >= -most]
    return min(close, key=lambda row: row["bytes"], default=None)


def caution(images: int, rows: Sequence[Row]) -> str:
    """How sure the answer is."""
    widths = [row["difference_high"] - row["difference_low"] for row in rows[1:] if row.get("difference_low") is not None]
    sure = f"; a difference is known to about ±{np.median(widths) / 2:.1f} mAP" if widths else ""
    few = " On so few pictures KL tells candidates apart better than mAP does." if images < FEW else ""
    return f"Measured on {images} pictures{sure}.{few}"


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


def labels_of(detector: Detector, categories: Sequence[str]) -> Sequence[str]:
    """What its classes are called: by the model itself, if it has more than numbers for them."""
    names = detector.class_names
    return categories if names is None or says_nothing(names) else names


def detections(row: Row, rows: Sequence[Row], images: Sequence[CocoImage], coco: COCO, show: Show) -> list[Row]:
    """[{caption, data}] of the float model and of this one, in turns."""
    categories = [c.name or str(c.id) for c in categories_of(coco)]
    pairs = [(m, Detector(m["model"], show.family, show.size)) for m in (rows[0], row)]
    found = []
    for _, path in busiest(coco, images, show.number):
        picture = read_picture(path)
        for model, detector in pairs:
            data = base64.b64encode(draw(picture, detector.detect(picture), labels_of(detector, categories))).decode()
            found.append({"caption": f"{os.path.basename(path)}, {model['name']}", "data": data})
    return found


def class_rows(row: Row, first: Row, images: Sequence[CocoImage], coco: COCO) -> list[Row]:
    """[{name, objects, float, shown, difference}] of the classes that are annotated, the greatest loss first."""
    names = {c: coco.cats[c].get("name") or str(c) for c in coco.cats}
    objects = Counter(names[a["category_id"]] for image, _ in images for a in coco.imgToAnns[image])
    found = [{"name": name, "objects": objects[name], "float": before, "shown": row["classes"][name],
              "difference": row["classes"][name] - before} for name, before in first["classes"].items()]
    return sorted(found, key=lambda r: r["difference"])


# ---- Sensitivities and weights

def measured_convs(plan: Row) -> tuple[list[Row], str, dict[str, Array]]:
    """([rows of the sensitivities, in the order of the graph], what they are, {Conv: weights})."""
    path = plan.get("sensitivities")
    if not path or not os.path.exists(path):
        return [], "", {}
    data = read_json(path)
    weights = conv_weights(onnx.load(plan["model"]).graph)
    order = {name: at for at, name in enumerate(weights)}
    rows = sorted(data["layer_sensitivity"], key=lambda row: order.get(row["layer"], len(order)))
    return rows, (data.get("scheme") or {}).get("metric", "sensitivity"), weights


def extreme_histograms(rows: Sequence[Row], weights: dict[str, Array], decoded: dict[str, Array]) -> list[Row]:
    """Of the most and the least sensitive Convs, on the grid that the decoded weights are on."""
    ranked = sorted((row for row in rows if row["layer"] in weights), key=lambda row: -row["sensitivity"])
    names = dict.fromkeys(row["layer"] for row in ranked[:3] + ranked[-3:])
    return [histogram(name, weights[name], decoded.get(name)) for name in names]


# ---- Page

def all_charts(good: Sequence[Row], convs: Sequence[Row], metric: str) -> list[Row]:
    """[{id, title, caption, linked, spec}]; those that rows of the table light up come first."""
    deep = min(row["difference"] for row in good) < -charts.DEPTH
    cut = " What lost more than is drawn is in the table only." if deep else ""
    known, marks = [row for row in good if row["kl"]], charts.marks_of(good)
    predicted = [row for row in known if row.get("predicted_loss")]
    found = [chart("by-map", "mAP lost against bytes", "Bars: 95 % of resamples of the pictures, of the difference itself."
                   " Dashed: the Pareto front. A point shows its figures, and lights its row; a row lights its point." + cut,
                   charts.candidates_chart(good, marks, "difference", "mAP lost or won"), linked=True)]
    if known:
        found.append(chart("by-kl", "KL against bytes", "Steadier than mAP on few pictures; the less, the better.",
                           charts.candidates_chart(known, marks, "kl", "KL a picture"), linked=True))
    if len(predicted) > 1:
        found.append(chart("predicted", "Predicted and measured", "The sum of predicted losses, and what was measured.",
                           charts.prediction_chart(predicted, marks), legend=True))
    if convs:
        found.append(chart("convs", "What each Conv loses alone", f"{metric}.", charts.sensitivity_chart(convs, metric)))
    if convs and all(row.get("bytes_saved") for row in convs):
        found.append(chart("convs-bytes", "What each Conv loses for its bytes", "The higher, the more more bits win there.",
                           charts.sensitivity_chart(convs, metric, per_byte=True)))
    return found


def chart(identity: str, title: str, caption: str, spec: charts.Spec, linked: bool = False, legend: bool = False) -> Row:
    return {"id": identity, "title": title, "caption": caption, "spec": spec, "linked": linked, "legend": linked or legend}


def environment() -> jinja2.Environment:
    return jinja2.Environment(loader=jinja2.PackageLoader("int4q.lab.pages"), autoescape=True, trim_blocks=True,
                              undefined=jinja2.StrictUndefined)


def source(templates: jinja2.Environment, name: str) -> Markup:
    """A file that is written into the page as it is."""
    assert templates.loader
    return Markup(templates.loader.get_source(templates, name)[0])


def render(context: Row) -> str:
    templates = environment()
    script = charts.bundle().replace("</script", "<\\/script")
    return templates.get_template("report.html.j2").render(
        css=source(templates, "report.css"), script=source(templates, "report.js"), vega=Markup(script), **context)


def table_context(rows: Sequence[Row], folder: str) -> Row:
    """What the template needs for the table and its filters."""
    ordered = sorted(rows, key=lambda row: (row.get("mAP") is None, row["bytes"] or 0))
    return {"columns": COLUMNS, "table": [table_row(row, folder) for row in ordered],
            "methods": sorted({row["method"] for row in rows}), "kinds": sorted({row["kind"] for row in rows})}


def charts_context(good: Sequence[Row], folder: str, plan: Row, decoded: dict[str, Array]) -> Row:
    """What the template and its script need for the charts and the answer."""
    convs, metric, weights = measured_convs(plan)
    drawn, marks = all_charts(good, convs, metric), charts.marks_of(good)
    candidates = [candidate(row, folder) for row in good[1:]]
    best = smallest_within(candidates, BOUNDS["difference"])
    return {"answered": best is not None, "answer": best or NOBODY, "bounds": BOUNDS,
            "colours": marks.colours, "shapes": {kind: charts.SHAPES[shape] for kind, shape in marks.shapes.items()},
            "charts": drawn, "linked_charts": sum(chart["linked"] for chart in drawn),
            "histograms": extreme_histograms(convs, weights, decoded),
            "data": {"charts": {chart["id"]: chart["spec"] for chart in drawn}, "models": candidates, "bounds": BOUNDS}}


def write_page(folder: str, plan: Row, rows: Sequence[Row], images: Sequence[CocoImage], coco: COCO, show: Show,
               table_columns: Sequence[str], made: Sequence[tuple[str, Any]]) -> None:
    text, rows = csv_text(table_columns, rows), [{**rows[0], "difference": 0.0}, *rows[1:]]
    good = [row for row in rows if row.get("mAP") is not None]
    write_whole(os.path.join(folder, "pareto.svg"), svg(pareto(good)))
    pictured = choose_shown(rows, show.name) if show.number else None
    decoded = decoded_weights(show.tool, pictured["model"]) if pictured else {}
    write_whole(os.path.join(folder, "report.html"), render({
        "title": f"{os.path.basename(plan['model'])}: {len(rows) - 1} candidates on {len(images)} pictures",
        "caution": caution(len(images), good), "csv": text, "made": made, "sure": SURE,
        "pictured": pictured["name"] if pictured else "",
        "pictures": detections(pictured, rows, images, coco, show) if pictured else [],
        "classes": class_rows(pictured, rows[0], images, coco) if pictured else [],
        **table_context(rows, folder), **charts_context(good, folder, plan, decoded)}))
