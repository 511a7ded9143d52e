"""How scores become attention weights, step by step, for any text the reader types."""

from collections.abc import Callable, Mapping

import anywidget
import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from gpt_lib.views.attention.attention_map import MAX_CHARACTERS
from gpt_lib.views.charts.basic import COLORS
from gpt_lib.views.picture import Picture, View, page_script, visible

SHOWN = 10  # positions in one picture

Reader = Callable[[str], Mapping[str, Mapping[str, ArrayLike]]]


class AttentionStepsWidget(anywidget.AnyWidget):
    """The live half of `attention_steps`; its page is drawn by steps.js."""

    _esm = page_script("attention/attention_steps.js")
    title = traitlets.Unicode().tag(sync=True)
    longest = traitlets.Int(MAX_CHARACTERS).tag(sync=True)
    most = traitlets.Int(SHOWN).tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)  # what the reader asked for
    status = traitlets.Unicode().tag(sync=True)  # why it could not be read, or ""
    characters = traitlets.List(traitlets.Unicode()).tag(sync=True)  # what is shown
    layers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    steps = traitlets.List(traitlets.Unicode()).tag(sync=True)
    heads = traitlets.Int(1).tag(sync=True)
    values = traitlets.Bytes().tag(sync=True)  # float32 (layers, steps, heads, T, T)
    # What the reader chose, each counted from 0.
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    row = traitlets.Int(0).tag(sync=True)  # the position that looks
    step = traitlets.Int(0).tag(sync=True)  # the last step shown

    def __init__(self, read: Reader, text: str, title: str) -> None:
        super().__init__(title=title, text=text)
        self.read = read
        self.put(text, read_steps(read, text))
        self.layer = len(self.layers) - 1
        self.observe(self.answer, "text")

    def answer(self, change: dict) -> None:
        """Read the new text; where that fails, say why and keep the old picture."""
        try:
            self.put(change["new"], read_steps(self.read, change["new"]))
        except ValueError as error:
            self.status = str(error)
        except Exception as error:
            self.status = f"{type(error).__name__}: {error}"

    def put(self, text: str, layers: dict[str, dict[str, np.ndarray]]) -> None:
        """Show a text and its values at once, so that the page never mixes two texts.

        The last position looks; layer, head and step stay, where there still are such.
        """
        steps = list(next(iter(layers.values())))
        stack = np.stack([list(arrays.values()) for arrays in layers.values()])
        with self.hold_sync():
            self.characters = [visible(character) for character in text]
            self.layers, self.steps, self.heads = list(layers), steps, stack.shape[2]
            self.layer = min(self.layer, len(layers) - 1)
            self.step = min(self.step, len(steps) - 1)
            self.head = min(self.head, self.heads - 1)
            self.row = len(text) - 1
            self.values, self.status = stack.tobytes(), ""


def attention_steps(
    read: Reader,
    text: str,
    title: str,
    layer: str | None = None,
    row: int | None = None,
) -> View:
    """How one position's scores become weights: choose it, a head, a layer, a step.

    Left and right choose the position that looks, up and down the step.

    Args:
        read: text of T characters -> layer -> step -> (N, T, T) of N heads, row = the
            position that looks, column = where to. At least two steps, the same for all
            layers; the last holds weights, before it -inf stands for what is masked. It
            runs at once, and again for each text typed; its `ValueError` is shown.
        text: the first text, at most 64 characters.
        title: what the steps show.
        layer: the one to begin with; the last if not given.
        row: the position that looks first, from 0; the last if not given.
    """
    widget = AttentionStepsWidget(read, text, title)
    layer = widget.layers[-1] if layer is None else layer
    row = len(text) - 1 if row is None else row
    if layer not in widget.layers or not 0 <= row < len(text):
        raise ValueError(
            f"layer={layer!r} and row={row}: there are {list(widget.layers)}, and rows"
            f" 0 to {len(text) - 1}"
        )
    widget.layer, widget.row = widget.layers.index(layer), row
    shape = (len(widget.layers), len(widget.steps), widget.heads, len(text), len(text))
    values = np.frombuffer(widget.values, dtype=np.float32).reshape(shape)
    rows = dict(zip(widget.steps, values[widget.layer, :, 0, row]))
    shown = f"{title}: {layer}, head 1"
    scores = scores_of(values)
    return View(widget, picture_of_steps(rows, scores, widget.characters, row, shown))


def read_steps(read: Reader, text: str) -> dict[str, dict[str, np.ndarray]]:
    """Call `read` and check what it gave: layer -> step -> float32 (N, T, T)."""
    if not 0 < len(text) <= MAX_CHARACTERS:
        raise ValueError(
            f"{len(text)} characters given; this view reads 1 to {MAX_CHARACTERS}"
        )
    layers = {
        layer: {step: np.asarray(array) for step, array in steps.items()}
        for layer, steps in read(text).items()
    }
    if not layers:
        raise ValueError("read gave no layers; it needs at least one")
    first = next(iter(layers.values()))
    if len(first) < 2:
        raise ValueError(f"read gave the steps {list(first)}; it needs at least two")
    heads = next(iter(first.values())).shape[:1]
    for layer, steps in layers.items():
        if list(steps) != list(first):
            raise ValueError(
                f"{layer!r} has the steps {list(steps)}, another layer {list(first)};"
                " all layers need the same"
            )
        for step, array in steps.items():
            check_values(array, f"{step!r} of {layer!r}", (*heads, *[len(text)] * 2))
        check_weights(array, f"{step!r} of {layer!r}")
    return {
        layer: {step: array.astype(np.float32) for step, array in steps.items()}
        for layer, steps in layers.items()
    }


