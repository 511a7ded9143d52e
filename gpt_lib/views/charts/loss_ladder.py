"""The loss ladder: every stage of the course on one axis, from worst to best."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from gpt_lib.views.charts.colors import COLORS
from gpt_lib.views.picture import Picture, new_figure_and_axes

MARKERS = ["o", "s", "^", "D", "v", "P"]


def loss_ladder(
    rungs: Sequence[str],
    series: Mapping[str, Sequence[ArrayLike]],
    title: str,
    lines: Mapping[str, float] | None = None,
    unit: str = "nats a character",
) -> Picture:
    """A row for each stage, a dot for each seed, and the mean with its number.

    Args:
        rungs: stages, top to bottom, worst to best.
        series: what is equal, such as "equal tokens" -> for each rung its losses, one
            for each seed; none where it was not measured.
        title: what is compared.
        lines: name -> loss, such as that of a guess to compare with.
        unit: of the losses.
    """
    losses = {
        name: check_seed_losses(name, lists, rungs) for name, lists in series.items()
    }
    figure, axes = new_figure_and_axes(
        7.5, 1.2 + len(rungs) * (0.2 + 0.22 * len(losses))
    )
    shifts = np.linspace(-0.3, 0.3, 2 * len(losses) + 1)[1::2]
    styles = zip(shifts, cycle(COLORS), cycle(MARKERS))
    parts = []
    for (name, lists), (shift, color, marker) in zip(losses.items(), styles):
        draw_series(axes, name, lists, shift, color, marker)
        parts.append(f"{name}: {describe_spreads(rungs, lists)}")
    by_loss = sorted((lines or {}).items(), key=lambda line: line[1])
    for number, (name, loss) in enumerate(by_loss):
        draw_reference_line(axes, name, loss, row=number % 2)
        parts.append(f"line {name} at {loss:.3f}")
    axes.set_yticks(range(len(rungs)), rungs)
    axes.set_ylim(len(rungs) - 0.5, -0.5)
    axes.margins(x=0.1)
    axes.set_xlabel(f"loss ({unit}), lower is better")
    axes.set_title(
        title, loc="left", fontsize=11, pad=6 + 12 * min(2, len(lines or {}))
    )
    if losses:
        axes.legend(fontsize=9, framealpha=1, edgecolor="white")
    return Picture(figure, f"{title}. Loss in {unit}. {'; '.join(parts)}.")


def check_seed_losses(
    name: str, lists: Sequence[ArrayLike], rungs: Sequence[str]
) -> list[np.ndarray]:
    """An array of losses, one for each seed, for each rung; or a ValueError."""
    if len(lists) != len(rungs):
        raise ValueError(
            f"series {name!r} has {len(lists)} lists of losses; {len(rungs)} rungs need"
            f" {len(rungs)}"
        )
    arrays = [np.asarray(seeds, dtype=float) for seeds in lists]
    for rung, seeds in zip(rungs, arrays):
        if seeds.ndim != 1 or not np.isfinite(seeds).all():
            raise ValueError(
                f"series {name!r} has {seeds.tolist()} for {rung!r}; it needs a list of"
                " finite losses, one for each seed"
            )
    return arrays


def draw_series(
    axes: Axes,
    name: str,
    lists: Sequence[np.ndarray],
    shift: float,
    color: str,
    marker: str,
) -> None:
    """Faint seeds, and a thin line through their means with a number at each."""
    measured = [(rung, seeds) for rung, seeds in enumerate(lists) if len(seeds)]
    for rung, seeds in measured:
        heights = np.full(len(seeds), rung + shift)
        axes.plot(seeds, heights, marker, color=color, alpha=0.35, markersize=5, mew=0)
        axes.annotate(
            f"{seeds.mean():.3f}",
            xy=(seeds.max(), rung + shift),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=color,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
    axes.plot(
        [seeds.mean() for _, seeds in measured],
        [rung + shift for rung, _ in measured],
        marker=marker,
        color=color,
        markersize=7,
        markerfacecolor="none",
        linewidth=0.8,
        label=name,
    )


def draw_reference_line(axes: Axes, name: str, loss: float, row: int) -> None:
    """A vertical line with its name above the axes, in rows because names are wide."""
    axes.axvline(loss, color="#777777", linewidth=0.8, linestyle=":")
    axes.annotate(
        f"{name} {loss:.3f}",
        xy=(loss, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3 + 11 * row),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color="#444444",
    )


def describe_spreads(rungs: Sequence[str], lists: Sequence[np.ndarray]) -> str:
    """Each rung's mean and its spread over the seeds."""
    return ", ".join(
        f"{rung} {seeds.mean():.3f} ({seeds.min():.3f}–{seeds.max():.3f})"
        if len(seeds)
        else f"{rung} not measured"
        for rung, seeds in zip(rungs, lists)
    )
