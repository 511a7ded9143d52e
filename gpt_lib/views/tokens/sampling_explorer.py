"""What sampling settings do to one next-token distribution, for one random number."""

import html
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ipywidgets import HTML, Box, Dropdown, VBox
from numpy.typing import ArrayLike

from gpt_lib.views.accessible import make_controls_accessible
from gpt_lib.views.controls import (
    LABEL_WIDTH,
    WIDTH,
    NumberSetting,
    SamplingControls,
    SliderRange,
    round_off,
    slider_row,
)
from gpt_lib.views.page import error_message
from gpt_lib.views.picture import WidgetWithFallback
from gpt_lib.views.tokens.next_token import NextTokenWidget, picture_of_probabilities

LabelsAndLogits = tuple[Sequence[str], ArrayLike]  # V tokens and their logits (V,)
Reshape = Callable[[ArrayLike, dict[str, float | int]], ArrayLike]
TEXT_DEPENDENT_SETTINGS = ("repetition_penalty",)  # there is none to repeat


def sampling_explorer(
    contexts: Mapping[str, LabelsAndLogits],
    reshape: Reshape,
    title: str,
    settings: Sequence[NumberSetting],
    presets: Mapping[str, Mapping[str, float]],
    u: float = 0.5,
    start: Mapping[str, float] | None = None,
) -> WidgetWithFallback:
    """Sliders reshape the next token's probabilities while the random number u stays.

    Args:
        contexts: label -> labels of V tokens and their logits (V,); a menu chooses.
        reshape: logits (V,) and key -> value -> probabilities (V,), exactly 0 for a cut
            token. It is called at each move of a slider with a value for every setting;
            the repetition penalty, which needs a text, stays neutral. Its `ValueError`
            is shown to the reader.
        title: what is reshaped.
        settings: what can be set; see `SamplingControls`.
        presets: name -> key -> value, for every setting.
        u: the first random number, 0 <= u < 1.
        start: key -> value of the first settings; missing ones are neutral.
    """
    check_contexts(contexts)
    label, (labels, logits) = next(iter(contexts.items()))
    V = max(len(tokens) for tokens, _ in contexts.values())
    neutral = {setting.key: setting.neutral for setting in settings}

    def reshape_with(logits: ArrayLike, values: Mapping[str, float]) -> ArrayLike:
        """The probabilities under some settings, the other ones neutral."""
        return reshape(logits, {**neutral, **values})

    controls = SamplingControls(settings, presets, V, TEXT_DEPENDENT_SETTINGS)
    controls.set_all(start or {})
    before = reshape_with(logits, {})
    after = reshape_with(logits, controls.settings)
    heading = f"{title}: {label}" if len(contexts) > 1 else title
    fallback = picture_of_probabilities(labels, before, after, heading, u)
    return WidgetWithFallback(
        lay_out(contexts, reshape_with, controls, title, u), fallback
    )


def lay_out(
    contexts: Mapping[str, LabelsAndLogits],
    reshape: Reshape,
    controls: SamplingControls,
    title: str,
    u: float,
) -> Box:
    """The controls, and next to them the page, which follows each of their changes."""
    page = NextTokenWidget(title=title, layout={"flex": "1 1 420px", "min_width": "0"})
    status = HTML()
    status.add_class("gpt-status")
    menu = Dropdown(
        options=list(contexts),
        description="Context",
        style={"description_width": LABEL_WIDTH},
        layout={"width": "auto"},
    )
    tip = "The random number that picks the token."
    slider, u_row = slider_row("Draw u", SliderRange(0.0, 0.999, 0.001), u, tip)
    before: dict[str, ArrayLike] = {}  # context -> the model's own probabilities

    def redraw(_: dict | None = None) -> None:
        """Show the context under the settings, or say why that is not possible."""
        labels, logits = contexts[menu.value]
        try:
            if menu.value not in before:
                before[menu.value] = reshape(logits, {})
            after = reshape(logits, controls.settings)
            page.show(labels, before[menu.value], after, round_off(slider.value))
            status.value = ""
        except Exception as error:
            status.value = html.escape(error_message(error))

    for control in (menu, slider):
        control.observe(redraw, "value")
    controls.on_change(redraw)
    redraw()
    rows = [menu] * (len(contexts) > 1) + [u_row, controls.box, status]
    column = make_controls_accessible(
        VBox(rows, layout={"width": WIDTH, "flex": "none"})
    )
    box = Box([column, page], layout={"flex_flow": "row wrap", "grid_gap": "8px 20px"})
    box.add_class("gpt-sampling-explorer")
    return box


def check_contexts(contexts: Mapping[str, LabelsAndLogits]) -> None:
    """Raise ValueError unless there are contexts, each with a logit for each token."""
    if not contexts:
        raise ValueError("sampling_explorer needs at least one context")
    for label, (labels, logits) in contexts.items():
        if np.shape(logits) != (len(labels),):
            raise ValueError(
                f"logits of {label!r} have shape {tuple(np.shape(logits))};"
                f" {len(labels)} labels need ({len(labels)},)"
            )
