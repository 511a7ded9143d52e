"""What the page of the next token shows: its distribution, and a sample."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gpt_lib.views.page import load_page_files
from gpt_lib.views.visible_text import format_percent, visible_text

PAGE_SOURCES = load_page_files("tokens/next_token")
MAX_ROWS = 12  # likeliest tokens in the page
MIN_SEGMENT_WIDTH = 0.002  # of the bar: what a page of 800 pixels can still show
SUM_TOLERANCE = 0.01  # how far a sum of half-precision probabilities may be from 1


class SampledDistribution(NamedTuple):
    """A next-token distribution before and after the settings, and a sample."""

    labels: Sequence[str]  # V tokens
    before: np.ndarray  # (V,) float64, the model's own probabilities
    after: np.ndarray  # (V,) float64, exactly 0 for a cut token
    u: float | None  # the random number, 0 <= u < 1
    sampled_id: int  # the token that u samples; -1 without u

    @classmethod
    def create(
        cls,
        labels: Sequence[str],
        before: ArrayLike,
        after: ArrayLike,
        u: float | None,
    ) -> "SampledDistribution":
        """The distribution, or a ValueError: shapes do not fit, or sums are not 1."""
        V, arrays = len(labels), []
        for name, values in (("before", before), ("after", after)):
            array = np.asarray(values, dtype=float)
            if array.shape != (V,) or not V:
                raise ValueError(
                    f"{name} has shape {array.shape}; {V} labels need ({V},)"
                )
            if not (array >= 0).all() or abs(array.sum() - 1) > SUM_TOLERANCE:
                raise ValueError(
                    f"{name} runs from {array.min():.4g} to {array.max():.4g} and sums"
                    f" to {array.sum():.4g}; probabilities are at least 0 and sum to 1"
                )
            arrays.append(array)
        if u is None:
            return cls(labels, *arrays, None, -1)
        if not 0 <= u < 1:
            raise ValueError(f"u={u} is not a random number: 0 <= u < 1")
        return cls(labels, *arrays, float(u), sampled_id(arrays[1], u))


def next_token_data(
    labels: Sequence[str], before: ArrayLike, after: ArrayLike, u: float | None = None
) -> dict[str, Any]:
    """The state of the page; see `next_token` for the arguments.

    Of each row: id (-1 for the sum of the others), label, before and after as numbers
    and, in `texts`, as texts. Of each segment of the cumulative bar: id (-1 for many),
    label, start, width, text.
    """
    distribution = SampledDistribution.create(labels, before, after, u)
    return {
        "rows": probability_table_rows(distribution, MAX_ROWS),
        "segments": bar_segments(distribution),
        "u": distribution.u,
        "u_text": format_random_number(distribution),
        "sampled_id": distribution.sampled_id,
        "sentence": describe_sample(distribution),
    }


def message_page_data(sentence: str) -> dict[str, Any]:
    """The state of a page that shows nothing but a sentence."""
    nothing = {"rows": [], "segments": [], "u": None, "u_text": "", "sampled_id": -1}
    return {**nothing, "sentence": sentence}


def by_probability(probabilities: np.ndarray) -> np.ndarray:
    """Indices (V,), the likeliest first; of equals the lower first."""
    return np.argsort(-probabilities, kind="stable")


def uncut_indices(after: np.ndarray) -> np.ndarray:
    """Indices of the tokens that are not cut, likeliest first."""
    return by_probability(after)[: np.count_nonzero(after)]


def sampled_id(after: ArrayLike, u: float) -> int:
    """The token sampled: where the running sum, likeliest first, first exceeds u.

    Args:
        after: (V,) probabilities, not all 0; they need not sum to exactly 1.
        u: 0 <= u < 1, a fraction of their sum.
    """
    array = np.asarray(after, dtype=float)
    order = uncut_indices(array)
    sums = np.cumsum(array[order])
    return int(order[np.searchsorted(sums, u * sums[-1], side="right")])


def probability_table_rows(
    distribution: SampledDistribution, count: int
) -> list[dict[str, Any]]:
    """The `count` likeliest tokens by the model, and one row for all others.

    The token sampled is always among them, if need be instead of the last.
    """
    labels, before, after, _, sampled = distribution
    top = by_probability(before)[:count].tolist()
    if sampled >= 0 and sampled not in top:
        top[-1] = sampled
    rows = [
        table_row(id_, visible_text(labels[id_]), before[id_], after[id_])
        for id_ in top
    ]
    if others := len(labels) - len(top):
        sums = [np.delete(array, top).sum() for array in (before, after)]
        rows.append(table_row(-1, f"{others:,} other{'s' * (others > 1)}", *sums))
    return rows


def table_row(id_: int, label: str, before: float, after: float) -> dict[str, Any]:
    """One row of the page; `after` is 0 for what is cut."""
    return {
        "id": id_,
        "label": label,
        "before": float(before),
        "after": float(after),
        "texts": [format_percent(before), format_percent(after) if after else "cut"],
    }


def bar_segments(distribution: SampledDistribution) -> list[dict[str, Any]]:
    """The cumulative bar from 0 to 1: tokens, the likeliest first, the narrow in one.

    The token sampled is a segment of its own, however narrow.
    """
    labels, after = distribution.labels, distribution.after
    order = uncut_indices(after)
    sums = np.concatenate([[0.0], np.cumsum(after[order])])
    sums /= sums[-1]
    wide = int((np.diff(sums) >= MIN_SEGMENT_WIDTH).sum())
    cuts = {*range(wide + 1), len(order)}
    if distribution.sampled_id >= 0:
        rank = int(np.flatnonzero(order == distribution.sampled_id)[0])
        cuts |= {rank, rank + 1}
    return [
        {
            "id": int(order[low]) if high - low == 1 else -1,
            "label": visible_text(labels[order[low]])
            if high - low == 1
            else f"{high - low:,} more",
            "start": float(sums[low]),
            "width": float(sums[high] - sums[low]),
            "text": format_percent(sums[high] - sums[low]),
        }
        for low, high in pairwise(sorted(cuts))
    ]


def format_random_number(distribution: SampledDistribution) -> str:
    """The random number to three digits, never rounded up to 1; "" without one."""
    u = distribution.u
    return "" if u is None else f"u = {round(min(u, 0.999), 3)}"


def describe_sample(distribution: SampledDistribution) -> str:
    """Which token u samples, or which is likeliest, and how many tokens are cut."""
    labels, before, after, u, sampled = distribution
    V, cut = len(labels), int((after == 0).sum())
    id_ = int(after.argmax()) if u is None else sampled
    subject = (
        "The likeliest is"
        if u is None
        else f"{format_random_number(distribution)} lands on"
    )
    cut_tokens = f"{cut:,} of {V:,} tokens {'is' if cut == 1 else 'are'} cut"
    return (
        f"{subject} “{visible_text(labels[id_])}”: the model gave it"
        f" {format_percent(before[id_])}, the settings {format_percent(after[id_])};"
        f" {cut_tokens if cut else 'no token is cut'}."
    )
