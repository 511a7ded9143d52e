"""A table of what follows what, to explore by mouse or by arrow keys."""

from collections.abc import Sequence

import anywidget
import numpy as np
import traitlets
from matplotlib import colormaps
from numpy.typing import ArrayLike

from gpt_lib.views.picture import Picture, View, new_figure, page_script, visible


class PairTableWidget(anywidget.AnyWidget):
    """The live half of `pair_table`; its page is drawn by table.js."""

    _esm = page_script("tokens/pair_table.js")
    characters = traitlets.List(traitlets.Unicode()).tag(sync=True)
    probabilities = traitlets.Bytes().tag(sync=True)  # float32, row after row
    colors = traitlets.Bytes().tag(sync=True)  # RGBA, row after row
    title = traitlets.Unicode().tag(sync=True)


def pair_table(probabilities: ArrayLike, characters: Sequence[str], title: str) -> View:
    """Which character follows which: point at a cell, or move with the arrow keys.

    Args:
        probabilities: (V, V), row = the character before, column = the one after.
        characters: V characters, in the order of the rows.
        title: what the table shows.
    """
    table = np.asarray(probabilities, dtype=np.float32)
    size = len(characters)
    if table.shape != (size, size):
        raise ValueError(f"a table {table.shape} does not fit {size} characters")
    names = [visible(character) for character in characters]
    widget = PairTableWidget(
        characters=names,
        probabilities=table.tobytes(),
        # The square root lets rare pairs be seen beside frequent ones.
        colors=colormaps["cividis"](np.sqrt(table), bytes=True).tobytes(),
        title=title,
    )
    return View(widget, picture_of_pairs(table, names, title))


def picture_of_pairs(table: np.ndarray, names: Sequence[str], title: str) -> Picture:
    """The static twin: the same colours, and the surest rows in words."""
    figure, axes = new_figure(7.5, 7)
    axes.imshow(np.sqrt(table), cmap="cividis")
    axes.set_xticks(range(len(names)), names, fontsize=6)
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.set(xlabel="next character", ylabel="character before")
    axes.set_title(title, loc="left", fontsize=11)
    surest = table.max(1).argsort()[::-1][:3]
    words = ", ".join(
        f"after {names[row]} comes {names[table[row].argmax()]}"
        f" with {table[row].max():.0%}"
        for row in surest
    )
    return Picture(figure, f"{title}. Table of {len(names)} rows; surest: {words}.")
