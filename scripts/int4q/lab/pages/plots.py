# SPDX-License-Identifier: Apache-2.0
"""The plots of the experiment loop, as SVG texts that are the same from run to run."""
import io
import itertools
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from int4q.lab.base.types import Row
from int4q.lab.pages.front import pareto_front

STYLE: Any = {"svg.hashsalt": "int4q", "svg.fonttype": "path", "font.size": 9, "axes.spines.top": False,
         "axes.spines.right": False, "figure.constrained_layout.use": True}
BLUE, ORANGE = "#2166ac", "#d6604d"
COLOURS = (BLUE, "#1b7837", "#762a83", "#b8860b", "#4d4d4d", "#c51b7d")


def svg(figure: Figure) -> str:
    """The text of a figure, which is closed."""
    text = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    pyplot.close(figure)
    return text.getvalue()


def short(name: str, most: int = 44) -> str:
    """The end of a long name, which tells more than its beginning."""
    return name if len(name) <= most else "…" + name[1 - most:]


def sensitivity_bars(rows: Sequence[Row], title: str, unit: str = "Convs", most: int = 40) -> Figure:
    """Convs, or what else they are called, by falling sensitivity; rows of {"layer", "sensitivity"}, and with
    "sensitivity_error" a line of two standard errors to each side."""
    rows = sorted(rows, key=lambda row: -row["sensitivity"])
    shown = rows[:most]
    names = [short(row["layer"]) for row in shown]
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(8.4, 1 + 0.17 * len(shown)))
        axes.barh(range(len(shown)), [row["sensitivity"] for row in shown], color=BLUE,
                  xerr=[2 * (row.get("sensitivity_error") or 0) for row in shown], error_kw={"lw": 0.8, "ecolor": ORANGE})
        axes.set_yticks(range(len(shown)), names, fontsize=7)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.margins(y=0.01)
        axes.set_xlabel(title)
        if len(rows) > most:
            axes.set_title(f"the {most} most sensitive of {len(rows)} {unit}", loc="left")
    return figure


def conv_errors(convs: Sequence[Row]) -> Figure:
    """SQNR of each Conv's weights in the order of the graph, a colour for each storage; rows of inspect's JSON."""
    kinds = sorted({conv["storage"] for conv in convs})
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(8.4, 2.6))
        for i, conv in enumerate(convs):
            colour = COLOURS[kinds.index(conv["storage"]) % len(COLOURS)]
            axes.vlines(i, 0, conv["sqnr_db"], color=colour, alpha=0.4, linewidth=1)
            axes.plot(i, conv["sqnr_db"], "o", color=colour, markersize=4)
        low = min(range(len(convs)), key=lambda i: convs[i]["sqnr_db"])
        axes.annotate(short(convs[low]["node"]), (low, convs[low]["sqnr_db"]), xytext=(0, -4), fontsize=7,
                      textcoords="offset points", va="top", ha="right" if 2 * low > len(convs) else "left",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8})
        axes.set_ylabel("SQNR, dB")
        axes.set_xlabel("Conv")
        if len(kinds) > 1:
            for kind, colour in zip(kinds, itertools.cycle(COLOURS), strict=False):
                axes.plot([], [], "o", color=colour, markersize=4, label=kind)
            axes.legend(frameon=False, fontsize=8)
    return figure


def pareto(rows: Sequence[Row], split: float = 3.0, depth: float = 12.0) -> Figure:
    """mAP against megabytes; rows of {"name", "method", "bytes", "mAP", "mAP_low", "mAP_high"}.

    The front is numbered, and named below, with 95 % intervals. Models of more than `split` times the smallest one's
    bytes are drawn in a second, narrow panel; those of a mAP more than `depth` below the front's least are named instead
    of drawn.
    """
    floor = min(rows[i]["mAP"] for i in pareto_front([(row["bytes"], row["mAP"]) for row in rows])) - depth
    below = [f"{row['name']} {row['mAP']:.1f}" for row in rows if row["mAP"] < floor]
    rows = [row for row in rows if row["mAP"] >= floor]
    points = [(row["bytes"] / 1e6, row["mAP"]) for row in rows]
    front = pareto_front(points)
    limit = split * min(x for x, _ in points)
    wide = [i for i, (x, _) in enumerate(points) if x > limit]
    with matplotlib.rc_context(STYLE):
        figure, panels = pyplot.subplots(1, 2 if wide else 1, figsize=(8.4, 5), sharey=True, squeeze=False,
                                         gridspec_kw={"width_ratios": [4, 1]} if wide else None)
        for part, axes in enumerate(panels[0]):
            inside = [i for i, (x, _) in enumerate(points) if (x > limit) == bool(part)]
            draw_points(axes, rows, points, inside)
            draw_front(axes, rows, points, [(n, i) for n, i in enumerate(front, 1) if i in inside])
            axes.margins(x=0.22 if part else 0.06, y=0.08)
            axes.grid(color="#eeeeee")
        add_legend(figure, panels[0][0], rows)
        panels[0][0].set_ylabel("mAP50-95, percent")
        named = ["Pareto front:", *(f"{n} {rows[i]['name']}" for n, i in enumerate(front, 1))]
        notes = [*wrapped(named), "bars: 95 % of resamples of the pictures", *(wrapped(["below:", *below]) if below else [])]
        figure.supxlabel("\n".join(["megabytes", *notes]), fontsize=9)
    return figure


def wrapped(items: Sequence[str], width: int = 100) -> list[str]:
    """Lines of a title and the items behind it, none of which is divided."""
    text = items[0] + " " + ", ".join(item.replace(" ", "\u00a0") for item in items[1:])
    return textwrap.wrap(text, width, break_on_hyphens=False)


def draw_points(axes: Axes, rows: Sequence[Row], points: Sequence[tuple[float, float]], inside: Sequence[int]) -> None:
    """A colour for each method."""
    methods = sorted({row["method"] for row in rows})
    for i in inside:
        axes.plot(*points[i], "o", color=COLOURS[methods.index(rows[i]["method"]) % len(COLOURS)], markersize=5, zorder=3)


def draw_front(axes: Axes, rows: Sequence[Row], points: Sequence[tuple[float, float]],
               front: Sequence[tuple[int, int]]) -> None:
    """Rings, intervals, numbers, and a line through them."""
    for number, i in front:
        x, y = points[i]
        if rows[i].get("mAP_low") is not None:
            axes.vlines(x, rows[i]["mAP_low"], rows[i]["mAP_high"], color=ORANGE, alpha=0.35, linewidth=1)
        axes.plot(x, y, "o", markerfacecolor="none", markeredgecolor=ORANGE, markersize=9, zorder=4)
        axes.annotate(str(number), (x, y), xytext=(-6, 5), textcoords="offset points", ha="right", color=ORANGE)
    axes.plot([points[i][0] for _, i in front], [points[i][1] for _, i in front], color=ORANGE, linewidth=1, zorder=1)


def add_legend(figure: Figure, axes: Axes, rows: Sequence[Row]) -> None:
    methods = sorted({row["method"] for row in rows})
    for colour, method in zip(itertools.cycle(COLOURS), methods, strict=False):
        axes.plot([], [], "o", color=colour, markersize=5, label=method)
    figure.legend(frameon=False, fontsize=8, loc="outside upper left", ncols=len(methods))
