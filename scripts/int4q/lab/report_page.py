# SPDX-License-Identifier: Apache-2.0
"""The page of run_schemes.py: table, plots and detections in one HTML file that needs nothing else."""
import base64
import html
import io
import os
import re

import numpy as np
import onnx
from int4q.lab.run import read_json, shown, tool_version, write_whole
from int4q.lab.detectors import Detector, read_picture
from onnx import numpy_helper
from PIL import Image, ImageDraw
from int4q.lab.plots import pareto, sensitivity_bars, svg, weight_histograms

WIDTH, SURE = 460, 0.25  # of a drawn picture, in pixels; the least score that is drawn
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000", "#000075", "#e6007e")
STYLE = """:root{color-scheme:light}body{background:#fff;font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1080px;padding:0 1em;color:#222}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse;font-size:13px}
td,th{padding:3px 9px;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
td:first-child,th:first-child{text-align:left}
tr.front{background:#fdf0ec}tr.failed{color:#888}.plot svg{width:100%;height:auto}.wide{overflow-x:auto}
.names td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:11em}
.pairs{display:grid;grid-template-columns:1fr 1fr;gap:8px}.pairs img{width:100%;height:auto}
figure{margin:0}figcaption{font-size:12px;color:#555}p.note{color:#555;font-size:13px}code{font-size:12px}"""


# ---- Table

def interval(row, key):
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    return "" if low is None else f" <small>({low:.1f} .. {high:.1f})</small>"


def table_row(row):
    name = html.escape(row["name"])
    if row.get("mAP") is None:
        return f'<tr class="failed"><td>{name}</td><td colspan="10">{html.escape(row["smoke"])}</td></tr>'
    cells = [name, f"{row['bytes']:,}", shown(row["ratio"]), "" if row.get("kept") is None else row["kept"],
             row.get("keep_format") or "", shown(row["mAP"]) + interval(row, "mAP"), shown(row["mAP50"]),
             shown(row["difference"]) + interval(row, "difference"), shown(row["kl"]), shown(row["iou"], ".3f"),
             shown(row["ms_a_picture"], ".1f")]
    mark = ' class="front"' if row["pareto"] else ""
    return f"<tr{mark}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def table(rows):
    head = ("model", "bytes", "ratio", "kept", "as", "mAP50-95 (95 %)", "mAP50", "difference (95 %)", "KL", "IoU",
            "ms a picture")
    body = sorted(rows, key=lambda row: (row.get("mAP") is None, row["bytes"] or 0))
    return ('<div class="wide"><table><tr>' + "".join(f"<th>{h}</th>" for h in head) + "</tr>"
            + "\n".join(map(table_row, body)) + "</table></div>")


# ---- Pictures

def draw(picture, found, names):
    """JPEG bytes of a picture with its boxes, labels over them, the best where they belong."""
    scale = WIDTH / picture.shape[1]
    image = Image.fromarray(picture).resize((WIDTH, round(picture.shape[0] * scale)))
    pen, labels = ImageDraw.Draw(image), []
    seen = sorted((f for f in zip(*found) if f[1] >= SURE), key=lambda f: f[1])
    for box, _, label in seen:
        pen.rectangle([float(v) * scale for v in box], outline=COLOURS[label % len(COLOURS)], width=2)
    for box, score, label in reversed(seen):
        text = f"{names.get(int(label), int(label))} {score:.2f}"
        corner, frame = free_place(pen, text, box[0] * scale + 2, max(1, box[1] * scale - 12), labels)
        labels.append(frame)
        pen.rectangle(frame, fill=COLOURS[label % len(COLOURS)])
        pen.text(corner, text, fill="white")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def free_place(pen, text, x, y, taken):
    """(corner of a text, frame around it): at (x, y), or as much lower as it takes to cover no frame of `taken`."""
    for corner in [(x, y + 3 * n) for n in range(20)]:
        left, top, right, bottom = pen.textbbox(corner, text)
        frame = left - 2, top - 1, right + 2, bottom + 1
        if not any(frame[0] < t[2] and t[0] < frame[2] and frame[1] < t[3] and t[1] < frame[3] for t in taken):
            break
    return corner, frame


def choose_shown(rows, wanted):
    """The row of the scheme whose detections are drawn."""
    known = [row for row in rows[1:] if row.get("mAP") is not None]
    if wanted:
        return next((row for row in known if row["name"] == wanted), None)
    close = [row for row in known if row["pareto"] and row["difference"] >= -2]
    return min(close, key=lambda row: row["bytes"]) if close else max(known, key=lambda row: row["mAP"], default=None)


