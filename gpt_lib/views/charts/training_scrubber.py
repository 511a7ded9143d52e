"""A training run to scrub through: one slider moves three views of its checkpoints."""

import html
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import traitlets
from ipywidgets import VBox, jslink
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from gpt_lib.views.attention.attention_map import AttentionMapWidget
from gpt_lib.views.attention.attention_map_data import attention_map_data
from gpt_lib.views.attention.token_labels import MAX_TOKENS, token_labels
from gpt_lib.views.charts.colors import COLORS, LINE_DASHES
from gpt_lib.views.charts.training_scrubber_data import (
    PAGE_SOURCES,
    Checkpoints,
    LossCurvePicture,
    XYCurvesByName,
    check_curves,
    check_map_shape,
    check_steps,
    mean_loss_by_checkpoint,
    training_scrubber_data,
)
from gpt_lib.views.picture import (
    HtmlPanel,
    Picture,
    WidgetWithFallback,
    new_figure_and_axes,
)
from gpt_lib.views.tokens.loss_heatmap import LossHeatmapWidget
from gpt_lib.views.tokens.loss_heatmap_data import (
    TopTokensPerPosition,
    loss_heatmap_data,
)
from gpt_lib.views.widget import PageWidget

FALLBACK_SAMPLE_COUNT = 4
X_LABEL, Y_LABEL = "training step", "loss (nats a token)"
CHECKPOINT_DOTS_LEGEND = "checkpoints, on the passage"
SAMPLE_STYLE = (
    "background:#fff;color:#000;padding:2px 6px;margin:2px 0 8px;line-height:1.4;"
    "font-family:var(--jp-code-font-family,monospace);white-space:break-spaces;"
    "overflow-wrap:anywhere"
)


class TrainingScrubberWidget(PageWidget):
    """Carries `training_scrubber_data` to its page: slider, loss curve and sample."""

    _esm, _css = PAGE_SOURCES
    frame = traitlets.Int().tag(sync=True)  # index of the checkpoint shown
    steps = traitlets.List(traitlets.Int()).tag(sync=True)
    means = traitlets.List(traitlets.Float()).tag(sync=True)  # loss at each step
    samples = traitlets.List(traitlets.Unicode()).tag(sync=True)
    image = traitlets.Unicode().tag(sync=True)  # the loss curve, a `data:` URL
    description = traitlets.Unicode().tag(sync=True)
    points = traitlets.List().tag(sync=True)  # (x, y) of each step in the picture
    plot = traitlets.List().tag(sync=True)  # its top and bottom in the picture


def training_scrubber(
    steps: Sequence[int],
    curves: XYCurvesByName,
    samples: Sequence[str],
    tokens: Sequence[str],
    losses: ArrayLike,
    top_tokens: Sequence[TopTokensPerPosition],
    maps: ArrayLike,
    title: str,
) -> WidgetWithFallback:
    """K checkpoints: what each wrote, its losses on a text, and where it attends.

    The page itself links one slider to all three: it needs no kernel.

    Args:
        steps: the training steps, increasing, after which K >= 2 checkpoints were made.
        curves: name -> (x, y), losses of the run in nats a token against its steps.
        samples: K texts, one written by each checkpoint.
        tokens: N labels, or a text of N characters, to read.
        losses: (K, N) nats a token, NaN where there was no past to read.
        top_tokens: for each checkpoint and token up to five pairs of what it expected
            there and its probability, likeliest first.
        maps: (K, heads, T, T) weights over the first T <= 64 of `tokens`, row = the
            position that attends, column = to which.
        title: what run this is.
    """
    lists = {"samples": samples, "lists of top tokens": top_tokens}
    steps, N = check_steps(steps, lists), len(tokens)
    frames = [f"step {step}" for step in steps]
    matrix = np.asarray(losses, dtype=np.float32)
    means = mean_loss_by_checkpoint(matrix, len(steps), N)
    checkpoints = Checkpoints(steps, list(samples), means)
    picture, curve = draw_curves(checkpoints, check_curves(curves), title)
    data = training_scrubber_data(checkpoints, curve)
    by_frame = dict(zip(frames, matrix)), dict(zip(frames, top_tokens))
    heatmap = loss_heatmap_data(tokens, *by_frame)
    stack = np.asarray(maps, dtype=np.float32)
    part = tokens[: check_map_shape(stack.shape, len(steps), min(MAX_TOKENS, N))]
    weights = dict(zip(frames, stack))
    attention = attention_map_data("".join(part), token_labels(part), weights)
    widgets = [
        TrainingScrubberWidget(title=title, **data),
        LossHeatmapWidget(title="How it reads the passage", **heatmap),
        AttentionMapWidget(title="Where it looks", linked=True, **attention),
    ]
    return WidgetWithFallback(
        link_frames(widgets), samples_fallback(checkpoints, picture)
    )


