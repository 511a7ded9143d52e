"""The exercises of lesson 15."""

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise


def reference_ngram_ids(
    ids: Tensor, length: int, base: int, lowest_power: int = 0, step: int = 1
) -> Tensor:
    """Solution: the digits of a number, the first one counts most."""
    powers = torch.arange(length - 1, -1, -1, device=ids.device) + lowest_power
    return (ids.unfold(-1, length, step) * base**powers).sum(-1)


def mistake_last_digit_counts_most(ids: Tensor, length: int, base: int) -> Tensor:
    """Mistake: the powers rise from left to right."""
    powers = base ** torch.arange(length, device=ids.device)
    return (ids.unfold(-1, length, 1) * powers).sum(-1)


ngram_ids = Exercise(
    solution=reference_ngram_ids,
    inputs=lambda: [
        (torch.tensor([1, 2, 0, 3]), 1, 10),
        (torch.tensor([1, 2, 0, 3]), 3, 10),
        (torch.arange(9) % 4, 2, 4),
    ],
    mistakes={
        "read backwards": (
            mistake_last_digit_counts_most,
            "Your last id counts most: the first one gets the highest power.",
        ),
        "digits added up": (
            lambda ids, length, base: ids.unfold(-1, length, 1).sum(-1),
            "You added the ids up: 1, 2 and 2, 1 are different contexts.",
        ),
        "one power too high": (
            lambda ids, length, base: reference_ngram_ids(ids, length, base, 1),
            "Your powers end with 1; the last id is multiplied by base⁰ = 1.",
        ),
        "the last one missing": (
            lambda ids, length, base: reference_ngram_ids(ids, length, base)[..., :-1],
            "The last one is missing: T ids have T − length + 1 of them.",
        ),
        "no overlap": (
            lambda ids, length, base: reference_ngram_ids(ids, length, base, 0, length),
            "Each id begins one: step by 1, not by `length`.",
        ),
    },
    praise="to look a context up is to look a number up.",
    part="ngram_ids",
)


def reference_interpolate_with_shorter_context(
    counts: Tensor, shorter: Tensor, discount: float = 0.9
) -> Tensor:
    """Solution: what is taken from the counts goes to the shorter context."""
    total = counts.sum(-1, keepdim=True)
    kinds = (counts > 0).sum(-1, keepdim=True)
    probabilities = (counts - discount).clamp(min=0) + discount * kinds * shorter
    return torch.where(total > 0, probabilities / total.clamp(min=1), shorter)


def mistake_discount_not_taken(
    counts: Tensor, shorter: Tensor, discount: float = 0.9
) -> Tensor:
    """Mistake: the discount is given, but not taken."""
    total = counts.sum(-1, keepdim=True)
    kinds = (counts > 0).sum(-1, keepdim=True)
    distributed = discount * kinds * shorter
    return torch.where(total > 0, (counts + distributed) / total.clamp(min=1), shorter)


def mistake_discount_given_once(
    counts: Tensor, shorter: Tensor, discount: float = 0.9
) -> Tensor:
    """Mistake: one discount is handed on, however many were taken."""
    total = counts.sum(-1, keepdim=True)
    probabilities = (counts - discount).clamp(min=0) + discount * shorter
    return torch.where(total > 0, probabilities / total.clamp(min=1), shorter)


def mistake_discounted_below_zero(
    counts: Tensor, shorter: Tensor, discount: float = 0.9
) -> Tensor:
    """Mistake: what was not counted is discounted, too."""
    total = counts.sum(-1, keepdim=True)
    kinds = (counts > 0).sum(-1, keepdim=True)
    probabilities = counts - discount + discount * kinds * shorter
    return torch.where(total > 0, probabilities / total.clamp(min=1), shorter)


def mistake_discount_not_passed_on(
    counts: Tensor, shorter: Tensor, discount: float = 0.9
) -> Tensor:
    """Mistake: the discount is lost."""
    total = counts.sum(-1, keepdim=True)
    probabilities = (counts - discount).clamp(min=0)
    return torch.where(total > 0, probabilities / total.clamp(min=1), shorter)


