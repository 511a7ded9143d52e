"""From the model's probabilities to the token sampled: what the settings do to them."""

from collections.abc import Sequence
from typing import Any

import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from gpt_lib.views.charts.colors import COLORS
from gpt_lib.views.picture import Picture, WidgetWithFallback
from gpt_lib.views.tokens.next_token_data import (
    PAGE_SOURCES,
    SampledDistribution,
    bar_segments,
    describe_sample,
    format_random_number,
    message_page_data,
    next_token_data,
    probability_table_rows,
)
from gpt_lib.views.visible_text import visible_text
from gpt_lib.views.widget import PickWidget

DRAWN_ROWS, DESCRIBED_ROWS = 10, 5  # likeliest tokens in the picture, and in words
PALE, GREY = "#dbe9f4", "#666666"
POINTS_PER_INCH, MAX_LABEL = 72, 14
STRIPE_COLORS = (
    "#bcd9ee",
    "#e3eff8",
)  # of the cumulative bar; black can be read on both


class NextTokenWidget(PickWidget):
    """Carries `next_token_data` to its page."""

    _esm, _css = PAGE_SOURCES
    sentence = traitlets.Unicode().tag(sync=True)
    rows = traitlets.List().tag(sync=True)
    segments = traitlets.List().tag(sync=True)
    u = traitlets.Float(None, allow_none=True).tag(sync=True)
    u_text = traitlets.Unicode().tag(sync=True)
    sampled_id = traitlets.Int(-1).tag(sync=True)
    pick_label = traitlets.Unicode().tag(sync=True)  # such as "branch here with"

    def show(
        self,
        labels: Sequence[str],
        before: ArrayLike,
        after: ArrayLike,
        u: float | None,
        title: str | None = None,
    ) -> None:
        """Show another distribution.

        Args:
            labels: V tokens.
            before: (V,) the model's own probabilities.
            after: (V,) what the settings made of them, exactly 0 for a cut token.
            u: the random number, 0 <= u < 1, or None.
            title: what is shown; None keeps the title.
        """
        data = next_token_data(labels, before, after, u)
        self.pick_count = len(labels)
        self.put(data if title is None else {**data, "title": title})

    def clear(self, sentence: str) -> None:
        """Show nothing but a sentence."""
        self.pick_count = 0
        self.put(message_page_data(sentence))


def next_token(
    labels: Sequence[str],
    before: ArrayLike,
    after: ArrayLike,
    title: str,
    u: float | None = None,
) -> WidgetWithFallback:
    """The probabilities of the next token, before and after the settings, and a sample.

    Args:
        labels: V tokens.
        before: (V,) the model's own probabilities.
        after: (V,) what the settings made of them, exactly 0 for a cut token.
        title: what is sampled.
        u: the random number, 0 <= u < 1, or None.
    """
    widget = NextTokenWidget()
    widget.show(labels, before, after, u, title)
    return WidgetWithFallback(
        widget, picture_of_probabilities(labels, before, after, title, u)
    )


def picture_of_probabilities(
    labels: Sequence[str],
    before: ArrayLike,
    after: ArrayLike,
    title: str,
    u: float | None = None,
) -> Picture:
    """The fallback: the likeliest tokens as bars, and which token u samples.

    Its scale is always 0 to 100 %, so that two pictures can be compared by eye. It
    takes what `next_token` takes.
    """
    distribution = SampledDistribution.create(labels, before, after, u)
    rows = probability_table_rows(distribution, DRAWN_ROWS)
    figure = Figure(figsize=(7, 3.5), layout="constrained", facecolor="white")
    upper, lower = figure.subplots(2, 1, height_ratios=[len(rows) + 1, 1.9])
    upper.set_title(title, loc="left", fontsize=11, parse_math=False)
    draw_rows(upper, rows, distribution.sampled_id)
    draw_cumulative_bar(lower, distribution, figure.get_figwidth())
    changes = ", ".join(
        f"{row['label']} {' → '.join(row['texts'])}" for row in rows[:DESCRIBED_ROWS]
    )
    description = f"{title}. Probabilities by the model → with the settings: {changes}."
    return Picture(figure, f"{description} {describe_sample(distribution)}")


