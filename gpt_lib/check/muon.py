"""The exercises of lesson 14."""

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise


def corrected(gradients: list[Tensor], beta: float, power: int | None = None) -> Tensor:
    """Solution: the average, divided by what the start at zero took away."""
    average = torch.zeros_like(gradients[0])
    for gradient in gradients:
        average = beta * average + (1 - beta) * gradient
    return average / (1 - beta ** (len(gradients) if power is None else power))


def swapped(gradients: list[Tensor], beta: float) -> Tensor:
    """Mistake: the new gradient gets beta."""
    average = torch.zeros_like(gradients[0])
    for gradient in gradients:
        average = (1 - beta) * average + beta * gradient
    return average / (1 - (1 - beta) ** len(gradients))


def uncorrected(gradients: list[Tensor], beta: float) -> Tensor:
    """Mistake: no correction."""
    return corrected(gradients, beta) * (1 - beta ** len(gradients))


def some_gradients() -> list[tuple[list[Tensor], float]]:
    """Short and longer lists."""
    dice = torch.Generator().manual_seed(4)
    return [
        ([torch.randn(3, generator=dice) for _ in range(count)], beta)
        for count, beta in ((1, 0.9), (3, 0.9), (6, 0.5))
    ]


average = Exercise(
    solution=corrected,
    inputs=some_gradients,
    mistakes={
        "not corrected": (
            uncorrected,
            "The average starts at zero, so it is small at first: divide by 1 − βᵗ.",
        ),
        "corrected as after one": (
            lambda gradients, beta: corrected(gradients, beta, power=1),
            "You divide by 1 − β whatever the number of gradients: t counts them.",
        ),
        "one step off": (
            lambda gradients, beta: corrected(gradients, beta, len(gradients) + 1),
            "Your t is one too large: after the first gradient it is 1.",
        ),
        "swapped": (
            swapped,
            "The old average keeps β, the new gradient gets 1 − β; you swapped them.",
        ),
        "plain mean": (
            lambda gradients, beta: torch.stack(gradients).mean(0),
            "That is the mean of all; AdamW forgets old gradients.",
        ),
    },
    praise="the first gradient counts in full, old ones fade.",
)


def one_round(x: Tensor, a: float, b: float, c: float) -> Tensor:
    """Solution: an odd polynomial of a matrix."""
    square = x @ x.mT
    return a * x + (b * square + c * square @ square) @ x


def number_by_number(x: Tensor, a: float, b: float, c: float) -> Tensor:
    """Mistake: powers of the numbers, not of the matrix."""
    return a * x + b * x**3 + c * x**5


newton_schulz = Exercise(
    solution=one_round,
    inputs=lambda: [
        (torch.tensor([[0.6, 0.0], [0.0, 0.2]]), 3.0, -3.0, 1.0),
        (torch.arange(6.0).view(2, 3) / 9, 2.0, -1.5, 0.5),
        (torch.arange(12.0).view(4, 3).cos() / 3, 4.0848, -6.8946, 2.9270),
    ],
    mistakes={
        "number by number": (
            number_by_number,
            "You raised each number to a power; products of the matrix are meant.",
        ),
        "no fifth power": (
            lambda x, a, b, c: one_round(x, a, b, 0.0),
            "The term with c is missing.",
        ),
        "c for the third": (
            lambda x, a, b, c: one_round(x, a, c, b),
            "b belongs to (XXᵀ)X and c to (XXᵀ)²X; you swapped them.",
        ),
        "without X": (
            lambda x, a, b, c: one_round(x, a, 0.0, 0.0),
            "Only aX is left: add the two other terms.",
        ),
        "square once": (
            lambda x, a, b, c: one_round(x, a, b + c, 0.0),
            "c comes with the *square* of XXᵀ.",
        ),
    },
    praise="singular values changed, and never computed.",
)


def by_the_clock(done: float, warmup: float, flat: float) -> float:
    """Solution: up, flat, down."""
    if done < warmup:
        return done / warmup
    return 1.0 if done < flat else (1 - done) / (1 - flat)


