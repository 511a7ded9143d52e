"""One passage read by several models: each token shaded by its loss."""

from collections.abc import Mapping, Sequence

import numpy as np
import traitlets

from gpt_lib.views.picture import HtmlPanel, WidgetWithFallback
from gpt_lib.views.tokens.loss_heatmap_data import (
    LEGEND,
    PAGE_SOURCES,
    LossesByModel,
    TopTokensPerPosition,
    describe_mean_loss,
    loss_heatmap_data,
    stack_model_losses,
)
from gpt_lib.views.tokens.shaded_text import (
    ShadedText,
    copyable_text_html,
    legend_as_shaded_text,
    picture_of_strips,
    truncation_note,
)
from gpt_lib.views.tokens.shades import SHADES, shade_indices
from gpt_lib.views.visible_text import visible_text
from gpt_lib.views.widget import PageWidget

MAX_QUOTED_TOKENS = 8  # tokens before the most surprising one, in the description


class LossHeatmapWidget(PageWidget):
    """Carries `loss_heatmap_data` to its page."""

    _esm, _css = PAGE_SOURCES
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)  # N tokens
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)  # of the models
    frame = traitlets.Int(-1).tag(sync=True)  # the one of `names` shown; -1: all
    means = traitlets.List(traitlets.Unicode()).tag(sync=True)
    losses = traitlets.Unicode().tag(sync=True)  # floats, model after model
    shades = traitlets.List(traitlets.Int()).tag(sync=True)  # one for each loss
    legend = traitlets.List(traitlets.Unicode()).tag(sync=True)
    # Five for each loss, "" where a list is shorter; with a probability for each.
    top_labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    top_probabilities = traitlets.Unicode().tag(sync=True)  # floats


def loss_heatmap(
    tokens: Sequence[str],
    losses: LossesByModel,
    top_tokens: Mapping[str, TopTokensPerPosition],
    title: str,
) -> WidgetWithFallback:
    """The same text under each model: point at a token, or use the arrow keys.

    Args:
        tokens: N labels, or a text of N characters.
        losses: model -> (N,) nats a token, NaN where there was no past to read.
        top_tokens: model -> for each of the N tokens up to five pairs of what the
            model expected there and its probability, likeliest first.
        title: what is read.
    """
    data = loss_heatmap_data(tokens, losses, top_tokens)
    widget = LossHeatmapWidget(title=title, **data)
    return WidgetWithFallback(widget, losses_fallback(tokens, losses, title))


def losses_fallback(
    tokens: Sequence[str], losses: LossesByModel, title: str
) -> HtmlPanel:
    """The fallback: the same shades, and nothing to point at."""
    matrix, text = stack_model_losses(tokens, losses), "".join(tokens)
    strips, sentences = [], []
    for name, row in zip(losses, matrix):
        shades = [
            SHADES[index]
            for token, index in zip(tokens, shade_indices(row))
            for _ in token
        ]
        mean = f"{name}: {describe_mean_loss(row)}"
        strips.append(ShadedText(text, shades, mean))
        sentences.append(mean + describe_most_surprising(tokens, row))
    description = f"{title}. {'; '.join(sentences)}.{truncation_note(text)}"
    legend = legend_as_shaded_text("loss in nats", LEGEND, shade_indices(matrix))
    picture = picture_of_strips(strips, title, description, legend)
    return HtmlPanel(picture.html + copyable_text_html(text), description)


def describe_most_surprising(tokens: Sequence[str], row: np.ndarray) -> str:
    """The token with a model's largest loss, and what came before it."""
    if np.isnan(row).all():
        return ""
    worst = int(np.nanargmax(row))
    before = visible_text("".join(tokens[max(0, worst - MAX_QUOTED_TOKENS) : worst]))
    context = f" after “{before}”" if before else ""
    token = visible_text(tokens[worst])
    return f", most surprised by “{token}”{context} ({row[worst]:.2f})"
