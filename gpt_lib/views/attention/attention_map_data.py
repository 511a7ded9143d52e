"""What the page of an attention map shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpt_lib.views.page import encode_floats, load_page_files

PAGE_SOURCES = load_page_files(
    "cividis", "text_field", "attention/text_line", "attention/attention_map"
)


def attention_map_data(
    text: str, labels: Sequence[str], maps: Mapping[str, ArrayLike]
) -> dict[str, Any]:
    """The state of the page for one text.

    Args:
        text: what the labels are the tokens of.
        labels: T labels, as `token_labels` gives them.
        maps: frame, which is a moment or a model -> weights (N, T, T) of N heads.

    Raises:
        ValueError: shapes do not fit, or a weight is not finite.
    """
    arrays = check_maps(maps, len(labels))
    stack = np.stack(list(arrays.values()))  # (frames, N, T, T)
    return {
        "text": text,
        "status": "",
        "labels": list(labels),
        "frames": list(arrays),
        "heads": stack.shape[1],
        "weights": encode_floats(stack),
    }


def check_maps(maps: Mapping[str, ArrayLike], T: int) -> dict[str, np.ndarray]:
    """frame -> float32 (N, T, T), or a ValueError that says what does not fit."""
    arrays = {frame: np.asarray(weights) for frame, weights in maps.items()}
    if not arrays:
        raise ValueError("no weights given; the map needs at least one frame")
    heads = next(iter(arrays.values())).shape[:1]
    for frame, weights in arrays.items():
        if weights.shape != (*heads, T, T) or weights.ndim != 3 or not weights.size:
            raise ValueError(
                f"weights of {frame!r} have shape {weights.shape}; {T} tokens need"
                f" (N, {T}, {T}), with one N for all frames"
            )
        if not np.isfinite(weights).all():
            raise ValueError(f"weights of {frame!r} are not all finite")
    return {frame: weights.astype(np.float32) for frame, weights in arrays.items()}