def draw_rows(axes: Axes, rows: Sequence[dict[str, Any]], sampled_id: int) -> None:
    """Each row's probability before, dashed, and on it that after, solid."""
    for number, row in enumerate(rows):
        cut, is_sampled = not row["after"], row["id"] == sampled_id >= 0
        ink = GREY if cut else "black"
        look = {"facecolor": PALE, "edgecolor": COLORS[0], "linestyle": "--"}
        if cut:
            look |= {"facecolor": "#eeeeee", "edgecolor": GREY, "hatch": "//////"}
        axes.barh(number, 100 * row["before"], height=0.8, linewidth=0.8, **look)
        axes.barh(number, 100 * row["after"], height=0.4, color=COLORS[0])
        weight = "bold" if is_sampled else "normal"
        end = 100 * max(row["before"], row["after"]) + 1
        text = " → ".join(row["texts"]) + "  ◂ drawn" * is_sampled
        style = {"fontsize": 8, "va": "center", "color": ink, "weight": weight}
        axes.text(end, number, text, **style)
        label = row["label"][:MAX_LABEL]
        axes.text(-1, number, label, ha="right", parse_math=False, **style)
    axes.set(xlim=(0, 130), ylim=(len(rows) - 0.5, -0.5), xticks=[], yticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    model = Patch(facecolor=PALE, edgecolor=COLORS[0], linestyle="--")
    handles = [model, Patch(color=COLORS[0])]
    axes.legend(handles, ["the model", "the settings"], loc="center right", fontsize=8)


def draw_cumulative_bar(
    axes: Axes, distribution: SampledDistribution, inches: float
) -> None:
    """The tokens in a line from 0 to 1, and below it the token that u samples."""
    for number, segment in enumerate(bar_segments(distribution)):
        is_sampled = segment["id"] == distribution.sampled_id >= 0
        look = {"facecolor": STRIPE_COLORS[number % 2], "zorder": 1}
        if segment["id"] < 0:
            look |= {"facecolor": "white", "edgecolor": "#bbbbbb", "hatch": "////"}
        if is_sampled:
            look |= {"edgecolor": COLORS[1], "linewidth": 2, "zorder": 3}
        axes.barh(0, segment["width"], left=segment["start"], height=1, **look)
        if segment["width"] * inches * POINTS_PER_INCH > 7 * len(segment["label"]):
            style = {"weight": "bold" if is_sampled else "normal", "zorder": 4}
            style |= {"ha": "center", "va": "center", "parse_math": False}
            middle = segment["start"] + segment["width"] / 2
            axes.text(middle, 0, segment["label"], fontsize=8, **style)
    for end, side in ((0, "right"), (1, "left")):
        axes.text(end, 0, f" {end} ", ha=side, va="center", fontsize=8)
    axes.set(xlim=(0, 1), ylim=(-2.2, 0.6))
    axes.axis("off")
    if distribution.u is not None:
        draw_random_number(axes, distribution)


def draw_random_number(axes: Axes, distribution: SampledDistribution) -> None:
    """A line and a triangle at u, and below them the token that it samples."""
    u = distribution.u
    axes.plot([u] * 2, [-0.75, 0.5], color="black", linewidth=1, zorder=5)
    axes.plot(u, -0.75, "^", color="black", clip_on=False)
    side = "left" if u < 0.2 else "right" if u > 0.8 else "center"
    label = visible_text(distribution.labels[distribution.sampled_id])
    style = {"fontsize": 9, "weight": "bold", "parse_math": False}
    text = f"{format_random_number(distribution)} → {label}"
    axes.text(u, -1.3, text, ha=side, va="top", **style)
