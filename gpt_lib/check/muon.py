"""The exercises of lesson 14."""

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise


def reference_bias_corrected_average(
    gradients: list[Tensor], beta: float, power: int | None = None
) -> Tensor:
    """Solution: the average, divided by what the start at zero took away."""
    average = torch.zeros_like(gradients[0])
    for gradient in gradients:
        average = beta * average + (1 - beta) * gradient
    return average / (1 - beta ** (len(gradients) if power is None else power))


def mistake_beta_swapped(gradients: list[Tensor], beta: float) -> Tensor:
    """Mistake: the new gradient gets beta."""
    average = torch.zeros_like(gradients[0])
    for gradient in gradients:
        average = (1 - beta) * average + beta * gradient
    return average / (1 - (1 - beta) ** len(gradients))


def mistake_start_at_first_gradient(gradients: list[Tensor], beta: float) -> Tensor:
    """Mistake: the average starts at the first gradient, and is corrected as well."""
    average = gradients[0]
    for gradient in gradients[1:]:
        average = beta * average + (1 - beta) * gradient
    return average / (1 - beta ** len(gradients))


def mistake_not_corrected(gradients: list[Tensor], beta: float) -> Tensor:
    """Mistake: no correction."""
    return reference_bias_corrected_average(gradients, beta) * (
        1 - beta ** len(gradients)
    )


def bias_corrected_average_inputs() -> list[tuple[list[Tensor], float]]:
    """Lists of 1, 3 and 6 gradients, each with a beta."""
    generator = torch.Generator().manual_seed(4)
    return [
        ([torch.randn(3, generator=generator) for _ in range(count)], beta)
        for count, beta in ((1, 0.9), (3, 0.9), (6, 0.5))
    ]


bias_corrected_average = Exercise(
    solution=reference_bias_corrected_average,
    inputs=bias_corrected_average_inputs,
    mistakes={
        "not corrected": (
            mistake_not_corrected,
            "The average starts at zero, so it is small at first: divide by 1 − βᵗ.",
        ),
        "corrected as after one": (
            lambda gradients, beta: reference_bias_corrected_average(
                gradients, beta, power=1
            ),
            "You divide by 1 − β whatever the number of gradients: t counts them.",
        ),
        "one step off": (
            lambda gradients, beta: reference_bias_corrected_average(
                gradients, beta, len(gradients) + 1
            ),
            "Your t is one too large: after the first gradient it is 1.",
        ),
        "swapped": (
            mistake_beta_swapped,
            "The old average keeps β, the new gradient gets 1 − β; you swapped them.",
        ),
        "1 - beta forgotten": (
            lambda gradients, beta: (
                reference_bias_corrected_average(gradients, beta) / (1 - beta)
            ),
            "Each new gradient counts with 1 − β; yours counts in full.",
        ),
        "multiplied": (
            lambda gradients, beta: (
                mistake_not_corrected(gradients, beta) * (1 - beta ** len(gradients))
            ),
            "You multiplied by 1 − βᵗ, so the average gets smaller still. Divide.",
        ),
        "oldest last": (
            lambda gradients, beta: reference_bias_corrected_average(
                gradients[::-1], beta
            ),
            "You went through the gradients backwards: the newest, the last of the"
            " list, counts most.",
        ),
        "first as the start": (
            mistake_start_at_first_gradient,
            "You started with the first gradient. The average starts at 0: that is what"
            " 1 − βᵗ corrects.",
        ),
        "plain mean": (
            lambda gradients, beta: torch.stack(gradients).mean(0),
            "That is the mean of all; AdamW forgets old gradients.",
        ),
    },
    praise="the first gradient counts in full, old ones fade.",
)


def reference_newton_schulz_step(x: Tensor, a: float, b: float, c: float) -> Tensor:
    """Solution: an odd polynomial of a matrix."""
    square = x @ x.mT
    return a * x + (b * square + c * square @ square) @ x


def mistake_elementwise_powers(x: Tensor, a: float, b: float, c: float) -> Tensor:
    """Mistake: powers of the numbers, not of the matrix."""
    return a * x + b * x**3 + c * x**5


newton_schulz_step = Exercise(
    solution=reference_newton_schulz_step,
    inputs=lambda: [
        (torch.tensor([[0.6, 0.0], [0.0, 0.2]]), 3.0, -3.0, 1.0),
        (torch.arange(6.0).view(2, 3) / 9, 2.0, -1.5, 0.5),
        (torch.arange(12.0).view(4, 3).cos() / 3, 4.0848, -6.8946, 2.9270),
    ],
    mistakes={
        "number by number": (
            mistake_elementwise_powers,
            "You raised each number to a power; products of the matrix are meant.",
        ),
        "no factor for X": (
            lambda x, a, b, c: reference_newton_schulz_step(x, 1.0, b, c),
            "The X at the beginning has no factor: aX.",
        ),
        "no fifth power": (
            lambda x, a, b, c: reference_newton_schulz_step(x, a, b, 0.0),
            "The term with c is missing.",
        ),
        "c for the third": (
            lambda x, a, b, c: reference_newton_schulz_step(x, a, c, b),
            "b belongs to (XXᵀ)X and c to (XXᵀ)²X; you swapped them.",
        ),
        "without X": (
            lambda x, a, b, c: reference_newton_schulz_step(x, a, 0.0, 0.0),
            "Only aX is left: add the two other terms.",
        ),
        "square once": (
            lambda x, a, b, c: reference_newton_schulz_step(x, a, b + c, 0.0),
            "c comes with the *square* of XXᵀ.",
        ),
    },
    praise="singular values changed, and never computed.",
)


def reference_lr_fraction(progress: float, warmup: float, decay_start: float) -> float:
    """Solution: up, level, down."""
    if progress < warmup:
        return progress / warmup
    return 1.0 if progress < decay_start else (1 - progress) / (1 - decay_start)


lr_fraction = Exercise(
    solution=reference_lr_fraction,
    inputs=lambda: [
        (progress, 0.1, 0.4) for progress in (0.0, 0.05, 0.1, 0.2, 0.4, 0.55, 0.7, 1.0)
    ],
    mistakes={
        "no warm-up": (
            lambda progress, warmup, decay_start: reference_lr_fraction(
                max(progress, warmup), warmup, decay_start
            ),
            "It begins at the full rate; until `warmup` it rises.",
        ),
        "no fall": (
            lambda progress, warmup, decay_start: reference_lr_fraction(
                min(progress, warmup), warmup, decay_start
            ),
            "It never falls; at the end of the time it is 0.",
        ),
        "falls at once": (
            lambda progress, warmup, decay_start: reference_lr_fraction(
                progress, warmup, warmup
            ),
            "It falls right after the warm-up; until `decay_start` it stays 1.",
        ),
        "jumps": (
            lambda progress, warmup, decay_start: (
                1 - progress
                if progress >= decay_start
                else reference_lr_fraction(progress, warmup, decay_start)
            ),
            "At `decay_start` it jumps: what is left, 1 − progress, must be divided"
            " by 1 − decay_start.",
        ),
        "a step": (
            lambda progress, warmup, decay_start: (
                0.0
                if progress >= decay_start
                else reference_lr_fraction(progress, warmup, decay_start)
            ),
            "Behind `decay_start` it is 0 at once; it falls along a straight line.",
        ),
    },
    praise="the last small steps are where the model settles.",
)