def check_values(array: np.ndarray, name: str, needed: tuple[int, ...]) -> None:
    """Raise `ValueError` unless this is (N, T, T) of numbers or -inf."""
    if array.shape != needed or not array.size:
        T = needed[-1]
        raise ValueError(
            f"{name} has shape {array.shape}; {T} characters need (N, {T}, {T}),"
            " with one N for all layers and steps"
        )
    if np.isnan(array).any() or np.isposinf(array).any():
        raise ValueError(f"{name} has NaN or +inf; it needs numbers, or -inf if masked")


def check_weights(weights: np.ndarray, name: str) -> None:
    """Raise `ValueError` unless each row, (N, T, T), shares out a whole."""
    if weights.min() < 0 or weights.max() > 1 + 1e-3:
        raise ValueError(
            f"{name} is the last step: it needs weights in [0, 1], but goes from"
            f" {weights.min():.3g} to {weights.max():.3g}"
        )
    sums = weights.sum(-1, dtype=np.float64)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > 1e-3:
        raise ValueError(
            f"{name} is the last step: its rows need the sum 1, one has {worst:.4g}"
        )


def strongest(weights: np.ndarray, row: int) -> list[int]:
    """The places to show, in order: `row`, the first after it, then the strongest.

    Args:
        weights: (T,) that the position `row` gives.
        row: the position that looks.
    """
    T = len(weights)
    order = sorted(range(T), key=lambda place: (-weights[place], abs(row - place)))
    looked_at = [place for place in order if place <= row or weights[place] > 0]
    edge = [place for place in (row, row + 1) if place < T]
    others = [place for place in looked_at if place not in edge]
    return sorted([*edge, *others[: SHOWN - len(edge)]])


def distance(row: int, place: int) -> str:
    """How far back, or ahead, a place is for the position that looks."""
    if row == place:
        return "itself"
    return f"{row - place} back" if place < row else f"{place - row} ahead"


def in_words(value: float, is_weight: bool) -> str:
    """A number as it is written at its bar."""
    if is_weight:
        return "<0.1 %" if 0 < value < 0.0005 else f"{100 * value:.1f} %"
    return "−∞" if np.isneginf(value) else f"{value:.2f}".replace("-", "−")


def scores_of(values: np.ndarray) -> list[int]:
    """The steps, of (layers, steps, N, T, T), that hold scores: some are negative."""
    below = (np.isfinite(values) & (values < 0)).any((0, 2, 3, 4))
    return [int(step) for step in np.flatnonzero(below[:-1])]


def picture_of_steps(
    rows: Mapping[str, np.ndarray],
    scores: list[int],
    names: list[str],
    looker: int,
    title: str,
) -> Picture:
    """The static twin: what one position's numbers, step -> (T,), turn into."""
    T, last = len(names), list(rows)[-1]
    places = strongest(rows[last], looker)
    labels = [f"{names[place]}  {distance(looker, place)}" for place in places]
    size = (max(7.0, 1.2 + 1.9 * len(rows)), 1.1 + 0.24 * max(3, len(places)))
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    heading = f"{title}, position {looker + 1}, {names[looker]}, looks"
    figure.suptitle(heading, x=0.01, ha="left", fontsize=11, parse_math=False)
    panels = figure.subplots(1, len(rows), sharey=True)
    limits = limits_of([row[places] for row in rows.values()], scores)
    for axes, (step, row), ends in zip(panels, rows.items(), limits):
        draw_step(axes, row[places], ends, step == last)
        axes.set_title(step, loc="left", fontsize=9, parse_math=False)
    panels[0].set_yticks(range(len(places)), labels, fontsize=8, parse_math=False)
    panels[0].invert_yaxis()
    told = "; ".join(
        f"“{names[place]}” ({distance(looker, place)}) "
        + ", ".join(f"{s} {in_words(r[place], s == last)}" for s, r in rows.items())
        for place in places
    )
    words = f"{heading} at: {told}."
    if len(places) < T:
        words += f" {T - len(places)} weaker places are not shown."
    return Picture(figure, words)


def limits_of(
    columns: list[np.ndarray], scores: list[int]
) -> list[tuple[float, float]]:
    """The ends of each step's axis: shared by all `scores`, so that a division shows.

    A step between that is never negative, such as exp, has its own; weights go to 1.
    """
    finite = [column[np.isfinite(column)] for column in columns]
    shared = [0.0, *(number for step in scores for number in finite[step])]
    limits = [(0.0, max(numbers, default=0.0) or 1.0) for numbers in finite]
    for step in scores:
        limits[step] = (min(shared), max(shared))
    return [*limits[:-1], (0.0, 1.0)]


def draw_step(
    axes: Axes, values: np.ndarray, limits: tuple[float, float], is_weight: bool
) -> None:
    """A bar for each value and its number; what is masked is hatched."""
    low, high = limits
    room = 0.45 * (high - low)  # for the numbers
    axes.set_xlim(low - room * (low < 0), high + room)
    masked = np.isneginf(values)
    bars = axes.barh(range(len(values)), np.where(masked, 0, values), color=COLORS[0])
    texts = [in_words(value, is_weight) for value in values]
    axes.bar_label(bars, texts, padding=3, fontsize=8)
    for place in np.flatnonzero(masked):
        axes.barh(place, high, color="none", edgecolor="#777777", hatch="////")
    axes.axvline(0, color="#777777", linewidth=0.8)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks([])
