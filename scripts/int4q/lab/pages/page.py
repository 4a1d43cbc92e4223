# SPDX-License-Identifier: Apache-2.0
"""A page in one HTML file, with plots inside."""
import html
import re
from collections.abc import Iterable

from matplotlib.figure import Figure

from int4q.lab.pages.plots import svg

STYLE = """:root{color-scheme:light dark;--ground:#fff;--text:#222;--quiet:#555;--line:#ddd;--codes:#2166ac}
@media(prefers-color-scheme:dark){:root{--ground:#14171b;--text:#e6e8eb;--quiet:#9aa4af;--line:#363c44;--codes:#7fb0f5}}
body{background:var(--ground);font:15px/1.45 system-ui,sans-serif;
margin:2em auto;max-width:1080px;padding:0 1em;color:var(--text)}
h1{font-size:1.5em;overflow-wrap:anywhere}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse;font-size:13px}
td,th{padding:3px 9px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
td:first-child,th:first-child{text-align:left}
.plot svg{width:100%;height:auto;fill:currentColor}.wide{overflow-x:auto}.codes{fill:var(--codes)}
.names td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:11em}
li{overflow-wrap:anywhere}p.note{color:var(--quiet);font-size:13px}"""


def inline(figure: Figure, name: str) -> str:
    """SVG text for a page, in its colours, light or dark: without ground and XML head.

    Ids begin with a name, since several are on one page.
    """
    text = svg(figure)
    text = text[text.index("<svg"):].replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")
    for found in sorted(set(re.findall(r'id="([^"]+)"', text)), key=len, reverse=True):
        text = re.sub(rf'(id="|#){re.escape(found)}(?=["\)])', rf"\g<1>{name}-{found}", text)
    return f'<div class="plot">{text}</div>'


def page(title: str, parts: Iterable[str | None]) -> str:
    """A page in HTML of these parts, of which those that are None or empty are left out."""
    head = (f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
            f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head><body>"
            f"<h1>{html.escape(title)}</h1>")
    return "\n".join([head, *(part for part in parts if part), "</body></html>\n"])
