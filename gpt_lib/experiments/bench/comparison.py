"""One figure of ours beside the same figure of a peer, measured by turns."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from gpt_lib.experiments.interleave import median_ratio


@dataclass(frozen=True)
class Comparison:
    """Medians of ours and theirs, and the median over the rounds of ours / theirs."""

    name: str  # what was measured
    unit: str
    ours: float
    peer: str
    theirs: float
    ratio: float
    target: str = "above 1"  # what the ratio should be


def peer_comparisons(
    name: str, unit: str, figures: dict[str, list[float]], target: str = "above 1"
) -> Iterator[Comparison]:
    """Ours, the first candidate, beside each of the others; a figure for each round."""
    (_, ours), *peers = figures.items()
    for peer, theirs in peers:
        medians = median(ours), peer, median(theirs), median_ratio(ours, theirs)
        yield Comparison(name, unit, *medians, target)


def print_comparison(comparison: Comparison) -> dict[str, Any]:
    """Print a comparison, and return it as a row of bench.json."""
    print(
        f"{comparison.ratio:5.2f} x {comparison.peer}: {comparison.name}"
        f" ({comparison.ours:,.4g} and {comparison.theirs:,.4g} {comparison.unit};"
        f" target: {comparison.target})",
        flush=True,
    )
    return asdict(comparison)
