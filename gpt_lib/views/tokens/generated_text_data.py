"""What the page of a written text shows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpt_lib.views.page import encode_floats, load_page_files
from gpt_lib.views.tokens.shades import SHADE_RULES, SURPRISAL_EDGES, shade_labels

PAGE_SOURCES = load_page_files(
    "tokens/shades", "tokens/generated_text", extra_css=SHADE_RULES
)
# Every token has a context: the last shade is for a probability that is not known.
LEGEND = shade_labels("not known")
SHADE_SCALE = {
    "edges": list(SURPRISAL_EDGES),
    "legend": LEGEND,
}  # state that never changes


def generated_text_data(
    prompt: str, tokens: Sequence[str], probabilities: ArrayLike = ()
) -> dict[str, Any]:
    """The state of the page for a text.

    Args:
        prompt: what the model was given.
        tokens: N strings that it wrote.
        probabilities: (N,) that it gave them, NaN where not known; or empty.
    """
    array = check_probabilities(tokens, probabilities)
    return {
        "prompt": prompt,
        "tokens": list(tokens),
        "probabilities": encode_floats(array),
    }


def check_probabilities(tokens: Sequence[str], probabilities: ArrayLike) -> np.ndarray:
    """(N,) float32 for N tokens, or (0,); a ValueError says what cannot be shown."""
    for number, token in enumerate(tokens):
        if not isinstance(token, str):
            raise ValueError(
                f"token {number} is {token!r}; every token must be a string"
            )
    array = np.asarray(probabilities, dtype=np.float32)
    if array.shape not in [(0,), (len(tokens),)]:
        raise ValueError(
            f"probabilities have shape {array.shape}; {len(tokens)} tokens need"
            f" ({len(tokens)},), or none"
        )
    if ((array < 0) | (array > 1)).any():
        raise ValueError(
            f"probabilities run from {np.nanmin(array):g} to {np.nanmax(array):g},"
            " not 0 to 1"
        )
    return array