def link_frames(widgets: Sequence[PageWidget]) -> VBox:
    """The widgets in a column; whichever changes its `frame` changes that of all.

    The page links them. An ipywidgets slider could be one of them, but a screen reader
    finds no name on it and hears an index instead of a step.
    """
    first, *others = widgets
    for widget in others:
        widget.frame = first.frame
        jslink((first, "frame"), (widget, "frame"))
    box = VBox([first, *others], layout={"grid_gap": "16px"})
    box.add_class("gpt-training-scrubber")
    return box


def samples_fallback(checkpoints: Checkpoints, picture: Picture) -> HtmlPanel:
    """The fallback: the loss curve, and samples from the first to the last."""
    page, description = picture.html, picture.description
    last = len(checkpoints.steps) - 1
    fractions = np.linspace(0, 1, FALLBACK_SAMPLE_COUNT)
    for index in sorted({round(fraction * last) for fraction in fractions}):
        step, sample, mean = (values[index] for values in checkpoints)
        page += f"<p><b>step {step}</b> {mean:.2f} nats a token; it wrote:</p>"
        page += f'<pre style="{SAMPLE_STYLE}">{html.escape(sample)}</pre>'
        description += f"\nStep {step} ({mean:.2f}) wrote: {sample}"
    return HtmlPanel(page, description)


def draw_curves(
    checkpoints: Checkpoints, curves: Mapping[str, np.ndarray], title: str
) -> tuple[Picture, LossCurvePicture]:
    """The curves (points, 2) and a dot for each checkpoint's loss on the passage.

    The picture alone for the fallback; for the page, also where its dots are.
    """
    figure, axes = new_figure_and_axes(6.0, 3.3)
    parts = []
    for (name, points), color, dash in zip(
        curves.items(), cycle(COLORS), cycle(LINE_DASHES)
    ):
        axes.plot(*points.T, label=name, color=color, linestyle=dash)
        parts.append(f"{name} from {points[0, 1]:.3g} to {points[-1, 1]:.3g}")
    steps, _, means = checkpoints
    axes.plot(steps, means, "ko", markersize=4, label=CHECKPOINT_DOTS_LEGEND)
    span = f"from {means[0]:.3g} to {means[-1]:.3g}"
    parts.append(f"{len(steps)} {CHECKPOINT_DOTS_LEGEND}, {span}")
    axes.set(xlabel=X_LABEL, ylabel=Y_LABEL)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    for entry in axes.legend(framealpha=1, edgecolor="white").get_texts():
        entry.set(fontsize=9, parse_math=False)
    description = f"{title}. {Y_LABEL} against {X_LABEL}: {'; '.join(parts)}."
    picture = Picture(figure, description)  # lays the axes out
    points = picture_fractions(axes, np.stack([steps, means], axis=1))
    box = axes.get_position()
    edges = 1 - box.y1, 1 - box.y0
    return picture, LossCurvePicture(picture.source, description, points, *edges)


def picture_fractions(axes: Axes, points: np.ndarray) -> list[tuple[float, float]]:
    """Where points (n, 2) are, as fractions of the picture from its top left."""
    to_figure = axes.transData - axes.figure.transFigure
    return [(float(x), float(1 - y)) for x, y in to_figure.transform(points)]
