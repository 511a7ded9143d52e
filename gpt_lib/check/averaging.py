"""The exercises of lesson 04."""

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise


def future_mask(T: int) -> Tensor:
    """True where a row would look ahead, (T, T)."""
    return torch.ones(T, T, dtype=torch.bool).triu(1)


def reference_causal_softmax(scores: Tensor) -> Tensor:
    """Solution: mask the future, then a softmax over each row."""
    future = future_mask(scores.size(-1)).to(scores.device)
    return scores.masked_fill(future, -torch.inf).softmax(dim=-1)


def softmax_with_wrong_mask(
    mask: Tensor, scores: Tensor, value: float = -torch.inf
) -> Tensor:
    """Softmax of scores (..., T, T) after `value` was put where `mask` is True."""
    return scores.masked_fill(mask.to(scores.device), value).softmax(dim=-1)


def causal_softmax_inputs() -> list[tuple]:
    """Scores to follow by hand, a batch of them, and large ones."""
    generator = torch.Generator().manual_seed(0)
    large = torch.tensor([[0.0, 90.0, 9.0], [0.0, 0.0, 80.0], [5.0, 60.0, 62.0]])
    return [
        (torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 1.0, 0.0]]),),
        (torch.randn(2, 4, 4, generator=generator),),
        (large,),
    ]


causal_softmax = Exercise(
    solution=reference_causal_softmax,
    inputs=causal_softmax_inputs,
    mistakes={
        "no mask": (
            lambda scores: scores.softmax(dim=-1),
            "Nothing is masked: row 0 looks at positions that are not written yet.",
        ),
        "wrong axis": (
            lambda scores: scores.masked_fill(
                future_mask(scores.size(-1)), -torch.inf
            ).softmax(dim=-2),
            "Your columns sum to one. The row is the position that looks, and it has"
            " one whole to share out: softmax over dim=-1.",
        ),
        "mask inverted": (
            lambda scores: softmax_with_wrong_mask(
                ~future_mask(scores.size(-1)), scores
            ),
            "Your mask is inverted: it hides the past and leaves the future. Fill where"
            " `triu(1)` is True.",
        ),
        "mask after softmax": (
            lambda scores: scores.softmax(dim=-1).tril(),
            "You masked after the softmax: the future took its share first, so your"
            " rows no longer sum to one. Mask the scores.",
        ),
        "diagonal masked": (
            lambda scores: softmax_with_wrong_mask(
                future_mask(scores.size(-1)).mT.logical_not(), scores
            ),
            "You also masked the diagonal (`triu(0)`): a position may look at itself."
            " Row 0 has nowhere else to look, and a softmax of nothing is NaN.",
        ),
        "finite mask value": (
            lambda scores: softmax_with_wrong_mask(
                future_mask(scores.size(-1)), scores, -10.0
            ),
            "Your mask is a finite number such as -10. Where scores are low as well,"
            " the future gets through. Only -inf is zero for certain.",
        ),
        "masked with zero": (
            lambda scores: softmax_with_wrong_mask(
                future_mask(scores.size(-1)), scores, 0.0
            ),
            "You set the future's scores to 0, and e⁰ is 1: a weight like any other."
            " Use -inf.",
        ),
    },
    praise="no weight on the future, and one whole to share in each row.",
    part="causal_softmax",
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


def reference_fading_mean(x: Tensor, fade: float) -> Tensor:
    """Solution: scores fall with the distance."""
    return reference_causal_softmax(-fade * distances(x.size(1))) @ x


def mistake_fading_mean_with_future(x: Tensor, fade: float) -> Tensor:
    """Mistake: the future is not masked."""
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
        "unmasked": (
            mistake_fading_mean_with_future,
            "The future takes part: mask it before the softmax.",
        ),
        "weights, not scores": (
            lambda x, fade: (torch.exp(-fade * distances(x.size(1))).tril()) @ x,
            "Your weights fade, but a row no longer sums to one: use softmax.",
        ),
    },
    praise="near is loud, far is faint, and with fade 0 it is the mean.",
)
