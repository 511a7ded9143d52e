"""The three charts that carry most lessons: bars, a heatmap, and lines.

Each describes itself in words computed from its data, so that the description of a
picture can never go stale.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import cycle

import numpy as np
from numpy.typing import ArrayLike

from gpt_lib.views.charts.colors import COLORS, LINE_DASHES
from gpt_lib.views.picture import Picture, new_figure_and_axes

MAX_NUMBERED_CELLS = 150
MAX_TICKS = 24  # with a number at each; of longer sides some have one


def bar_chart(
    labels: Sequence[str], values: ArrayLike, title: str, unit: str = ""
) -> Picture:
    """One bar for each of `labels`, its value written at its end.

    Args:
        labels: names, top to bottom; at most 24 can be read.
        values: as many numbers.
        title: what the bars show.
        unit: written behind each value, such as "%".
    """
    numbers = np.asarray(values, dtype=float)
    if len(labels) != len(numbers):
        raise ValueError(f"{len(labels)} labels for {len(numbers)} values")
    figure, axes = new_figure_and_axes(7, 0.7 + 0.24 * max(3, len(numbers)))
    rows = np.arange(len(numbers))
    axes.barh(rows, numbers, color=COLORS[0])
    texts = [f"{format_number(number)}{unit}" for number in numbers]
    # To the right of a negative bar, too: on its left the number would cover the label.
    style = {"xytext": (3, 0), "textcoords": "offset points", "va": "center"}
    for text, end, row in zip(texts, numbers.clip(min=0), rows):
        axes.annotate(text, (end, row), fontsize=9, **style)
    axes.set_yticks(rows, labels)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(lambda number, _: format_number(number))
    axes.set_title(title, loc="left", fontsize=11)
    pairs = ", ".join(f"{label} {text}" for label, text in zip(labels, texts))
    return Picture(figure, f"{title}. Bars: {pairs}.")


def format_number(number: float) -> str:
    """Four digits are enough; large numbers in groups, not with an exponent."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def heatmap(
    values: ArrayLike,
    title: str,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> Picture:
    """A matrix as coloured cells; a small one also shows its numbers.

    Signed data is drawn around a white zero, one-signed data from dark to bright.

    Args:
        values: (rows, columns), or one row of numbers.
        title: what the cells show.
        rows: a name for each row.
        columns: a name for each column.
    """
    matrix = np.atleast_2d(np.asarray(values, dtype=float))
    height, width = matrix.shape
    figure, axes = new_figure_and_axes(
        min(8.0, 1.8 + 0.62 * width), min(8.0, 0.9 + 0.42 * height)
    )
    bound = np.abs(matrix).max()
    signed = {"cmap": "PuOr", "vmin": -bound, "vmax": bound}
    image = axes.imshow(
        matrix, aspect="auto", **(signed if matrix.min() < 0 else {"cmap": "cividis"})
    )
    if columns or width <= MAX_TICKS:
        axes.set_xticks(range(width), columns or range(width), fontsize=9)
    if rows or height <= MAX_TICKS:
        axes.set_yticks(range(height), rows or range(height), fontsize=9)
    axes.set_title(title, loc="left", fontsize=11)
    if matrix.size <= MAX_NUMBERED_CELLS:
        for (row, column), number in np.ndenumerate(matrix):
            red, green, blue, _ = image.cmap(image.norm(number))
            ink = "black" if 0.3 * red + 0.6 * green + 0.1 * blue > 0.5 else "white"
            axes.text(column, row, f"{number:.3g}", ha="center", va="center", color=ink)
        cells = "; ".join(" ".join(f"{number:.3g}" for number in row) for row in matrix)
    else:
        figure.colorbar(image, ax=axes)
        cells = f"from {matrix.min():.3g} to {matrix.max():.3g}"
    return Picture(figure, f"{title}. Grid of {height} rows, {width} columns: {cells}.")


def line_chart(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    title: str,
    x_label: str,
    y_label: str,
    lines: Mapping[str, float] | None = None,
    faint: Collection[str] = (),
    logarithmic: str = "",
) -> Picture:
    """Named curves on one pair of axes, over named horizontal `lines`.

    Args:
        series: name -> (x, y).
        title: what the curves show.
        x_label: the horizontal quantity and its unit.
        y_label: the vertical quantity and its unit.
        lines: name -> height, such as the loss of a guess to compare with.
        faint: names of noisy curves, to be drawn thin.
        logarithmic: the axes that are: "x", "y" or "xy".
    """
    figure, axes = new_figure_and_axes()
    parts = []
    for (name, (x, y)), color, dash in zip(
        series.items(), cycle(COLORS), cycle(LINE_DASHES)
    ):
        xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        width = 0.6 if name in faint else 1.8
        axes.plot(xs, ys, label=name, color=color, linestyle=dash, linewidth=width)
        if len(ys):
            parts.append(f"{name} from {ys[0]:.3g} to {ys[-1]:.3g}")
    for name, height in (lines or {}).items():
        axes.axhline(height, color="#777777", linewidth=0.8)
        axes.annotate(
            f"{name} {height:.3f}",
            xy=(1, height),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color="#444444",
        )
        parts.append(f"line {name} at {height:.3f}")
    axes.set(xlabel=x_label, ylabel=y_label)
    for axis in logarithmic:
        axes.set(**{f"{axis}scale": "log"})
    axes.set_title(title, loc="left", fontsize=11)
    if series:
        axes.legend(fontsize=9, framealpha=1, edgecolor="white")
    return Picture(figure, f"{title}. {y_label} against {x_label}: {'; '.join(parts)}.")
