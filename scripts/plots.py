# SPDX-License-Identifier: Apache-2.0
"""The plots of the experiment loop, as SVG texts that are the same from run to run."""
import io

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend comes first)

STYLE = {"svg.hashsalt": "int4q", "svg.fonttype": "path", "font.size": 9, "axes.spines.top": False,
         "axes.spines.right": False, "figure.constrained_layout.use": True}
BLUE, ORANGE, GREY = "#2166ac", "#d6604d", "#999999"


def svg(figure):
    """The text of a figure, which is closed."""
    text = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return text.getvalue()


def sensitivity_bars(rows, title, most=40):
    """Convs by falling sensitivity; rows of {"layer", "sensitivity"}."""
    rows = sorted(rows, key=lambda row: -row["sensitivity"])
    shown = rows[:most]
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7, 1 + 0.17 * len(shown)))
        axes.barh([row["layer"] for row in shown], [row["sensitivity"] for row in shown], color=BLUE)
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelsize=7, length=0)
        axes.margins(y=0.01)
        axes.set_xlabel(title)
        if len(rows) > most:
            axes.set_title(f"the {most} most sensitive of {len(rows)} Convs", loc="left")
    return figure
