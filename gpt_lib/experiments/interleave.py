"""Figures of several candidates on a machine that is not equally fast all the time."""

import math
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

Figure = TypeVar("Figure")


def take_turns(
    runs: dict[str, Callable[[], Figure]], rounds: int, most_seconds: float = math.inf
) -> dict[str, list[Figure]]:
    """Each run gives a figure, or several; all take turns, the first of which warms up.

    No further round begins after `most_seconds`.
    """
    for run in runs.values():
        run()
    found: dict[str, list[Figure]] = {name: [] for name in runs}
    begun = time.perf_counter()
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
        if time.perf_counter() - begun > most_seconds:
            break
    return found


def ratio(ours: list[float], theirs: list[float]) -> float:
    """How many times theirs is in ours: within a round, then the median of them."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))
