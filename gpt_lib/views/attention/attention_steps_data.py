"""What the page of the attention steps shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpt_lib.views.page import encode_floats, load_page_files

PAGE_SOURCES = load_page_files(
    "text_field", "attention/text_line", "attention/attention_steps"
)
MAX_ATTENDED_POSITIONS = 10  # positions attended to, in the page and in the picture

AttentionStepsByLayer = Mapping[
    str, Mapping[str, ArrayLike]
]  # layer -> step -> (N, T, T)


def attention_steps_data(
    text: str, labels: Sequence[str], layers: AttentionStepsByLayer
) -> dict[str, Any]:
    """The state of the page for one text.

    Args:
        text: what the labels are the tokens of.
        labels: T labels, as `token_labels` gives them.
        layers: layer -> step -> (N, T, T) of N heads; see `attention_steps`.

    Raises:
        ValueError: shapes or steps do not fit, or the last step holds no weights.
    """
    arrays = check_layers(layers, len(labels))
    stack = np.stack([list(steps.values()) for steps in arrays.values()])
    return {
        "text": text,
        "status": "",
        "labels": list(labels),
        "layers": list(arrays),
        "steps": list(next(iter(arrays.values()))),
        "heads": stack.shape[2],
        "max_positions": MAX_ATTENDED_POSITIONS,
        "values": encode_floats(stack),  # (layers, steps, N, T, T)
    }


def check_layers(
    layers: AttentionStepsByLayer, T: int
) -> dict[str, dict[str, np.ndarray]]:
    """layer -> step -> float32 (N, T, T), or a ValueError: what does not fit."""
    arrays = {
        layer: {step: np.asarray(values) for step, values in steps.items()}
        for layer, steps in layers.items()
    }
    if not arrays:
        raise ValueError("no layers given; the view needs at least one")
    first = next(iter(arrays.values()))
    if len(first) < 2:
        raise ValueError(f"the steps {list(first)} given; the view needs at least two")
    heads = next(iter(first.values())).shape[:1]
    for layer, steps in arrays.items():
        if list(steps) != list(first):
            raise ValueError(
                f"{layer!r} has the steps {list(steps)}, another layer {list(first)};"
                " all layers need the same"
            )
        for step, values in steps.items():
            check_values(values, f"{step!r} of {layer!r}", (*heads, T, T))
        check_weights(values, f"{step!r} of {layer!r}")
    return {
        layer: {step: values.astype(np.float32) for step, values in steps.items()}
        for layer, steps in arrays.items()
    }


def check_values(values: np.ndarray, name: str, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless these are (N, T, T) numbers, -inf among them or not."""
    if values.shape != shape or not values.size:
        T = shape[-1]
        raise ValueError(
            f"{name} has shape {values.shape}; {T} tokens need (N, {T}, {T}),"
            " with one N for all layers and steps"
        )
    if np.isnan(values).any() or np.isposinf(values).any():
        raise ValueError(f"{name} has NaN or +inf; it needs numbers, or -inf if masked")


def check_weights(weights: np.ndarray, name: str) -> None:
    """Raise ValueError unless each row of (N, T, T) sums to 1, with nothing below 0."""
    if weights.min() < 0 or weights.max() > 1 + 1e-3:
        raise ValueError(
            f"{name} is the last step: it needs weights in [0, 1], but goes from"
            f" {weights.min():.3g} to {weights.max():.3g}"
        )
    sums = weights.sum(-1, dtype=np.float64)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > 1e-3:
        raise ValueError(
            f"{name} is the last step: its rows need the sum 1, one has {worst:.4g}"
        )