def busiest(coco, images, number):
    """The images with most annotated objects of different categories, in their order."""
    def kinds(image):
        return len({a["category_id"] for a in coco.imgToAnns[image[0]]})
    return sorted(sorted(images, key=lambda image: (-kinds(image), image[0]))[:number])


def detections(args, rows, images, coco):
    row = choose_shown(rows, args.show)
    if row is None:
        return ""
    names = {i: coco.cats[c]["name"] for i, c in enumerate(sorted(coco.getCatIds()))}
    pairs = [(m, Detector(m["model"], args.family, args.size)) for m in (rows[0], row)]
    parts = []
    for _, path in busiest(coco, images, args.draw):
        picture = read_picture(path)
        for model, detector in pairs:
            data = base64.b64encode(draw(picture, detector.detect(picture), names)).decode()
            caption = html.escape(f"{os.path.basename(path)}, {model['name']}")
            parts.append(f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{data}">'
                         f"<figcaption>{caption}</figcaption></figure>")
    return (f"<h2>Detections: float beside {html.escape(row['name'])}</h2><p class='note'>Scores from {SURE}.</p>"
            f"<div class='pairs'>{''.join(parts)}</div>")


# ---- Plots

def inline(figure):
    """SVG text for a page: without its XML head, and with names of its own, since several are on one page."""
    text = svg(figure)
    text = text[text.index("<svg"):]
    inline.count += 1
    for name in sorted(set(re.findall(r'id="([^"]+)"', text)), key=len, reverse=True):
        text = re.sub(rf'(id="|#){re.escape(name)}(?=["\)])', rf"\g<1>f{inline.count}-{name}", text)
    return f'<div class="plot">{text}</div>'


inline.count = 0


def histograms(model_path, layers):
    """Of the weights of these Convs."""
    model = onnx.load(model_path)
    stored = {t.name: t for t in model.graph.initializer}
    nodes = {n.name: n for n in model.graph.node if n.op_type == "Conv"}
    found = [(layer, numpy_helper.to_array(stored[nodes[layer].input[1]]).astype(np.float32))
             for layer in layers if layer in nodes and nodes[layer].input[1] in stored]
    return inline(weight_histograms(found)) if found else ""


def sensitivity_part(plan):
    """Bars and histograms, where the measured sensitivities are at hand."""
    path = plan.get("sensitivities")
    if not path or not os.path.exists(path):
        return ""
    data = read_json(path)
    rows = sorted(data["layer_sensitivity"], key=lambda row: -row["sensitivity"])
    title = (data.get("scheme") or {}).get("metric", "sensitivity")
    return (f"<h2>What each Conv loses alone</h2>{inline(sensitivity_bars(rows, title))}"
            "<h2>Weights and the 4-bit grid</h2><p class='note'>The three most and the three least sensitive Convs: weights"
            " in steps of their channel (absmax), and the 15 values (lines) that they are rounded to.</p>"
            + histograms(plan["model"], [row["layer"] for row in rows[:3] + rows[-3:]]))


# ---- Page

def page(title, parts):
    """A page in HTML of these parts, of which those that are None or empty are left out."""
    head = (f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
            f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head><body>"
            f"<h1>{html.escape(title)}</h1>")
    return "\n".join([head, *(part for part in parts if part), "</body></html>\n"])


def write_page(args, tool, plan, rows, images, coco):
    inline.count = 0
    good = [row for row in rows if row.get("mAP") is not None]
    figure = svg(pareto(good))
    write_whole(os.path.join(args.output, "pareto.svg"), figure)
    title = f"{os.path.basename(plan['model'])}: {len(rows) - 1} candidates on {len(images)} pictures"
    commands = "".join(f"<tr><td>{html.escape(s['name'])}</td><td style='text-align:left'><code>"
                       f"{html.escape(s['command'])}</code></td></tr>" for s in plan["schemes"])
    parts = [
        f"<p class='note'>{html.escape(tool_version(tool))}. Differences are from the float",
        " model, over the same resamples of the pictures; KL is the divergence of its class probabilities, a picture.</p>",
        f"<h2>mAP against bytes</h2>{inline(pareto(good))}", "<h2>All models</h2>",
        "<p class='note'>Coloured: on the Pareto front. Times are those of this run, whatever else the machine did.</p>",
        table(rows), detections(args, rows, images, coco),
        sensitivity_part(plan), f"<h2>Commands</h2><div class='wide'><table>{commands}</table></div>"]
    write_whole(os.path.join(args.output, "report.html"), page(title, parts))
