"""The text that a model writes, token by token: select one to read its probability."""

from collections.abc import Sequence

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from gpt_lib.views.picture import HtmlPanel, WidgetWithFallback
from gpt_lib.views.tokens.generated_text_data import (
    LEGEND,
    PAGE_SOURCES,
    SHADE_SCALE,
    check_probabilities,
    generated_text_data,
)
from gpt_lib.views.tokens.shaded_text import (
    ShadedText,
    copyable_text_html,
    legend_as_shaded_text,
    picture_of_strips,
    truncation_note,
)
from gpt_lib.views.tokens.shades import (
    BLACK_ON_WHITE,
    PROMPT_SHADE,
    SHADES,
    Shade,
    shade_indices,
)
from gpt_lib.views.widget import PageWidget


class GeneratedTextWidget(PageWidget):
    """Carries a prompt, and the tokens written after it, to their page.

    Assign a new, longer list to `tokens` (with `probabilities`, under `hold_sync`) and
    the page adds what is new. Any other list redraws from the first token that differs.
    """

    _esm, _css = PAGE_SOURCES
    label = traitlets.Unicode("Text").tag(sync=True)  # the accessible name of the text
    prompt = traitlets.Unicode().tag(sync=True)
    # Strings, not checked: that would take half of the time of a long text's update.
    tokens = traitlets.List().tag(sync=True)
    probabilities = traitlets.Unicode().tag(sync=True)  # floats; may be fewer
    selected = traitlets.Int(-1).tag(sync=True)  # len(tokens): the next; -1: none
    forks = traitlets.List(traitlets.Int()).tag(sync=True)  # where branches begin
    writing = traitlets.Bool().tag(sync=True)
    shaded = traitlets.Bool().tag(sync=True)
    record = traitlets.Unicode().tag(sync=True)  # what Copy and Save give
    filename = traitlets.Unicode("text.txt").tag(sync=True)
    ended = traitlets.Bool().tag(sync=True)  # the page sets it: the kernel is gone
    edges = traitlets.List(SHADE_SCALE["edges"]).tag(
        sync=True
    )  # nats, between the shades
    legend = traitlets.List(SHADE_SCALE["legend"]).tag(sync=True)

    def show(
        self, prompt: str, tokens: Sequence[str], probabilities: ArrayLike = ()
    ) -> None:
        """Show another text.

        Args:
            prompt: what the model was given.
            tokens: N strings that it wrote.
            probabilities: (N,) that it gave them, NaN where not known; or empty.
        """
        data = generated_text_data(prompt, tokens, probabilities)
        selected = self.selected if self.selected <= len(tokens) else -1
        self.put({**data, "selected": selected})


def generated_text(
    prompt: str, tokens: Sequence[str], probabilities: ArrayLike, title: str
) -> WidgetWithFallback:
    """A written text, shaded by surprisal: select a token to read its probability.

    Args:
        prompt: what the model was given.
        tokens: N strings that it wrote.
        probabilities: (N,) that it gave them, NaN where not known; or empty.
        title: what is shown.
    """
    array = check_probabilities(tokens, probabilities)
    widget = GeneratedTextWidget(
        title=title,
        label=title,
        shaded=array.size > 0,
        record=prompt + "".join(tokens),
    )
    widget.show(prompt, tokens, array)
    return WidgetWithFallback(widget, text_fallback(prompt, tokens, array, title))


def text_fallback(
    prompt: str, tokens: Sequence[str], probabilities: np.ndarray, title: str
) -> HtmlPanel:
    """The fallback: the same shades, and nothing to select."""
    with np.errstate(divide="ignore"):
        nats = -np.log(probabilities)
    indices, text = shade_indices(nats), prompt + "".join(tokens)
    heading = f"{len(tokens)} tokens{describe_mean_surprisal(nats)}"
    description = f"{title}. {heading}.{truncation_note(text)}"
    strip = ShadedText(text, character_shades(prompt, tokens, indices), heading)
    legend = (
        legend_as_shaded_text("surprisal in nats", LEGEND, indices)
        if nats.size
        else None
    )
    picture = picture_of_strips([strip], title, description, legend)
    return HtmlPanel(picture.html + copyable_text_html(text), f"{description} {text}")


def character_shades(
    prompt: str, tokens: Sequence[str], indices: np.ndarray
) -> list[Shade]:
    """The shade of each character; tokens without probabilities have none."""
    token_shades = [SHADES[index] for index in indices] or [BLACK_ON_WHITE] * len(
        tokens
    )
    shades = [PROMPT_SHADE] * len(prompt)
    for token, shade in zip(tokens, token_shades):
        shades += [shade] * len(token)
    return shades


def describe_mean_surprisal(nats: np.ndarray) -> str:
    """The mean of the surprisals that are known, or ""."""
    known = nats[~np.isnan(nats)]
    return f", {known.mean():.2f} nats a token" if known.size else ""
