"""What the page of the bigram table shows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpt_lib.views.page import encode_floats, load_page_files
from gpt_lib.views.visible_text import visible_text

PAGE_SOURCES = load_page_files("cividis", "tokens/bigram_table")


def bigram_table_data(
    probabilities: ArrayLike, labels: Sequence[str]
) -> dict[str, Any]:
    """The state of the page; see `bigram_table` for the arguments."""
    matrix = check_square_matrix(probabilities, labels)
    return {
        "labels": list(map(visible_text, labels)),
        "probabilities": encode_floats(matrix),
    }


def check_square_matrix(probabilities: ArrayLike, labels: Sequence[str]) -> np.ndarray:
    """(V, V) float32 for V labels, or a ValueError."""
    matrix = np.asarray(probabilities, dtype=np.float32)
    V = len(labels)
    if matrix.shape != (V, V):
        raise ValueError(f"a table {matrix.shape} does not fit {V} labels")
    return matrix
