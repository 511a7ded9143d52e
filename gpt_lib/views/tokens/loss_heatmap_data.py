"""What the page of a loss heatmap shows: one passage, read by several models."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpt_lib.views.page import encode_floats, load_page_files
from gpt_lib.views.tokens.shades import SHADE_RULES, shade_indices, shade_labels
from gpt_lib.views.visible_text import visible_text

PAGE_SOURCES = load_page_files(
    "tokens/shades", "tokens/loss_heatmap", extra_css=SHADE_RULES
)
TOP_TOKEN_COUNT = 5
LEGEND = shade_labels("no past")

LossesByModel = Mapping[str, ArrayLike]
# For each of N tokens, the likeliest ones and their probabilities, likeliest first.
TopTokensPerPosition = Sequence[Sequence[tuple[str, float]]]


def loss_heatmap_data(
    tokens: Sequence[str],
    losses: LossesByModel,
    top_tokens: Mapping[str, TopTokensPerPosition],
) -> dict[str, Any]:
    """The state of the page; see `loss_heatmap` for the arguments."""
    matrix = stack_model_losses(tokens, losses)
    top_labels, top_probabilities = flatten_top_tokens(tokens, losses, top_tokens)
    return {
        "labels": list(map(visible_text, tokens)),
        "names": list(losses),
        "means": list(map(describe_mean_loss, matrix)),
        "losses": encode_floats(matrix),
        "shades": shade_indices(matrix).ravel().tolist(),
        "legend": LEGEND,
        "top_labels": top_labels,
        "top_probabilities": encode_floats(top_probabilities),
    }


def stack_model_losses(tokens: Sequence[str], losses: LossesByModel) -> np.ndarray:
    """(models, N) float32, once every model has a loss for every token."""
    if not tokens or not losses:
        raise ValueError(
            "loss_heatmap needs a text and the losses of at least one model"
        )
    rows = {name: np.asarray(row, dtype=np.float32) for name, row in losses.items()}
    for name, row in rows.items():
        if row.shape != (len(tokens),):
            raise ValueError(
                f"losses of {name!r} have shape {row.shape}; a text of {len(tokens)}"
                f" tokens needs ({len(tokens)},)"
            )
    return np.stack(list(rows.values()))


def flatten_top_tokens(
    tokens: Sequence[str],
    losses: LossesByModel,
    top_tokens: Mapping[str, TopTokensPerPosition],
) -> tuple[list[str], list[float]]:
    """So many labels and probabilities for each token of each model, in one list.

    A shorter list is filled up with "" of probability 0.
    """
    if list(top_tokens) != list(losses):
        raise ValueError(
            f"top tokens are given for {list(top_tokens)}, losses for {list(losses)}"
        )
    labels, probabilities = [], []
    for name, lists in top_tokens.items():
        if len(lists) != len(tokens):
            raise ValueError(
                f"top tokens of {name!r} are {len(lists)} lists; a text of"
                f" {len(tokens)} tokens needs {len(tokens)}"
            )
        for pairs in lists:
            filler = [("", 0.0)] * (TOP_TOKEN_COUNT - len(pairs))
            for label, probability in [*pairs[:TOP_TOKEN_COUNT], *filler]:
                labels.append(visible_text(label))
                probabilities.append(float(probability))
    return labels, probabilities


def describe_mean_loss(row: np.ndarray) -> str:
    """A model's mean loss over the tokens that have a past."""
    known = row[~np.isnan(row)]
    return f"{known.mean():.2f} nats a token" if len(known) else "no past"
