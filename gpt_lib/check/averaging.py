"""The exercises of lesson 04."""

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise
from gpt_lib.check.shared_mistakes import (
    MASKED_SOFTMAX_MISTAKES,
    OVERFLOW_MESSAGE,
    build_into,
    future_mask,
    masked_softmax,
    mistake_overflowing_softmax,
)


def reference_causal_softmax(scores: Tensor) -> Tensor:
    """Solution: mask the future, then a softmax over each row."""
    return masked_softmax(scores)


def causal_softmax_inputs() -> list[tuple]:
    """Scores to follow by hand, a batch of them, and some of very different size."""
    generator = torch.Generator().manual_seed(0)
    large = [[0.0, 90.0, 9.0], [0.0, 0.0, 80.0], [5.0, 60.0, 62.0]]
    larger = [[-200.0, 0.0, 5.0], [150.0, 148.0, 0.0], [-200.0, -201.0, -199.0]]
    return [
        (torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 1.0, 0.0]]),),
        (torch.randn(2, 4, 4, generator=generator),),
        (torch.tensor(large),),
        (torch.tensor(larger),),
    ]


causal_softmax = Exercise(
    solution=reference_causal_softmax,
    inputs=causal_softmax_inputs,
    mistakes={
        **MASKED_SOFTMAX_MISTAKES,
        "overflow": (
            lambda scores: mistake_overflowing_softmax(
                scores.masked_fill(future_mask(scores), -torch.inf)
            ),
            OVERFLOW_MESSAGE,
        ),
        "logarithm": (
            lambda scores: masked_softmax(scores).log(),
            "Those are logarithms of the weights: `softmax`, not `log_softmax`.",
        ),
    },
    praise="no weight on the future, and one whole to share in each row.",
    part="causal_softmax",
    tolerance=1e-4,  # what float32 leaves of large scores
)


def reference_past_mean(x: Tensor) -> Tensor:
    """Solution: the sum so far, divided by the number of its rows."""
    lengths = torch.arange(1, x.size(-2) + 1, device=x.device)[:, None]
    return x.cumsum(dim=-2) / lengths


def mistake_mean_without_itself(x: Tensor) -> Tensor:
    """Mistake: the position itself is left out."""
    previous = torch.cat([torch.zeros_like(x[..., :1, :]), x[..., :-1, :]], dim=-2)
    return previous.cumsum(-2) / torch.arange(x.size(-2)).clamp(min=1)[:, None]


past_mean = Exercise(
    solution=reference_past_mean,
    inputs=lambda: [
        (torch.tensor([[[6.0, 0.0], [2.0, 2.0], [1.0, 4.0], [3.0, 6.0]]]),),
        (torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0)),),
    ],
    mistakes={
        "divided by T": (
            lambda x: x.cumsum(dim=-2) / x.size(-2),
            "You divided by T. Position t has seen t + 1 rows, not all T: row 0 should"
            " be x[:, 0] itself.",
        ),
        "sum": (
            lambda x: x.cumsum(dim=-2),
            "That is the sum so far. Divide row t by the t + 1 rows it has seen.",
        ),
        "everything": (
            lambda x: x.mean(dim=-2, keepdim=True).expand_as(x),
            "Every position gets the mean of the whole sequence: it sees the future.",
        ),
        "future": (
            lambda x: reference_past_mean(x.flip(-2)).flip(-2),
            "You averaged the future: position t sees t, t + 1, … Use `tril`, the lower"
            " left triangle.",
        ),
        "divided by t": (
            lambda x: x.cumsum(dim=-2) / torch.arange(x.size(-2))[:, None],
            "You divided row t by t, and row 0 by 0. It has seen t + 1 rows.",
        ),
        "without itself": (
            mistake_mean_without_itself,
            "Position t leaves itself out: the mean runs over 0 … t, t included.",
        ),
        "batch": (
            lambda x: x.cumsum(0) / torch.arange(1, len(x) + 1)[:, None, None],
            "You averaged over the batch: sequences of a batch know nothing of each"
            " other. Time is dimension 1.",
        ),
    },
    praise="it looks only back, weighs evenly, and works for any batch.",
    part="past_mean",
)


def distances(T: int) -> Tensor:
    """How far back column j lies for row i, (T, T); negative in the future."""
    positions = torch.arange(T)
    return (positions[:, None] - positions).float()


def fading_scores(x: Tensor, fade: float) -> Tensor:
    """Scores that fall with the distance, (T, T)."""
    return -fade * distances(x.size(1))


def reference_fading_mean(x: Tensor, fade: float) -> Tensor:
    """Solution: scores fall with the distance."""
    return reference_causal_softmax(fading_scores(x, fade)) @ x


def mistake_distances_without_sign(x: Tensor, fade: float) -> Tensor:
    """Mistake: the future is not masked, and fades as the past does."""
    return (-fade * distances(x.size(1)).abs()).softmax(-1) @ x


fading_mean = Exercise(
    solution=reference_fading_mean,
    inputs=lambda: [
        (torch.tensor([[[8.0], [4.0], [0.0], [2.0]]]), 0.7),
        (torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)), 0.0),
        (torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1)), 2.0),
    ],
    mistakes={
        "growing": (
            lambda x, fade: reference_fading_mean(x, -fade),
            "Your oldest row has the largest say. The score of a row d positions back"
            " is *minus* fade · d, and row − column is positive for the past.",
        ),
        "no fade": (
            lambda x, fade: reference_fading_mean(x, 0.0),
            "That is the plain mean: `fade` has no effect.",
        ),
        "both sides": (
            mistake_distances_without_sign,
            "The future takes part, and fades as the past does: mask it before the"
            " softmax.",
        ),
        "no softmax": (
            lambda x, fade: fading_scores(x, fade).tril() @ x,
            "Those are scores, not weights. A softmax makes weights of them.",
        ),
        "weights, not scores": (
            lambda x, fade: (torch.exp(-fade * distances(x.size(1))).tril()) @ x,
            "Your weights fade, but a row no longer sums to one: use softmax.",
        ),
        **build_into(
            MASKED_SOFTMAX_MISTAKES,
            lambda weights: lambda x, fade: weights(fading_scores(x, fade)) @ x,
        ),
    },
    praise="near is loud, far is faint, and with fade 0 it is the mean.",
)
