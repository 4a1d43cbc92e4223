# SPDX-License-Identifier: Apache-2.0
"""The charts of the experiment's page, as Vega-Lite specifications by Altair: tooltips, and points that rows light up.

Colours that depend on the scheme, light or dark, are not theirs: the page's script sets them.
"""
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import altair as alt
import vl_convert

from int4q.lab.base.types import Row
from int4q.lab.pages.front import pareto_front

COLOURS = ("#3b7dd8", "#d9622b", "#2f9e62", "#a052c4", "#b98a00", "#c2305f")  # read on white and on black
SHAPES = {"circle": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0", "square": "M-4.5-4.5H4.5V4.5H-4.5Z",
          "diamond": "M0-6L5 0L0 6L-5 0Z", "triangle-up": "M0-5.5L5.5 4.5H-5.5Z",
          "cross": "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z", "triangle-down": "M0 5.5L5.5-4.5H-5.5Z"}  # as paths, for legends
HEIGHT, DEPTH = 380, 12.0
Spec = dict[str, Any]


def bundle() -> str:
    """The script that draws them, all of it: it sets window.vegaEmbed, and loads nothing."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


class Marks(NamedTuple):
    """A colour for each method, and a shape for each kind: the same in all charts of a page."""
    colours: dict[str, str]
    shapes: dict[str, str]

    def colour(self) -> alt.Color:
        return alt.Color("method:N", legend=None, scale=alt.Scale(domain=[*self.colours], range=[*self.colours.values()]))

    def shape(self) -> alt.Shape:
        return alt.Shape("kind:N", legend=None, scale=alt.Scale(domain=[*self.shapes], range=[*self.shapes.values()]))


def marks_of(rows: Sequence[Row]) -> Marks:
    def each(key: str, values: Iterable[str]) -> dict[str, str]:
        return dict(zip(sorted({row[key] for row in rows}), itertools.cycle(values), strict=False))
    return Marks(each("method", COLOURS), each("kind", SHAPES))


def log_axis() -> alt.Axis:
    return alt.Axis(format="~g", tickCount=6, labelOverlap="greedy", labelSeparation=6)


def finished(chart: Any, description: str, height: int = HEIGHT) -> Spec:
    """As wide as its place, and with a name for those who do not see it."""
    spec: Spec = chart.properties(width="container", height=height, description=description).to_dict()
    spec.pop("config", None)
    return spec


def front_rows(rows: Sequence[Row], measure: str) -> list[Row]:
    """Those that no other one beats in bytes and in the measure, KL being better the smaller it is."""
    known = [row for row in rows if row.get(measure) is not None]
    sign = -1 if measure == "kl" else 1
    return [known[i] for i in pareto_front([(row["bytes"], sign * row[measure] + 1e6) for row in known])]


def difference_scale(rows: Sequence[Row]) -> alt.Scale:
    """Down to DEPTH: what lost more would press all others together."""
    low, high = (pick(row["difference"] for row in rows) for pick in (min, max))
    return alt.Scale(domain=[max(low, -DEPTH) - 1, max(high, 0.0) + 1], zero=False)


def point_tooltip() -> list[alt.Tooltip]:
    return [alt.Tooltip("name:N"), alt.Tooltip("bytes:Q", format=","),
            alt.Tooltip("difference:Q", title="mAP lost or won", format="+.2f"), alt.Tooltip("interval:N", title="95 %"),
            alt.Tooltip("kl:Q", title="KL", format=".2f"), alt.Tooltip("kind:N", title="scales")]


def candidates_chart(rows: Sequence[Row], marks: Marks, measure: str, title: str) -> Spec:
    """A measure, difference or kl, of each candidate against its bytes.

    The front is a line. Parameters for the page's script: `lit`, the name of the point to light up, and `shown`, the names
    that are not filtered out, or null for all.
    """
    log = alt.Scale(type="log", nice=False, padding=16)
    x = alt.X("megabytes:Q", title="megabytes (logarithmic)", scale=log, axis=log_axis())
    y = alt.Y("kl:Q", title=title, scale=log, axis=log_axis()) if measure == "kl" else alt.Y(
        "difference:Q", title=title, scale=difference_scale(rows))
    base = alt.Chart(alt.Data(values=[chart_row(row) for row in rows]))
    front = alt.Chart(alt.Data(values=[chart_row(row) for row in front_rows(rows, measure)]))
    layers = [front.mark_line(strokeDash=[4, 3], color="#888", aria=False, clip=True).encode(x=x, y=y)]
    if measure == "difference":
        bars = base.transform_filter("isValid(datum.difference_low)").mark_rule(clip=True, strokeWidth=1.4, aria=False)
        layers.append(bars.encode(x=x, y="difference_low:Q", y2="difference_high:Q", color=marks.colour(),
                                  opacity=alt.condition("datum.name === lit", alt.value(1.0), alt.value(0.4))))
    points = base.mark_point(clip=True, filled=True, strokeWidth=2).encode(
        x=x, y=y, color=marks.colour(), shape=marks.shape(), tooltip=point_tooltip(),
        opacity=alt.condition("!shown || indexof(shown, datum.name) >= 0", alt.value(1.0), alt.value(0.08)),
        size=alt.condition("datum.name === lit", alt.value(320), alt.value(80)))
    hover = alt.selection_point(name="hover", on="pointerover", clear="pointerout", fields=["name"])
    layers.append(points.add_params(hover))
    chart = alt.layer(*layers).add_params(alt.param(name="lit", value=""), alt.param(name="shown", value=None))
    return finished(chart, f"{title} against megabytes of {len(rows)} models; the table below has the same figures")


def chart_row(row: Row) -> Row:
    low, high = row.get("difference_low"), row.get("difference_high")
    keys = ("name", "method", "kind", "bytes", "difference", "difference_low", "difference_high", "kl")
    return {**{key: row.get(key) for key in keys}, "megabytes": row["bytes"] / 1e6,
            "interval": "" if low is None else f"{low:+.2f} .. {high:+.2f}"}


def sensitivity_chart(rows: Sequence[Row], title: str, per_byte: bool = False) -> Spec:
    """What each Conv loses alone, in the order of `rows`, which is that of the graph; or that for each kilobyte saved.

    With lines of two standard errors to each side, where they are known; downwards as far as a logarithm goes.
    """
    values = [sensitivity_row(i, row, row["bytes_saved"] / 1000 if per_byte else 1) for i, row in enumerate(rows)
              if row["sensitivity"] > 0]
    title = f"{title}, for a kilobyte saved" if per_byte else title
    base = alt.Chart(alt.Data(values=values)).encode(x=alt.X("at:Q", title="Conv, in the order of the graph"))
    y, scale = "loss a kilobyte" if per_byte else "loss", alt.Scale(type="log", nice=False, padding=10)
    tooltip = [alt.Tooltip("layer:N"), alt.Tooltip("loss:Q", format=".4g"),
               alt.Tooltip("error:Q", title="± (95 %)", format=".2g"), alt.Tooltip("weights:Q", format=","),
               alt.Tooltip("saved:Q", title="bytes saved", format=",")]
    points = base.mark_point(filled=True, color=COLOURS[0]).encode(
        y=alt.Y("loss:Q", title=y, axis=log_axis(), scale=scale), tooltip=tooltip,
        size=alt.Size("saved:Q", title="bytes saved", legend=alt.Legend(orient="top", format="~s")))
    bars = base.transform_filter("datum.error > 0").mark_rule(color=COLOURS[0], opacity=0.45, aria=False).encode(
        y=alt.Y("low:Q", title=y, axis=log_axis(), scale=scale), y2="high:Q")
    layers = [bars, points] if any(row["error"] for row in values) else [points]  # of no bars Vega complains
    return finished(alt.layer(*layers), f"{title}, of {len(values)} Convs", 260)


def sensitivity_row(at: int, row: Row, unit: float) -> Row:
    loss, error = row["sensitivity"] / unit, 2 * (row.get("sensitivity_error") or 0) / unit
    return {"at": at, "layer": row["layer"], "weights": row.get("weights"), "saved": row.get("bytes_saved"),
            "loss": loss, "error": error, "low": max(loss - error, loss / 10), "high": loss + error}


def prediction_chart(rows: Sequence[Row], marks: Marks) -> Spec:
    """Measured KL against the loss that was predicted."""
    log = alt.Scale(type="log", nice=False, padding=14)
    values = [{key: row[key] for key in ("name", "method", "kind", "predicted_loss", "kl")} for row in rows]
    return finished(alt.Chart(alt.Data(values=values)).mark_point(filled=True, size=80).encode(
        x=alt.X("predicted_loss:Q", title="predicted loss (logarithmic)", scale=log, axis=log_axis()),
        y=alt.Y("kl:Q", title="KL a picture", scale=log, axis=log_axis()), color=marks.colour(), shape=marks.shape(),
        tooltip=["name:N", alt.Tooltip("predicted_loss:Q", format=".4g"), alt.Tooltip("kl:Q", format=".2f")]),
        f"Measured KL against predicted loss of {len(rows)} candidates", 300)
