"""How scores become attention weights, step by step, for any text the reader types."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpt_lib.views.attention.attention_steps_data import (
    MAX_ATTENDED_POSITIONS,
    PAGE_SOURCES,
    AttentionStepsByLayer,
    attention_steps_data,
    check_layers,
)
from gpt_lib.views.attention.text_widget import AttentionWidget
from gpt_lib.views.attention.token_labels import TextSplitter, token_labels
from gpt_lib.views.charts.colors import COLORS
from gpt_lib.views.picture import Picture, WidgetWithFallback

GetSteps = Callable[[str], AttentionStepsByLayer]


class AttentionStepsWidget(AttentionWidget):
    """Carries `attention_steps_data` to its page, and holds what the reader chose."""

    _esm, _css = PAGE_SOURCES
    max_positions = traitlets.Int(MAX_ATTENDED_POSITIONS).tag(sync=True)
    layers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    steps = traitlets.List(traitlets.Unicode()).tag(sync=True)
    values = traitlets.Unicode().tag(sync=True)  # floats (layers, steps, heads, T, T)
    # What the reader chose, each counted from 0.
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    row = traitlets.Int(0).tag(sync=True)  # the position that attends
    step = traitlets.Int(0).tag(sync=True)  # the last step shown

    def put(self, data: Mapping[str, Any]) -> None:
        """Show other data: its last position; layer, head and step stay if they can."""
        choices = {
            "layer": min(self.layer, len(data["layers"]) - 1),
            "step": min(self.step, len(data["steps"]) - 1),
            "head": min(self.head, data["heads"] - 1),
            "row": len(data["labels"]) - 1,
        }
        super().put({**data, **choices})


def attention_steps(
    get_steps: GetSteps,
    text: str,
    title: str,
    layer: str | None = None,
    row: int | None = None,
    split_text: TextSplitter = list,
) -> WidgetWithFallback:
    """How one position's scores become weights: choose it, a head, a layer, a step.

    Left and right choose the position that attends, up and down the step.

    Args:
        get_steps: text of T tokens -> layer -> step -> (N, T, T) of N heads, row = the
            position that attends, column = to which. At least two steps, the same for
            all layers; the last holds weights, before it -inf stands for what is
            masked. It is called at once, and again for each text typed; its
            `ValueError` is shown to the reader.
        text: the first text, at most 64 tokens.
        title: what the steps show.
        layer: the one to begin with; the last if not given.
        row: the position that attends first, from 0; the last if not given.
        split_text: text -> T labels of its tokens; its characters if not given.
    """
    labels = token_labels(split_text(text))
    layers = check_layers(get_steps(text), len(labels))
    names, T = list(layers), len(labels)
    layer = names[-1] if layer is None else layer
    row = T - 1 if row is None else row
    if layer not in layers or not 0 <= row < T:
        raise ValueError(
            f"layer={layer!r} and row={row}: there are {names}, and rows 0 to {T - 1}"
        )

    def compute_data(typed: str) -> dict[str, Any]:
        """What the page shows for a text that was typed."""
        typed_labels = token_labels(split_text(typed))
        return attention_steps_data(typed, typed_labels, get_steps(typed))

    data = attention_steps_data(text, labels, layers)
    choices = {"layer": names.index(layer), "row": row}
    widget = AttentionStepsWidget(title=title, **data, **choices)
    widget.on_text(compute_data)
    columns = {step: values[0, row] for step, values in layers[layer].items()}
    heading = f"{title}: {layer}, head 1"
    scores = find_score_steps(
        np.stack([[*steps.values()] for steps in layers.values()])
    )
    return WidgetWithFallback(
        widget, picture_of_steps(columns, scores, labels, row, heading)
    )


def positions_to_draw(weights: np.ndarray, row: int) -> list[int]:
    """The positions to show, in order: `row`, the first after it, then the strongest.

    Args:
        weights: (T,) that the position `row` gives.
        row: the position that attends.
    """
    T = len(weights)
    order = sorted(range(T), key=lambda at: (-weights[at], abs(row - at)))
    visible = [at for at in order if at <= row or weights[at] > 0]
    edge = [at for at in (row, row + 1) if at < T]
    others = [at for at in visible if at not in edge]
    return sorted([*edge, *others[: MAX_ATTENDED_POSITIONS - len(edge)]])


def describe_distance(row: int, position: int) -> str:
    """How far back, or ahead, a position is for the one that attends."""
    if row == position:
        return "itself"
    return f"{row - position} back" if position < row else f"{position - row} ahead"


def format_value(value: float, is_weight: bool) -> str:
    """A number as it is written at its bar."""
    if is_weight:
        return "<0.1 %" if 0 < value < 0.0005 else f"{100 * value:.1f} %"
    return "−∞" if np.isneginf(value) else f"{value:.2f}".replace("-", "−")


def find_score_steps(values: np.ndarray) -> list[int]:
    """The steps, of (layers, steps, N, T, T), that hold scores: some are negative."""
    negative = (np.isfinite(values) & (values < 0)).any((0, 2, 3, 4))
    return [int(step) for step in np.flatnonzero(negative[:-1])]


def picture_of_steps(
    columns: Mapping[str, np.ndarray],
    scores: Sequence[int],
    labels: Sequence[str],
    row: int,
    title: str,
) -> Picture:
    """The fallback: what the numbers of the position `row`, step -> (T,), turn into."""
    T, last = len(labels), list(columns)[-1]
    positions = positions_to_draw(columns[last], row)
    ticks = [f"{labels[at]}  {describe_distance(row, at)}" for at in positions]
    size = (max(7.0, 1.2 + 1.9 * len(columns)), 1.1 + 0.24 * max(3, len(positions)))
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    heading = f"{title}, position {row + 1}, {labels[row]}, looks"
    figure.suptitle(heading, x=0.01, ha="left", fontsize=11, parse_math=False)
    panels = figure.subplots(1, len(columns), sharey=True)
    limits = step_axis_limits(
        [values[positions] for values in columns.values()], scores
    )
    for axes, (step, values), ends in zip(panels, columns.items(), limits):
        draw_step(axes, values[positions], ends, step == last)
        axes.set_title(step, loc="left", fontsize=9, parse_math=False)
    panels[0].set_yticks(range(len(positions)), ticks, fontsize=8, parse_math=False)
    panels[0].invert_yaxis()
    numbers = {
        at: [f"{s} {format_value(v[at], s == last)}" for s, v in columns.items()]
        for at in positions
    }
    rows = "; ".join(
        f"“{labels[at]}” ({describe_distance(row, at)}) {', '.join(numbers[at])}"
        for at in positions
    )
    description = f"{heading} at: {rows}."
    if len(positions) < T:
        description += f" {T - len(positions)} weaker positions are not shown."
    return Picture(figure, description)


def step_axis_limits(
    columns: Sequence[np.ndarray], scores: Sequence[int]
) -> list[tuple[float, float]]:
    """The ends of each step's axis: shared by all `scores`, so that a division shows.

    A step in between that is never negative, such as exp, has its own; weights go to 1.
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
    margin = 0.45 * (high - low)  # for the numbers
    axes.set_xlim(low - margin * (low < 0), high + margin)
    masked = np.isneginf(values)
    lengths = np.where(masked, 0, values)
    bars = axes.barh(range(len(values)), lengths, color=COLORS[0])
    texts = [format_value(value, is_weight) for value in values]
    axes.bar_label(bars, texts, padding=3, fontsize=8)
    for index in np.flatnonzero(masked):
        axes.barh(index, high, color="none", edgecolor="#777777", hatch="////")
    axes.axvline(0, color="#777777", linewidth=0.8)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks([])
