"""A training run to scrub through: one slider drives three views of its checkpoints."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import anywidget
import numpy as np
import traitlets
from ipywidgets import VBox, jslink
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from gpt_lib.views.attention.attention_map import (
    MAX_CHARACTERS,
    AttentionMapWidget,
    read_weights,
)
from gpt_lib.views.charts.basic import COLORS, DASHES
from gpt_lib.views.picture import Panel, Picture, View, new_figure, page_script
from gpt_lib.views.tokens.loss_heatmap import PAPER, heat_widget

SAMPLES_SHOWN = 4  # in the twin
X_LABEL, Y_LABEL = "training step", "loss (nats a character)"
DOTS_LABEL = "checkpoints, on the passage"

Curve = Mapping[str, tuple[ArrayLike, ArrayLike]]
Guesses = Sequence[Sequence[tuple[str, float]]]  # a list for each character of a text


@dataclass(frozen=True)
class Run:
    """What the curve shows, and what is told beside it."""

    steps: list[int]
    lines: dict[str, np.ndarray]  # name -> float32 (points, 2)
    samples: list[str]  # one for each step
    means: list[float]  # likewise, nats a character on the passage
    title: str


class CheckpointsWidget(anywidget.AnyWidget):
    """The slider, the loss curve and what was written; drawn by scrubber.js."""

    _esm = page_script("charts/training_scrubber.js")
    title = traitlets.Unicode().tag(sync=True)
    moment = traitlets.Int().tag(sync=True)  # the chosen one of `steps`
    steps = traitlets.List(traitlets.Int()).tag(sync=True)
    means = traitlets.List(traitlets.Float()).tag(sync=True)  # loss at each step
    samples = traitlets.List(traitlets.Unicode()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)  # of the curves
    curves = traitlets.List(traitlets.Bytes()).tag(sync=True)  # float32 x, y, x, y …
    colors = traitlets.List(traitlets.Unicode()).tag(sync=True)
    # Each axis goes from its first to its last tick.
    x_ticks = traitlets.List(traitlets.Float()).tag(sync=True)
    y_ticks = traitlets.List(traitlets.Float()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)  # of x, y and the dots


def scrubber(
    steps: Sequence[int],
    curve: Curve,
    samples: Sequence[str],
    text: str,
    losses: ArrayLike,
    likeliest: Sequence[Guesses],
    maps: ArrayLike,
    title: str,
) -> View:
    """A run's K checkpoints: what each wrote, how it read a text, and where it looked.

    The page itself links one slider to all three: it needs no kernel.

    Args:
        steps: the training steps, increasing, after which K >= 2 checkpoints were kept.
        curve: name -> (x, y), losses of the run in nats a character against its steps.
        samples: K texts, one written by each checkpoint.
        text: N characters to read.
        losses: (K, N) nats a character, NaN where there was no past to read.
        likeliest: for each checkpoint and character up to five pairs of what it
            expected there and its probability, likeliest first.
        maps: (K, heads, T, T) weights over the first T <= 64 characters of `text`,
            row = the position that looks, column = where to.
        title: what run this is.
    """
    check_checkpoints(steps, samples, likeliest)
    steps, K, N = [int(step) for step in steps], len(steps), len(text)
    names = [f"step {step}" for step in steps]
    table = np.asarray(losses, dtype=np.float32)
    means = means_of(table, K, N)
    run = Run(steps, checked_curves(curve), list(samples), means, title)
    rows, guesses = dict(zip(names, table)), dict(zip(names, likeliest))
    heat = heat_widget(text, rows, guesses, "How it reads the passage")
    stack = np.asarray(maps, dtype=np.float32)
    part = text[: size_of_maps(stack.shape, K, N)]
    weights = read_weights(lambda _: dict(zip(names, stack)), part)
    looks = AttentionMapWidget(part, weights, "Where it looks")
    return View(linked([widget_of(run), heat, looks]), twin_of(run))


def check_checkpoints(
    steps: Sequence[int], samples: Sequence[str], likeliest: Sequence[Guesses]
) -> None:
    """Two or more steps, in order, each with its sample and its guesses."""
    if len(steps) < 2 or not (np.diff(steps) > 0).all():
        raise ValueError(f"steps={list(steps)}; needs two or more, increasing")
    for what, given in (("samples", samples), ("lists of likeliest", likeliest)):
        if len(given) != len(steps):
            raise ValueError(f"{len(given)} {what}; {len(steps)} steps need as many")


def means_of(table: np.ndarray, K: int, N: int) -> list[float]:
    """Each checkpoint's mean loss over the characters that have a past."""
    if table.shape != (K, N) or not N:
        raise ValueError(
            f"losses have shape {table.shape}; {K} steps and a text of {N} characters"
            f" need ({K}, {N}), and at least one character"
        )
    known = [row[~np.isnan(row)] for row in table]
    means = [float(row.mean()) if len(row) else np.nan for row in known]
    if not np.isfinite(means).all():
        raise ValueError(f"the checkpoints' mean losses {means} are not all finite")
    return means