rate = Exercise(
    solution=by_the_clock,
    inputs=lambda: [
        (done, 0.1, 0.4) for done in (0.0, 0.05, 0.1, 0.2, 0.4, 0.55, 0.7, 1.0)
    ],
    mistakes={
        "no warm-up": (
            lambda done, warmup, flat: by_the_clock(max(done, warmup), warmup, flat),
            "It begins at the full rate; until `warmup` it rises.",
        ),
        "no fall": (
            lambda done, warmup, flat: by_the_clock(min(done, warmup), warmup, flat),
            "It never falls; at the end of the time it is 0.",
        ),
        "falls at once": (
            lambda done, warmup, flat: by_the_clock(done, warmup, warmup),
            "It falls right after the warm-up; until `flat` it stays 1.",
        ),
        "jumps": (
            lambda done, warmup, flat: (
                1 - done if done >= flat else by_the_clock(done, warmup, flat)
            ),
            "At `flat` it jumps: what is left, 1 − done, must be divided by 1 − flat.",
        ),
        "a step": (
            lambda done, warmup, flat: (
                0.0 if done >= flat else by_the_clock(done, warmup, flat)
            ),
            "Behind `flat` it is 0 at once; it falls along a straight line.",
        ),
    },
    praise="the last small steps are where the model settles.",
)


def backed_off(counted: Tensor, shorter: Tensor, discount: float = 0.9) -> Tensor:
    """Solution: what is taken from the counts goes to the shorter context."""
    total = counted.sum(-1, keepdim=True)
    kinds = (counted > 0).sum(-1, keepdim=True)
    chances = (counted - discount).clamp(min=0) + discount * kinds * shorter
    return torch.where(total > 0, chances / total.clamp(min=1), shorter)


def kept_too_much(counted: Tensor, shorter: Tensor, discount: float = 0.9) -> Tensor:
    """Mistake: the discount is given, but not taken."""
    total = counted.sum(-1, keepdim=True)
    kinds = (counted > 0).sum(-1, keepdim=True)
    given = discount * kinds * shorter
    return torch.where(total > 0, (counted + given) / total.clamp(min=1), shorter)


def given_once(counted: Tensor, shorter: Tensor, discount: float = 0.9) -> Tensor:
    """Mistake: one discount is handed on, however many were taken."""
    total = counted.sum(-1, keepdim=True)
    chances = (counted - discount).clamp(min=0) + discount * shorter
    return torch.where(total > 0, chances / total.clamp(min=1), shorter)


def below_zero(counted: Tensor, shorter: Tensor, discount: float = 0.9) -> Tensor:
    """Mistake: what was not counted is discounted, too."""
    total = counted.sum(-1, keepdim=True)
    kinds = (counted > 0).sum(-1, keepdim=True)
    chances = counted - discount + discount * kinds * shorter
    return torch.where(total > 0, chances / total.clamp(min=1), shorter)


def nothing_given(counted: Tensor, shorter: Tensor, discount: float = 0.9) -> Tensor:
    """Mistake: the discount is lost."""
    total = counted.sum(-1, keepdim=True)
    chances = (counted - discount).clamp(min=0)
    return torch.where(total > 0, chances / total.clamp(min=1), shorter)


def nothing_known(counted: Tensor, shorter: Tensor, discount: float = 0.9) -> Tensor:
    """Mistake: a context that was never seen is not left to the shorter one."""
    known = counted.sum(-1, keepdim=True) > 0
    return torch.where(known, backed_off(counted, shorter, discount), 0.0)


def some_counts() -> list[tuple[Tensor, Tensor, float]]:
    """Counts of three characters after seen and unseen contexts."""
    shorter = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.5, 0.3]])
    counted = torch.tensor([[8.0, 2, 0], [0, 1, 0], [0, 0, 0]])
    return [
        (counted, shorter, 0.9),
        (counted, shorter, 0.5),
        (counted[2], shorter[2], 0.9),
    ]


back_off = Exercise(
    solution=backed_off,
    inputs=some_counts,
    mistakes={
        "not taken": (
            kept_too_much,
            "You give the discount away without taking it from the counts:"
            " the chances sum to more than 1.",
        ),
        "given once": (
            given_once,
            "Each kind of character gave a discount: hand on discount · kinds.",
        ),
        "below zero": (
            below_zero,
            "A character that was never counted has nothing to give: not below 0.",
        ),
        "nothing given": (
            nothing_given,
            "The discount is lost: the chances sum to less than 1."
            " Hand it to the shorter context.",
        ),
        "never seen": (
            nothing_known,
            "Where the total is 0, the shorter context's answer is all there is.",
        ),
    },
    praise="what was taken is handed on, and the chances sum to 1.",
    part="back_off",
)
