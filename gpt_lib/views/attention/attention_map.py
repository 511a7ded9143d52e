"""To which positions each position of a text attends, for any text the reader types."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from gpt_lib.views.attention.attention_map_data import (
    PAGE_SOURCES,
    attention_map_data,
    check_maps,
)
from gpt_lib.views.attention.text_widget import AttentionWidget
from gpt_lib.views.attention.token_labels import TextSplitter, token_labels
from gpt_lib.views.picture import Picture, WidgetWithFallback

MAX_DRAWN_HEADS, STRONGEST = 4, 3  # in the picture

GetWeights = Callable[[str], Mapping[str, ArrayLike]]


class AttentionMapWidget(AttentionWidget):
    """Carries `attention_map_data` to its page."""

    _esm, _css = PAGE_SOURCES
    frames = traitlets.List(traitlets.Unicode()).tag(sync=True)  # moments or models
    frame = traitlets.Int().tag(sync=True)  # index of the frame shown
    # Another view chooses text and frame: the page then has no field for either.
    linked = traitlets.Bool().tag(sync=True)
    weights = traitlets.Unicode().tag(sync=True)  # floats (frames, heads, T, T)

    def put(self, data: Mapping[str, Any]) -> None:
        """Show other data; the frame stays, where there still is such a one."""
        super().put({**data, "frame": min(self.frame, len(data["frames"]) - 1)})


def attention_map(
    get_weights: GetWeights,
    text: str,
    title: str,
    frame: str | None = None,
    split_text: TextSplitter = list,
) -> WidgetWithFallback:
    """To what each token attends: type a text, point at a token, or use the keys.

    Left and right choose the position that attends, up and down the frame.

    Args:
        get_weights: text of T tokens -> frame, which is a moment or a model -> weights
            (N, T, T) of N heads, row = the position that attends, column = to which.
            It is called at once, and again for each text typed; its `ValueError` is
            shown to the reader.
        text: the first text, at most 64 tokens.
        title: what the map shows.
        frame: the one to begin with; the last if not given.
        split_text: text -> T labels of its tokens; its characters if not given.
    """
    labels = token_labels(split_text(text))
    maps = check_maps(get_weights(text), len(labels))
    frames = list(maps)
    frame = frames[-1] if frame is None else frame
    if frame not in maps:
        raise ValueError(f"frame={frame!r} is not one of {frames}")

    def compute_data(typed: str) -> dict[str, Any]:
        """What the page shows for a text that was typed."""
        typed_labels = token_labels(split_text(typed))
        return attention_map_data(typed, typed_labels, get_weights(typed))

    data = attention_map_data(text, labels, maps)
    widget = AttentionMapWidget(title=title, frame=frames.index(frame), **data)
    widget.on_text(compute_data)
    return WidgetWithFallback(
        widget, picture_of_heads(maps[frame], labels, frame, title)
    )


def picture_of_heads(
    heads: np.ndarray, labels: Sequence[str], frame: str, title: str
) -> Picture:
    """The fallback: a map for each head, and in words where the last position looks."""
    first_heads = heads[:MAX_DRAWN_HEADS]
    side = 4.0 if len(first_heads) == 1 else 2.6
    size = (side * len(first_heads) + 0.6, side + 0.6)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    figure.suptitle(f"{title}: {frame}", x=0.01, ha="left", fontsize=11)
    T = len(labels)
    future = np.triu(np.ones((T, T), dtype=bool), 1)
    positions = range(0, T, max(1, round(T / (8 * side))))
    ticks = [labels[position] for position in positions]
    for number, (axes, weights) in enumerate(
        zip(figure.subplots(1, len(first_heads), squeeze=False)[0], first_heads), 1
    ):
        # The square root makes small weights visible; what is hidden stays white.
        colors = np.ma.masked_where(future & (weights == 0), np.sqrt(weights))
        axes.imshow(colors, cmap="cividis", vmin=0, vmax=1)
        axes.set_xticks(positions, ticks, fontsize=7)
        axes.set_yticks(positions, ticks, fontsize=7)
        axes.set_title(f"head {number}", fontsize=9)
        axes.set_xlabel("looks at", fontsize=8)
    by_head = "; ".join(
        f"head {number} at {describe_strongest(weights[-1], labels)}"
        for number, weights in enumerate(first_heads, 1)
    )
    description = f"{title}, {frame}. Map of {T} tokens, {len(heads)} heads."
    return Picture(figure, f"{description} The last, {labels[-1]}, looks: {by_head}.")


def describe_strongest(weights: np.ndarray, labels: Sequence[str]) -> str:
    """To which tokens the last position attends most, (T,); of equals the nearest."""
    return ", ".join(
        f"{labels[at]} ({len(weights) - 1 - at} back) {weights[at]:.1%}"
        for at in weights.argsort(kind="stable")[::-1][:STRONGEST]
    )
