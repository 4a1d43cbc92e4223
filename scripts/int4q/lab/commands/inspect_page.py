# SPDX-License-Identifier: Apache-2.0
"""What is in one model, as a page: `int4q inspect --stats` with a plot and the codes of each Conv, in one HTML file.

    int4q-lab inspect-page out.onnx --reference model.onnx -o out.html

With --reference, the model that it was made from, also what each Conv lost and all other differences.  The page is light or
dark, as the system is.
"""
import argparse
import html
import json
import os
from collections.abc import Sequence

from int4q.lab.base.errors import user_errors
from int4q.lab.base.files import write_whole
from int4q.lab.base.options import command_parser
from int4q.lab.base.places import TMP
from int4q.lab.base.tables import shown
from int4q.lab.base.tool import add_tool_option, call_int4q, find_int4q, tool_version
from int4q.lab.base.types import Row
from int4q.lab.pages.page import inline, page
from int4q.lab.pages.plots import conv_errors

HIGH = 18  # of a drawn histogram, in pixels
HEAD = ("conv", "shape", "stored", "scales", "zero point", "bytes", "SQNR dB", "max error", "codes", "scale range")


def escape(value: object) -> str:
    return "" if value is None else html.escape(str(value))


def totals(report: Row) -> str:
    """The table of what is stored how often, in how many bytes."""
    found: dict[str, tuple[int, int]] = {}
    for conv in report["convs"]:
        count, size = found.get(conv["storage"], (0, 0))
        found[conv["storage"]] = count + 1, size + (conv["bytes"] or 0)
    rows = "".join(f"<tr><td>{escape(storage)}</td><td>{count}</td><td>{size:,}</td></tr>"
                   for storage, (count, size) in sorted(found.items(), key=lambda item: -item[1][0]))
    return f"<table><tr><th>stored as</th><th>Convs</th><th>bytes, with scales</th></tr>{rows}</table>"


def codes(histogram: Sequence[int] | None) -> str:
    """A small picture of how often each code occurs, the lowest at the left."""
    if not histogram:
        return ""
    wide, most = 4 if len(histogram) <= 16 else 0.4, max(*histogram, 1)
    bars = "".join(f'<rect x="{i * wide:g}" y="{HIGH - HIGH * n / most:.1f}" width="{wide * 0.9:g}" '
                   f'height="{HIGH * n / most:.1f}"/>' for i, n in enumerate(histogram) if n)
    return f'<svg width="{len(histogram) * wide:g}" height="{HIGH}" class="codes">{bars}</svg>'


def conv_row(conv: Row) -> str:
    scales = "" if conv["scale_min"] is None else f"{conv['scale_min']:.3g} .. {conv['scale_max']:.3g}"
    block = f" {conv['block']}" if conv["block"] else ""
    cells = [escape(conv["node"]).replace("/", "<wbr>/"), "x".join(map(str, conv["shape"] or [])), escape(conv["storage"]),
             escape(conv["granularity"]) + block, escape(conv["zero_point"]), shown(conv["bytes"], ","),
             shown(conv["sqnr_db"], ".2f"), shown(conv["max_error"], ".3g"), codes(conv["histogram"]), scales]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def conv_table(convs: Sequence[Row]) -> str:
    return ('<div class="wide"><table class="names"><tr>' + "".join(f"<th>{head}</th>" for head in HEAD) + "</tr>\n"
            + "\n".join(map(conv_row, convs)) + "</table></div>")


def lines(title: str, texts: Sequence[str] | None) -> str | None:
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>" if texts else None


def plot(convs: Sequence[Row]) -> str | None:
    measured = [c for c in convs if c["sqnr_db"] is not None]
    if not measured:
        return None
    return ("<h2>What each Conv lost</h2>"
            "<p class='note'>SQNR of the decoded weights against the reference: 6 dB more is half"
            " the error. In the order of the graph, those stored exactly left out.</p>"
            + inline(conv_errors(measured), "errors"))


def make_page(tool: str, path: str, reference: str | None) -> str:
    """Text of the page."""
    more = ["--reference", reference] if reference else []
    report = json.loads(call_int4q(tool, "inspect", path, "--stats", "--json", "-", *more))
    model = report["model"]
    opsets = ", ".join(f"{domain} {version}" for domain, version in model["opsets"].items())
    size = f"{model['bytes']:,} bytes"
    if reference:
        size += f", {os.path.getsize(reference) / model['bytes']:.2f} times smaller than {os.path.basename(reference)}"
    note = f"{size}; opset {opsets}; IR version {model['ir_version']}. {tool_version(tool)}."
    return page(os.path.basename(path), [f"<p class='note'>{escape(note)}</p>", lines("Problems", report["problems"]),
                                         totals(report), plot(report["convs"]), "<h2>All Convs</h2>",
                                         conv_table(report["convs"]),
                                         lines("Other differences", report.get("differences"))])


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--reference", metavar="MODEL", help="the one that it was made from")
    parser.add_argument("-o", "--output", metavar="FILE", default=os.path.join(TMP, "inspect.html"),
                        help="(tmp/inspect.html)")
    add_tool_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("inspect_page.py"):
        text = make_page(find_int4q(args.int4q), args.model, args.reference)
        write_whole(args.output, text)
        print(args.output)