def mistake_zero_where_never_seen(
    counts: Tensor, shorter: Tensor, discount: float = 0.9
) -> Tensor:
    """Mistake: a context that was never seen is not left to the shorter one."""
    is_known = counts.sum(-1, keepdim=True) > 0
    return torch.where(
        is_known,
        reference_interpolate_with_shorter_context(counts, shorter, discount),
        0.0,
    )


def interpolate_with_shorter_context_inputs() -> list[tuple[Tensor, Tensor, float]]:
    """Counts of three characters after seen and unseen contexts."""
    shorter = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.5, 0.3]])
    counts = torch.tensor([[8.0, 2, 0], [0, 1, 0], [0, 0, 0]])
    return [
        (counts, shorter, 0.9),
        (counts, shorter, 0.5),
        (counts[2], shorter[2], 0.9),
    ]


interpolate_with_shorter_context = Exercise(
    solution=reference_interpolate_with_shorter_context,
    inputs=interpolate_with_shorter_context_inputs,
    mistakes={
        "not taken": (
            mistake_discount_not_taken,
            "You give the discount away without taking it from the counts:"
            " the probabilities sum to more than 1.",
        ),
        "given once": (
            mistake_discount_given_once,
            "Each kind of character gave a discount: hand on discount · kinds.",
        ),
        "below zero": (
            mistake_discounted_below_zero,
            "A character that was never counted has nothing to give: not below 0.",
        ),
        "nothing given": (
            mistake_discount_not_passed_on,
            "The discount is lost: the probabilities sum to less than 1."
            " Hand it to the shorter context.",
        ),
        "no discount": (
            lambda counts, shorter, discount=0.9: torch.where(
                counts.sum(-1, keepdim=True) > 0,
                counts / counts.sum(-1, keepdim=True).clamp(min=1),
                shorter,
            ),
            "`discount` has no effect: nothing is taken, and nothing handed on.",
        ),
        "never seen": (
            mistake_zero_where_never_seen,
            "Where the total is 0, the shorter context's answer is all there is.",
        ),
    },
    praise="what was taken is handed on, and the probabilities sum to 1.",
    part="interpolate_with_shorter_context",
)


def reference_continuation_counts(ids: Tensor, vocab_size: int) -> Tensor:
    """Solution: each different pair counts once, for its second character."""
    pairs = (ids[:-1] * vocab_size + ids[1:]).unique()
    return (pairs % vocab_size).bincount(minlength=vocab_size)


def mistake_every_pair_counted(ids: Tensor, vocab_size: int) -> Tensor:
    """Mistake: how often a character comes after another one."""
    return ids[1:].bincount(minlength=vocab_size)


def mistake_followers_counted(ids: Tensor, vocab_size: int) -> Tensor:
    """Mistake: how many different characters come after it."""
    pairs = (ids[:-1] * vocab_size + ids[1:]).unique()
    return (pairs // vocab_size).bincount(minlength=vocab_size)


continuation_counts = Exercise(
    solution=reference_continuation_counts,
    inputs=lambda: [
        (torch.tensor([0, 1, 0, 2, 0, 1, 0]), 3),
        (torch.tensor([3, 3, 3, 1, 0, 1, 2, 0, 3]), 5),
        (torch.arange(40) * 7 % 11 % 6, 6),
    ],
    mistakes={
        "every pair counted": (
            mistake_every_pair_counted,
            "You counted how often it comes; a pair that occurs again adds nothing.",
        ),
        "followers": (
            mistake_followers_counted,
            "You counted what comes *after* it; count what comes before.",
        ),
        "from end to beginning": (
            lambda ids, vocab_size: reference_continuation_counts(
                torch.cat([ids[-1:], ids]), vocab_size
            ),
            "Nothing comes before the first character: N ids make N − 1 pairs.",
        ),
        "too few rows": (
            lambda ids, vocab_size: reference_continuation_counts(ids, vocab_size)[
                : int(ids.max()) + 1
            ],
            "A character that never occurs has a 0, too: `minlength=vocab_size`.",
        ),
        "divided": (
            lambda ids, vocab_size: (
                reference_continuation_counts(ids, vocab_size)
                / reference_continuation_counts(ids, vocab_size).sum()
            ),
            "You divided by the sum; the counts are asked for.",
        ),
    },
    praise="a character that follows many is a good guess anywhere.",
)
