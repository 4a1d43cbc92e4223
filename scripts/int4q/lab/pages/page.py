# SPDX-License-Identifier: Apache-2.0
"""A page in one HTML file, with plots inside."""
import html
import re
from collections.abc import Iterable

from matplotlib.figure import Figure

from int4q.lab.pages.plots import svg

STYLE = """:root{color-scheme:light}body{background:#fff;font:15px/1.45 system-ui,sans-serif;
margin:2em auto;max-width:1080px;padding:0 1em;color:#222}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse;font-size:13px}
td,th{padding:3px 9px;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
td:first-child,th:first-child{text-align:left}
tr.front{background:#fdf0ec}tr.failed{color:#888}.plot svg{width:100%;height:auto}.wide{overflow-x:auto}
.names td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:11em}
.pairs{display:grid;grid-template-columns:1fr 1fr;gap:8px}.pairs img{width:100%;height:auto}
figure{margin:0}figcaption{font-size:12px;color:#555}p.note{color:#555;font-size:13px}code{font-size:12px}"""


def inline(figure: Figure, name: str) -> str:
    """SVG text for a page: without its XML head, and ids that begin with a name, since several are on one page."""
    text = svg(figure)
    text = text[text.index("<svg"):]
    for found in sorted(set(re.findall(r'id="([^"]+)"', text)), key=len, reverse=True):
        text = re.sub(rf'(id="|#){re.escape(found)}(?=["\)])', rf"\g<1>{name}-{found}", text)
    return f'<div class="plot">{text}</div>'


def page(title: str, parts: Iterable[str | None]) -> str:
    """A page in HTML of these parts, of which those that are None or empty are left out."""
    head = (f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
            f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head><body>"
            f"<h1>{html.escape(title)}</h1>")
    return "\n".join([head, *(part for part in parts if part), "</body></html>\n"])
