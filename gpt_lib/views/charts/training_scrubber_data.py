"""What the page of a training scrubber shows: a run's checkpoints on its loss curve."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gpt_lib.views.page import load_page_files

PAGE_SOURCES = load_page_files("charts/training_scrubber")

XYCurvesByName = Mapping[str, tuple[ArrayLike, ArrayLike]]  # name -> (x, y)


class Checkpoints(NamedTuple):
    """K >= 2 moments of a run."""

    steps: list[int]  # increasing
    samples: list[str]  # what each wrote
    means: list[float]  # the mean loss of each on a passage, nats a token


class LossCurvePicture(NamedTuple):
    """A picture of the loss curve; positions are fractions of its width and height."""

    source: str  # a `data:` URL
    description: str
    points: list[tuple[float, float]]  # (x, y) of each checkpoint, from the top left
    top: float  # of the plot
    bottom: float


def training_scrubber_data(
    checkpoints: Checkpoints, picture: LossCurvePicture
) -> dict[str, Any]:
    """The state of the page; it begins at the last checkpoint."""
    return {
        **checkpoints._asdict(),
        "frame": len(checkpoints.steps) - 1,
        "image": picture.source,
        "description": picture.description,
        "points": [list(point) for point in picture.points],
        "plot": [picture.top, picture.bottom],
    }


def check_steps(steps: Sequence[int], lists: Mapping[str, Sequence[Any]]) -> list[int]:
    """Two or more steps, increasing, and as many entries in each named list."""
    if len(steps) < 2 or not (np.diff(steps) > 0).all():
        raise ValueError(f"steps={list(steps)}; needs two or more, increasing")
    for name, entries in lists.items():
        if len(entries) != len(steps):
            raise ValueError(f"{len(entries)} {name}; {len(steps)} steps need as many")
    return [int(step) for step in steps]


def mean_loss_by_checkpoint(losses: np.ndarray, K: int, N: int) -> list[float]:
    """The mean loss of each checkpoint, (K, N), over the tokens that have a past."""
    if losses.shape != (K, N) or not N:
        raise ValueError(
            f"losses have shape {losses.shape}; {K} steps and a text of {N} tokens"
            f" need ({K}, {N}), and at least one token"
        )
    known = [row[~np.isnan(row)] for row in losses]
    means = [float(row.mean()) if len(row) else np.nan for row in known]
    if not np.isfinite(means).all():
        raise ValueError(f"the checkpoints' mean losses {means} are not all finite")
    return means


def check_curves(curves: XYCurvesByName) -> dict[str, np.ndarray]:
    """name -> float32 (points, 2), once every curve can be drawn."""
    if not curves:
        raise ValueError("no curve given; the scrubber needs at least one")
    points = {}
    for name, (x, y) in curves.items():
        xs, ys = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)
        if xs.shape != ys.shape or xs.ndim != 1 or not xs.size:
            raise ValueError(
                f"curve {name!r} has x of shape {xs.shape} and y of shape {ys.shape};"
                " both need (points,), at least one"
            )
        points[name] = np.stack([xs, ys], axis=1)
        if not np.isfinite(points[name]).all():
            raise ValueError(f"curve {name!r} is not finite everywhere")
    return points


def check_map_shape(shape: tuple[int, ...], K: int, max_tokens: int) -> int:
    """T, the number of tokens that maps (K, heads, T, T) are about."""
    if len(shape) != 4 or shape[0] != K or not 0 < shape[-1] <= max_tokens:
        raise ValueError(
            f"maps have shape {shape}; {K} steps need ({K}, heads, T, T) with T from 1"
            f" to {max_tokens}"
        )
    return shape[-1]
