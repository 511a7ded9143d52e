"""Attention weights set by hand: a slider for each score, their softmax, the mix."""

import html
from collections.abc import Sequence

import numpy as np
from ipywidgets import (
    HTML,
    BoundedFloatText,
    Box,
    Button,
    FloatSlider,
    HBox,
    VBox,
)
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from gpt_lib.views.accessible import make_controls_accessible
from gpt_lib.views.charts.colors import COLORS
from gpt_lib.views.controls import link_slider_and_box
from gpt_lib.views.picture import Picture, WidgetWithFallback

MAX_SCORE = 6.0  # scores run from -MAX_SCORE to MAX_SCORE


def attention_mixer(
    tokens: Sequence[str],
    values: ArrayLike,
    features: Sequence[str],
    title: str,
    start: ArrayLike | None = None,
) -> WidgetWithFallback:
    """A slider sets each token's score; softmax makes weights, which mix the values.

    Args:
        tokens: T words.
        values: (T, F), the value vector of each token.
        features: F names for the columns of `values`.
        title: the question that the sliders answer.
        start: (T,) first scores, from -6 to 6; all 0 if not given.
    """
    matrix, scores = check_mix(tokens, values, features, start)
    sliders = [score_slider(token, score) for token, score in zip(tokens, scores)]
    page = HTML()
    page.add_class("gpt-mix-table")

    def draw(_: dict | None = None) -> None:
        """Show the mix of the scores as they are now."""
        current = np.array([slider.value for slider in sliders])
        page.value = mix_html(tokens, current, matrix, features)

    def reset(_: Button) -> None:
        """Set every score to 0."""
        for slider in sliders:
            slider.value = 0.0

    for slider in sliders:
        slider.observe(draw, "value")
    button = Button(
        description="All equal", icon="undo", tooltip="set every score to 0"
    )
    button.on_click(reset)
    draw()
    rows = make_controls_accessible(
        VBox([*map(score_slider_row, sliders, tokens), button])
    )
    both = Box([rows, page], layout={"flex_flow": "row wrap"})
    box = VBox([HTML(f"<b>{html.escape(title)}</b>"), both])
    box.add_class("gpt-attention-mixer")
    return WidgetWithFallback(
        box, picture_of_mix(tokens, scores, matrix, features, title)
    )


def check_mix(
    tokens: Sequence[str],
    values: ArrayLike,
    features: Sequence[str],
    start: ArrayLike | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Values (T, F) and first scores (T,) as floats, or a ValueError."""
    T, F = len(tokens), len(features)
    matrix = np.asarray(values, dtype=float)
    scores = np.zeros(T) if start is None else np.asarray(start, dtype=float)
    if not T or not F or matrix.shape != (T, F):
        raise ValueError(
            f"values have shape {matrix.shape}; {T} tokens with {F} features need"
            f" ({T}, {F}), none of them 0"
        )
    if scores.shape != (T,):
        raise ValueError(f"start has shape {scores.shape}; {T} tokens need ({T},)")
    if not (np.abs(scores) <= MAX_SCORE).all():
        raise ValueError(f"start={scores.tolist()} leaves the range ±{MAX_SCORE:g}")
    return matrix, scores


def score_slider(token: str, score: float) -> FloatSlider:
    """A slider for a score, in tenths."""
    return FloatSlider(
        score,
        min=-MAX_SCORE,
        max=MAX_SCORE,
        step=0.1,
        description=token,
        readout=False,
        style={"description_width": "90px"},
    )


def score_slider_row(slider: FloatSlider, token: str) -> HBox:
    """A slider and, linked to it, a box to type the number in."""
    box = BoundedFloatText(
        slider.value,
        min=-MAX_SCORE,
        max=MAX_SCORE,
        step=0.1,
        description=f"score of {token}",
        tooltip=f"score of {token}",
        style={"description_width": "0"},  # for screen readers; the slider shows it
        layout={"width": "80px"},
    )
    link_slider_and_box(slider, box)
    return HBox([slider, box])


def softmax(scores: np.ndarray) -> np.ndarray:
    """(T,) -> (T,), without overflow."""
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def mix_html(
    tokens: Sequence[str],
    scores: np.ndarray,
    values: np.ndarray,
    features: Sequence[str],
) -> str:
    """A row for each token, its weight and its values; below them, their mix."""
    weights = softmax(scores)
    heads = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in features)
    rows = f'<tr><th></th><th scope="col" colspan="2">weight</th>{heads}</tr>'
    for token, weight, row in zip(tokens, weights, values):
        cells = "".join(f"<td>{value:.3g}</td>" for value in row)
        rows += (
            f'<tr><th scope="row">{html.escape(token)}</th>'
            f"<td>{bar_html(weight, 160)}</td><td>{weight:.1%}</td>{cells}</tr>"
        )
    mix, largest = weights @ values, np.abs(values).max() or 1.0
    cells = "".join(
        f"<td><b>{value:.2f}</b>{bar_html(abs(value) / largest, 60)}</td>"
        for value in mix
    )
    rows += (
        '<tr style="border-top:2px solid"><th scope="row">you hear</th>'
        f'<td style="text-align:center">weights × values, added</td><td>100%</td>'
        f"{cells}</tr>"
    )
    return (
        '<table style="border-collapse:collapse;text-align:right;line-height:26px;'
        f'border-spacing:0;font-variant-numeric:tabular-nums">{rows}</table>'
    )


def bar_html(fraction: float, width: int) -> str:
    """A bar that fills a fraction, from 0 to 1, of a rail of `width` pixels."""
    bar = f"height:10px;width:{fraction:.1%};background:{COLORS[0]}"
    rail = f"width:{width}px;margin:0 6px;background:rgba(128,128,128,.25)"
    return f'<div style="{rail}"><div style="{bar}"></div></div>'


def picture_of_mix(
    tokens: Sequence[str],
    scores: np.ndarray,
    values: np.ndarray,
    features: Sequence[str],
    title: str,
) -> Picture:
    """The fallback: the weights of the first scores, and the mix they make."""
    weights = softmax(scores)
    mix = weights @ values
    height = 1.0 + 0.28 * max(3, len(tokens), len(features))
    figure = Figure(figsize=(7.5, height), layout="constrained", facecolor="white")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    left_axes, right_axes = figure.subplots(1, 2)
    names = [f"{token} (score {score:g})" for token, score in zip(tokens, scores)]
    percents = [f"{weight:.1%}" for weight in weights]
    numbers = [f"{value:.2f}" for value in mix]
    for axes, labels, lengths, texts, heading in (
        (left_axes, names, weights, percents, "weight"),
        (right_axes, features, mix, numbers, "the mix"),
    ):
        bars = axes.barh(range(len(labels)), lengths, color=COLORS[0])
        axes.bar_label(bars, labels=texts, padding=3, fontsize=9)
        axes.set_yticks(range(len(labels)), labels, fontsize=9)
        axes.invert_yaxis()
        axes.axvline(0, color="#777777", linewidth=0.8)
        axes.margins(x=0.25)
        axes.set_title(heading, loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    weight_list = ", ".join(f"{name} {text}" for name, text in zip(names, percents))
    mix_list = ", ".join(f"{name} {text}" for name, text in zip(features, numbers))
    return Picture(figure, f"{title} – weights: {weight_list}; mix: {mix_list}.")
