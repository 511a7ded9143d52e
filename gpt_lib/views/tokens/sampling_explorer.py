"""What sampling settings do to one next-token distribution, with the draw in hand."""

import html
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ipywidgets import HTML, Box, Dropdown, VBox
from numpy.typing import ArrayLike

from gpt_lib.views.accessible import form
from gpt_lib.views.controls import (
    LABEL,
    NEUTRAL,
    WIDTH,
    Controls,
    Setting,
    slider_row,
    tidy,
)
from gpt_lib.views.picture import View
from gpt_lib.views.tokens.next_token import ChancesWidget, picture_of_chances

Context = tuple[Sequence[str], ArrayLike]  # V tokens and their logits (V,)
Reshape = Callable[[ArrayLike, dict[str, float | int]], ArrayLike]

DRAW = Setting(
    "u", "Draw u", 0.0, 0.999, 0.001, 0.5, "The random number that picks the token."
)


def shaper(
    contexts: Mapping[str, Context],
    reshape: Reshape,
    title: str,
    u: float = 0.5,
    settings: Mapping[str, float] | None = None,
) -> View:
    """Sliders reshape the chances of the next token while the draw u stays.

    Args:
        contexts: label -> names of V tokens and their logits (V,); a menu chooses.
        reshape: logits (V,) and settings -> probabilities (V,), exactly 0 for a cut
            token. The settings have the keys of `NEUTRAL`, and the repetition penalty,
            which needs a text, stays neutral. It runs at each move of a
            slider; its `ValueError` is shown to the reader.
        title: what is reshaped.
        u: the first draw, 0 <= u < 1.
        settings: the first settings; missing ones are neutral.
    """
    check_contexts(contexts)
    label, (names, logits) = next(iter(contexts.items()))
    V = max(len(tokens) for tokens, _ in contexts.values())
    controls = Controls(
        V, left_out=["repetition_penalty"]
    )  # there is no text to repeat
    controls.set(settings or {})
    before, after = (
        reshape(logits, {**NEUTRAL, **now}) for now in ({}, controls.settings)
    )
    several = f": {label}" if len(contexts) > 1 else ""
    twin = picture_of_chances(names, before, after, f"{title}{several}", u)
    return View(lay_out(contexts, reshape, controls, title, u), twin)


def lay_out(
    contexts: Mapping[str, Context],
    reshape: Reshape,
    controls: Controls,
    title: str,
    u: float,
) -> Box:
    """The controls beside the picture, which follows each of their changes."""
    page = ChancesWidget(title=title, layout={"flex": "1 1 420px", "min_width": "0"})
    status = HTML()
    status.add_class("gpt-status")
    menu = Dropdown(
        options=list(contexts),
        description="Context",
        style={"description_width": LABEL},
        layout={"width": "auto"},
    )
    slider, draw_row = slider_row(DRAW._replace(neutral=u))
    redraw = redrawer(contexts, reshape, page, status)

    def draw(_: dict | None = None) -> None:
        redraw(menu.value, {**NEUTRAL, **controls.settings}, tidy(slider.value))

    for control in (menu, slider):
        control.observe(draw, "value")
    controls.on_change(draw)
    draw()
    rows = [menu] * (len(contexts) > 1) + [draw_row, controls.box, status]
    left = form(VBox(rows, layout={"width": WIDTH, "flex": "none"}))
    box = Box([left, page], layout={"flex_flow": "row wrap", "grid_gap": "8px 20px"})
    box.add_class("gpt-shaper")
    return box


def redrawer(
    contexts: Mapping[str, Context],
    reshape: Reshape,
    page: ChancesWidget,
    status: HTML,
) -> Callable[[str, dict[str, float | int], float], None]:
    """A function that shows a context under settings, or says why it cannot."""
    neutral: dict[str, ArrayLike] = {}

    def redraw(label: str, settings: dict[str, float | int], u: float) -> None:
        names, logits = contexts[label]
        try:
            if label not in neutral:
                neutral[label] = reshape(logits, {**NEUTRAL})
            page.show(names, neutral[label], reshape(logits, settings), u)
            status.value = ""
        except ValueError as error:
            status.value = html.escape(str(error))
        except Exception as error:
            status.value = html.escape(f"{type(error).__name__}: {error}")

    return redraw


def check_contexts(contexts: Mapping[str, Context]) -> None:
    """Raise ValueError unless there are contexts, each with a logit for each token."""
    if not contexts:
        raise ValueError("shaper needs at least one context")
    for label, (names, logits) in contexts.items():
        if np.shape(logits) != (len(names),):
            raise ValueError(
                f"logits of {label!r} have shape {tuple(np.shape(logits))};"
                f" {len(names)} names need ({len(names)},)"
            )
