"""Where each position of a text looks, for any text the reader types."""

from collections.abc import Callable, Mapping

import anywidget
import numpy as np
import traitlets
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from gpt_lib.views.picture import Picture, View, page_script, visible

MAX_CHARACTERS, MAX_DRAWN_HEADS, STRONGEST = 64, 4, 3

Reader = Callable[[str], Mapping[str, ArrayLike]]


class AttentionMapWidget(anywidget.AnyWidget):
    """The live half of `attention_map`; its page is drawn by attention.js."""

    _esm = page_script("attention/attention_map.js")
    title = traitlets.Unicode().tag(sync=True)
    longest = traitlets.Int(MAX_CHARACTERS).tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)  # what the reader asked for
    status = traitlets.Unicode().tag(sync=True)  # why it could not be read, or ""
    characters = traitlets.List(traitlets.Unicode()).tag(sync=True)  # what is shown
    moments = traitlets.List(traitlets.Unicode()).tag(sync=True)
    moment = traitlets.Int().tag(sync=True)  # which of `moments` is shown
    # Another view chooses text and moment: the page then has no field for either.
    driven = traitlets.Bool().tag(sync=True)
    heads = traitlets.Int(1).tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)  # float32 (moments, heads, T, T)
    palette = traitlets.Bytes().tag(sync=True)  # 256 colours, RGBA

    def __init__(
        self,
        text: str,
        maps: Mapping[str, np.ndarray],
        title: str,
        read: Reader | None = None,
    ) -> None:
        palette = colormaps["cividis"](np.arange(256), bytes=True).tobytes()
        super().__init__(title=title, text=text, palette=palette, driven=read is None)
        self.read = read
        self.put(text, maps)
        self.moment = len(self.moments) - 1
        if read:
            self.observe(self.answer, "text")

    def answer(self, change: dict) -> None:
        """Read the new text; where that fails, say why and keep the old map."""
        try:
            self.put(change["new"], read_weights(self.read, change["new"]))
        except ValueError as error:
            self.status = str(error)
        except Exception as error:
            self.status = f"{type(error).__name__}: {error}"

    def put(self, text: str, maps: Mapping[str, np.ndarray]) -> None:
        """Show a text and its maps at once, so that the page never mixes two texts."""
        stack = np.stack(list(maps.values()))
        with self.hold_sync():
            self.characters = [visible(character) for character in text]
            self.moments, self.heads = list(maps), stack.shape[1]
            self.moment = min(self.moment, len(maps) - 1)
            self.weights, self.status = stack.tobytes(), ""


def attention_map(
    read: Reader, text: str, title: str, moment: str | None = None
) -> View:
    """Where each character looks: type a text, point at a character, or use the keys.

    Left and right choose the position that looks, up and down the moment.

    Args:
        read: text of T characters -> moment or model -> weights (N, T, T) of N heads,
            row = the position that looks, column = where to. It runs at once, and again
            for each text typed; its `ValueError` is shown to the reader.
        text: the first text, at most 64 characters.
        title: what the map shows.
        moment: the one to begin with; the last if not given.
    """
    maps = read_weights(read, text)
    widget = AttentionMapWidget(text, maps, title, read)
    shown = widget.moments[-1] if moment is None else moment
    if shown not in maps:
        raise ValueError(f"moment={shown!r} is not one of {list(maps)}")
    widget.moment = widget.moments.index(shown)
    return View(widget, picture_of_heads(maps[shown], widget.characters, shown, title))


def read_weights(read: Reader, text: str) -> dict[str, np.ndarray]:
    """Call `read` and check what it gave: float32 (N, T, T) for each moment."""
    if not 0 < len(text) <= MAX_CHARACTERS:
        raise ValueError(
            f"{len(text)} characters given; the map reads 1 to {MAX_CHARACTERS}"
        )
    maps = {name: np.asarray(map_) for name, map_ in read(text).items()}
    if not maps:
        raise ValueError("read gave no weights; it needs at least one moment")
    heads = next(iter(maps.values())).shape[:1]
    needed = (*heads, len(text), len(text))
    for name, map_ in maps.items():
        if map_.shape != needed or map_.ndim != 3 or not map_.size:
            raise ValueError(
                f"weights of {name!r} have shape {map_.shape}; {len(text)} characters"
                f" need (N, {len(text)}, {len(text)}), with one N for all moments"
            )
        if not np.isfinite(map_).all():
            raise ValueError(f"weights of {name!r} are not all finite")
    return {name: map_.astype(np.float32) for name, map_ in maps.items()}


def picture_of_heads(
    heads: np.ndarray, names: list[str], moment: str, title: str
) -> Picture:
    """The static twin: one map a head, and in words where the last position looks."""
    drawn = heads[:MAX_DRAWN_HEADS]
    side = 4.0 if len(drawn) == 1 else 2.6
    size = (side * len(drawn) + 0.6, side + 0.6)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    figure.suptitle(f"{title}: {moment}", x=0.01, ha="left", fontsize=11)
    T = len(names)
    future = np.triu(np.ones((T, T), dtype=bool), 1)
    every = range(0, T, max(1, round(T / (8 * side))))
    ticks = [names[place] for place in every]
    for number, (axes, map_) in enumerate(
        zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn), 1
    ):
        # The square root lets faint looks be seen; what is hidden stays white.
        shown = np.ma.masked_where(future & (map_ == 0), np.sqrt(map_))
        axes.imshow(shown, cmap="cividis", vmin=0, vmax=1)
        axes.set_xticks(every, ticks, fontsize=7)
        axes.set_yticks(every, ticks, fontsize=7)
        axes.set_title(f"head {number}", fontsize=9)
        axes.set_xlabel("looks at", fontsize=8)
    looks = "; ".join(
        f"head {number} at {strongest_in_words(map_[-1], names)}"
        for number, map_ in enumerate(drawn, 1)
    )
    words = f"{title}, {moment}. Map of {len(names)} characters, {len(heads)} heads."
    return Picture(figure, f"{words} The last, {names[-1]}, looks: {looks}.")


def strongest_in_words(row: np.ndarray, names: list[str]) -> str:
    """Where a position looks most, strongest first, and of equals the nearest."""
    return ", ".join(
        f"{names[place]} ({len(row) - 1 - place} back) {row[place]:.1%}"
        for place in row.argsort(kind="stable")[::-1][:STRONGEST]
    )
