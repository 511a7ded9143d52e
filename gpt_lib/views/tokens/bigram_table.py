"""A table of what follows what, to explore by mouse or by arrow keys."""

from collections.abc import Sequence

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from gpt_lib.views.picture import Picture, WidgetWithFallback, new_figure_and_axes
from gpt_lib.views.tokens.bigram_table_data import (
    PAGE_SOURCES,
    bigram_table_data,
    check_square_matrix,
)
from gpt_lib.views.widget import PageWidget

DESCRIBED_ROWS = 3  # rows in the description


class BigramTableWidget(PageWidget):
    """Carries `bigram_table_data` to its page."""

    _esm, _css = PAGE_SOURCES
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)  # V tokens
    probabilities = traitlets.Unicode().tag(sync=True)  # floats (V, V)


def bigram_table(
    probabilities: ArrayLike, labels: Sequence[str], title: str
) -> WidgetWithFallback:
    """Which token follows which: point at a cell, or move with the arrow keys.

    Args:
        probabilities: (V, V), row = the token before, column = the one after.
        labels: V tokens, in the order of the rows.
        title: what the table shows.
    """
    data = bigram_table_data(probabilities, labels)
    matrix = check_square_matrix(probabilities, labels)
    widget = BigramTableWidget(title=title, **data)
    return WidgetWithFallback(widget, table_fallback(matrix, data["labels"], title))


def table_fallback(matrix: np.ndarray, labels: Sequence[str], title: str) -> Picture:
    """The fallback: the same colours, and the surest rows in words."""
    figure, axes = new_figure_and_axes(7.5, 7)
    axes.imshow(np.sqrt(matrix), cmap="cividis")  # rare pairs are visible
    axes.set_xticks(range(len(labels)), labels, fontsize=6)
    axes.set_yticks(range(len(labels)), labels, fontsize=6)
    axes.set(xlabel="next token", ylabel="token before")
    axes.set_title(title, loc="left", fontsize=11)
    surest = matrix.max(1).argsort()[::-1][:DESCRIBED_ROWS]
    rows = ", ".join(
        f"after {labels[row]} comes {labels[matrix[row].argmax()]}"
        f" with {matrix[row].max():.0%}"
        for row in surest
    )
    return Picture(figure, f"{title}. Table of {len(labels)} rows; surest: {rows}.")