def checked_curves(curve: Curve) -> dict[str, np.ndarray]:
    """name -> float32 (points, 2), once every curve can be drawn."""
    if not curve:
        raise ValueError("no curve given; the scrubber needs at least one")
    lines = {}
    for name, (x, y) in curve.items():
        xs, ys = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)
        if xs.shape != ys.shape or xs.ndim != 1 or not xs.size:
            raise ValueError(
                f"curve {name!r} has x of shape {xs.shape} and y of shape {ys.shape};"
                " both need (points,), at least one"
            )
        lines[name] = np.stack([xs, ys], axis=1)
        if not np.isfinite(lines[name]).all():
            raise ValueError(f"curve {name!r} is not finite everywhere")
    return lines


def size_of_maps(shape: tuple[int, ...], K: int, N: int) -> int:
    """T, the number of characters that the maps are about."""
    longest = min(MAX_CHARACTERS, N)
    if len(shape) != 4 or shape[0] != K or not 0 < shape[-1] <= longest:
        raise ValueError(
            f"maps have shape {shape}; {K} steps and a text of {N} characters need"
            f" ({K}, heads, T, T) with T from 1 to {longest}"
        )
    return shape[-1]


def widget_of(run: Run) -> CheckpointsWidget:
    """The curve's page, with the ticks that span all it draws."""
    dots = np.stack([run.steps, run.means], axis=1)
    points = np.concatenate([*run.lines.values(), dots])
    (left, low), (right, high) = points.min(0), points.max(0)
    return CheckpointsWidget(
        title=run.title,
        moment=len(run.steps) - 1,
        steps=run.steps,
        means=run.means,
        samples=run.samples,
        names=list(run.lines),
        curves=[line.tobytes() for line in run.lines.values()],
        colors=COLORS,
        x_ticks=MaxNLocator(5).tick_values(left, right).tolist(),
        y_ticks=MaxNLocator(6).tick_values(low, high).tolist(),
        labels=[X_LABEL, Y_LABEL, DOTS_LABEL],
    )


def linked(widgets: Sequence[anywidget.AnyWidget]) -> VBox:
    """The widgets in a column; whichever moves its `moment` moves that of all.

    It is the page that links them: ipywidgets' slider would do as one of them, but a
    screen reader finds no name on it and hears a number in place of a step.
    """
    first, *rest = widgets
    for widget in rest:
        widget.moment = first.moment
        jslink((first, "moment"), (widget, "moment"))
    box = VBox([first, *rest], layout={"grid_gap": "16px"})
    box.add_class("gpt-scrubber")
    return box


def twin_of(run: Run) -> Panel:
    """What a reader without a kernel sees: the curve, and how the writing grew."""
    picture = picture_of(run)
    page, words = picture.html, picture.words
    last = len(run.steps) - 1
    for at in sorted({round(part * last) for part in np.linspace(0, 1, SAMPLES_SHOWN)}):
        step, mean, sample = run.steps[at], run.means[at], run.samples[at]
        page += f"<p><b>step {step}</b> {mean:.2f} nats a character; it wrote:</p>"
        page += f'<pre style="{PAPER}">{html.escape(sample)}</pre>'
        words += f"\nStep {step} ({mean:.2f}) wrote: {sample}"
    return Panel(page, words)


def picture_of(run: Run) -> Picture:
    """The curves, and a dot for each checkpoint's loss on the passage."""
    figure, axes = new_figure()
    words = []
    for (name, line), color, dash in zip(
        run.lines.items(), cycle(COLORS), cycle(DASHES)
    ):
        axes.plot(*line.T, label=name, color=color, linestyle=dash)
        words.append(f"{name} from {line[0, 1]:.3g} to {line[-1, 1]:.3g}")
    axes.plot(run.steps, run.means, "ko", markersize=4, label=DOTS_LABEL)
    span = f"from {run.means[0]:.3g} to {run.means[-1]:.3g}"
    words.append(f"{len(run.steps)} {DOTS_LABEL}, {span}")
    axes.set(xlabel=X_LABEL, ylabel=Y_LABEL)
    axes.set_title(run.title, loc="left", fontsize=11, parse_math=False)
    for name in axes.legend(framealpha=1, edgecolor="white").get_texts():
        name.set(fontsize=9, parse_math=False)
    told = f"{Y_LABEL} against {X_LABEL}: {'; '.join(words)}."
    return Picture(figure, f"{run.title}. {told}")
