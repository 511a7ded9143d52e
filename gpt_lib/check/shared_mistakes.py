"""Mistakes that exercises of one kind share, and how they are built into one."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

Function = Callable[..., Any]
Mistakes = Mapping[str, tuple[Function, str]]  # name -> (function, message)


def build_into(mistakes: Mistakes, build: Callable[[Function], Function]) -> Mistakes:
    """Mistakes of a part as mistakes of what `build` makes of such a part."""
    return {
        name: (build(mistake), message) for name, (mistake, message) in mistakes.items()
    }


# A softmax over the past: scores (..., T, T) -> weights that sum to one in each row


def future_mask(scores: Tensor) -> Tensor:
    """True where the column lies in the row's future, (T, T)."""
    T = scores.size(-1)
    return torch.ones(T, T, dtype=torch.bool, device=scores.device).triu(1)


def masked_softmax(scores: Tensor, dim: int = -1, value: float = -torch.inf) -> Tensor:
    """A softmax after `value` was put in the place of the future's scores."""
    return scores.masked_fill(future_mask(scores), value).softmax(dim)


def mistake_other_places_masked(scores: Tensor, first_diagonal: int) -> Tensor:
    """Mistake: masked is what `triu` keeps from another diagonal on."""
    mask = torch.ones_like(scores, dtype=torch.bool).triu(first_diagonal)
    return scores.masked_fill(mask, -torch.inf).softmax(dim=-1)


def mistake_past_masked(scores: Tensor, last_diagonal: int) -> Tensor:
    """Mistake: masked is what `tril` keeps up to a diagonal."""
    mask = torch.ones_like(scores, dtype=torch.bool).tril(last_diagonal)
    return scores.masked_fill(mask, -torch.inf).softmax(dim=-1)


MASKED_SOFTMAX_MISTAKES: Mistakes = {
    "no mask": (
        lambda scores: scores.softmax(dim=-1),
        "Nothing is masked: row 0 looks at positions that are not written yet."
        " (`masked_fill` gives back a new tensor: is that the one you go on with?)",
    ),
    "wrong axis": (
        lambda scores: masked_softmax(scores, dim=-2),
        "The columns of your weights sum to one. The row is the position that looks,"
        " and it has one whole to share out: softmax over dim=-1.",
    ),
    "mask inverted": (
        lambda scores: mistake_past_masked(scores, 0),
        "Your mask is inverted: it hides the past and leaves the future. Fill where"
        " `triu(1)` is True.",
    ),
    "past masked": (
        lambda scores: mistake_past_masked(scores, -1),
        "Your mask hides the past: a position looks at itself and at the future. Fill"
        " where `triu(1)` is True.",
    ),
    "mask after softmax": (
        lambda scores: scores.softmax(dim=-1).tril(),
        "You masked after the softmax: the future took its share first, so the rows of"
        " your weights no longer sum to one. Mask the scores.",
    ),
    "diagonal masked": (
        lambda scores: mistake_other_places_masked(scores, 0),
        "You also masked the diagonal, as `triu(0)` does: a position may look at"
        " itself. Row 0 has nowhere else to look, and a softmax of nothing is NaN.",
    ),
    "next one seen": (
        lambda scores: mistake_other_places_masked(scores, 2),
        "Your mask begins one too late, as `triu(2)` does: each position sees the next"
        " one.",
    ),
    "finite mask value": (
        lambda scores: masked_softmax(scores, value=-10.0),
        "Your mask is a finite number such as -10. Where scores are low as well, the"
        " future gets through. Only -inf is 0 for certain.",
    ),
    "masked with zero": (
        lambda scores: masked_softmax(scores, value=0.0),
        "The future's scores are 0, and e⁰ is 1: a weight like any other. Put -inf in"
        " their place, before the softmax.",
    ),
}


def mistake_overflowing_softmax(scores: Tensor) -> Tensor:
    """Mistake: the exponential of a large score is infinite, and the result NaN."""
    return scores.exp() / scores.exp().sum(dim=-1, keepdim=True)


