"""Interleaved timing: candidates run by turns, so that a slow minute hits all."""

import math
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

MeasurementType = TypeVar("MeasurementType")


def interleave(
    candidates: dict[str, Callable[[], MeasurementType]],
    rounds: int,
    max_seconds: float = math.inf,
) -> dict[str, list[MeasurementType]]:
    """What each candidate measures, by name, in each round; a round runs all of them.

    A first round, which is not recorded, warms up. No round begins after `max_seconds`.
    """
    for measure in candidates.values():
        measure()
    measurements: dict[str, list[MeasurementType]] = {name: [] for name in candidates}
    start = time.perf_counter()
    for _ in range(rounds):
        for name, measure in candidates.items():
            measurements[name].append(measure())
        if time.perf_counter() - start > max_seconds:
            break
    return measurements


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over the rounds of ours / theirs, each ratio within one round."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))