OVERFLOW_MESSAGE = (
    "Right on paper, but the exponential of a large number, such as e¹⁰⁰⁰, is infinite"
    " to a computer, and inf / inf is NaN. Subtract the largest of each row first: the"
    " result stays the same."
)


# Scores: queries and keys (..., T, H) and a softmax -> weights


def mistake_scores_of_other_scale(
    q: Tensor, k: Tensor, softmax: Function, scale: float
) -> Tensor:
    """Mistake: scores are divided by another number than the root of H."""
    return softmax(q @ k.mT / scale)


SCORE_MISTAKES: Mistakes = {
    "no root": (
        lambda q, k, softmax: mistake_scores_of_other_scale(q, k, softmax, 1.0),
        "Your scores are not divided by the root of H: the wider the head, the larger"
        " they are, until the softmax picks one key and ignores all others.",
    ),
    "divided by H": (
        lambda q, k, softmax: mistake_scores_of_other_scale(q, k, softmax, k.size(-1)),
        "You divided by H. A sum of H random products grows like the *root* of H.",
    ),
    "multiplied by the root": (
        lambda q, k, softmax: mistake_scores_of_other_scale(
            q, k, softmax, k.size(-1) ** -0.5
        ),
        "You multiplied by the root of H. Divide.",
    ),
    "scaled by length": (
        lambda q, k, softmax: mistake_scores_of_other_scale(
            q, k, softmax, k.size(-2) ** 0.5
        ),
        "You divided by the root of T. How large a score is depends on the head size H,"
        " not on the length of the text.",
    ),
    "scaled after softmax": (
        lambda q, k, softmax: softmax(q @ k.mT) / k.size(-1) ** 0.5,
        "You divided after the softmax, so the weights of a row no longer sum to one."
        " Divide the scores.",
    ),
}
SWAPPED_MISTAKES: Mistakes = {
    "queries and keys swapped": (
        lambda q, k, softmax: softmax(k @ q.mT / k.size(-1) ** 0.5),
        "Queries and keys are swapped: row t must belong to the query of position t.",
    ),
    "queries as keys": (
        lambda q, k, softmax: softmax(q @ q.mT / k.size(-1) ** 0.5),
        "Your scores are queries against queries: the keys are never used.",
    ),
    "keys as queries": (
        lambda q, k, softmax: softmax(k @ k.mT / k.size(-1) ** 0.5),
        "Your scores are keys against keys: the queries are never used.",
    ),
}


# A loss, or log-probabilities

LOG_MISTAKES: Mistakes = {
    "bits": (
        lambda value: value / math.log(2),
        "That is right in bits (log to base 2). This course measures in nats: use the"
        " natural logarithm, `.log()`.",
    ),
    "wrong sign": (
        lambda value: -value,
        "The sign is wrong: log p is negative, and a loss is −log p.",
    ),
}
PROBABILITIES_MESSAGE = (
    "You handed over probabilities. `cross_entropy` wants logits, and takes the softmax"
    " itself."
)


# The mode of a model: an exercise that observes it has the model as first argument


def observe_mode(name: str) -> Callable[[Any, tuple], dict[str, Any]]:
    """What an exercise observes: its result, under a name, and the model's mode."""
    return lambda result, arguments: {
        name: result,
        "model.training afterwards": arguments[0].training,
    }


def leave_in_mode(solution: Function, training: bool) -> Function:
    """Mistake: right, but the model is left in one mode, whatever it came in."""

    def mistake_mode_not_restored(model: nn.Module, *arguments: Any) -> Any:
        result = solution(model, *arguments)
        model.train(training)
        return result

    return mistake_mode_not_restored


def mode_mistakes(solution: Function) -> Mistakes:
    """The two ways to leave a model in another mode than it came in."""
    return {
        "left in evaluation mode": (
            leave_in_mode(solution, False),
            "Your result is right, but the model came in training mode and left in"
            " evaluation mode: whoever goes on training it would do so without dropout."
            " Remember `model.training`, and give it to `model.train` at the end.",
        ),
        "left in training mode": (
            leave_in_mode(solution, True),
            "Your result is right, but the model came in evaluation mode and left in"
            " training mode. Remember `model.training`, and give it to `model.train` at"
            " the end.",
        ),
    }
