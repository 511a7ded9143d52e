"""The exercises of lesson 04."""

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise


def future_of(T: int) -> Tensor:
    """True where a row would look ahead, (T, T)."""
    return torch.ones(T, T, dtype=torch.bool).triu(1)


def masked_softmax(scores: Tensor) -> Tensor:
    """Solution: shut the future out, then share out one whole a row."""
    future = future_of(scores.size(-1)).to(scores.device)
    return scores.masked_fill(future, -torch.inf).softmax(dim=-1)


def with_mask(mask: Tensor, scores: Tensor, value: float = -torch.inf) -> Tensor:
    """Softmax of scores (..., T, T) after `value` was put where `mask` is True."""
    return scores.masked_fill(mask.to(scores.device), value).softmax(dim=-1)


def score_inputs() -> list[tuple]:
    """A table that can be followed by hand, a batch, and scores that are large."""
    dice = torch.Generator().manual_seed(0)
    large = torch.tensor([[0.0, 90.0, 9.0], [0.0, 0.0, 80.0], [5.0, 60.0, 62.0]])
    return [
        (torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 1.0, 0.0]]),),
        (torch.randn(2, 4, 4, generator=dice),),
        (large,),
    ]


causal_softmax = Exercise(
    solution=masked_softmax,
    inputs=score_inputs,
    mistakes={
        "no mask": (
            lambda scores: scores.softmax(dim=-1),
            "Nothing is masked: row 0 looks at positions that are not written yet.",
        ),
        "wrong axis": (
            lambda scores: scores.masked_fill(
                future_of(scores.size(-1)), -torch.inf
            ).softmax(dim=-2),
            "Your columns sum to one. The row is the position that looks, and it has"
            " one whole to share out: softmax over dim=-1.",
        ),
        "mask inverted": (
            lambda scores: with_mask(~future_of(scores.size(-1)), scores),
            "Your mask is inverted: it hides the past and leaves the future. Fill where"
            " `triu(1)` is True.",
        ),
        "mask after softmax": (
            lambda scores: scores.softmax(dim=-1).tril(),
            "You masked after the softmax: the future took its share first, so your"
            " rows no longer sum to one. Mask the scores.",
        ),
        "diagonal masked": (
            lambda scores: with_mask(
                future_of(scores.size(-1)).mT.logical_not(), scores
            ),
            "You also masked the diagonal (`triu(0)`): a position may look at itself."
            " Row 0 has nowhere else to look, and a softmax of nothing is NaN.",
        ),
        "finite mask value": (
            lambda scores: with_mask(future_of(scores.size(-1)), scores, -10.0),
            "Your mask is a finite number such as -10. Where scores are low as well,"
            " the future gets through. Only -inf is zero for certain.",
        ),
        "masked with zero": (
            lambda scores: with_mask(future_of(scores.size(-1)), scores, 0.0),
            "You set the future's scores to 0, and e⁰ is 1: a weight like any other."
            " Use -inf.",
        ),
    },
    praise="no weight on the future, and one whole to share in each row.",
    part="causal_softmax",
)


def mean_so_far(x: Tensor) -> Tensor:
    """Solution: the sum so far, divided by how many."""
    seen = torch.arange(1, x.size(-2) + 1, device=x.device)[:, None]
    return x.cumsum(dim=-2) / seen


def mean_of_others(x: Tensor) -> Tensor:
    """Mistake: the position itself is left out."""
    before = torch.cat([torch.zeros_like(x[..., :1, :]), x[..., :-1, :]], dim=-2)
    return before.cumsum(-2) / torch.arange(x.size(-2)).clamp(min=1)[:, None]


past_mean = Exercise(
    solution=mean_so_far,
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
            lambda x: mean_so_far(x.flip(-2)).flip(-2),
            "You averaged the future: position t sees t, t + 1, … Use `tril`, the lower"
            " left triangle.",
        ),
        "without itself": (
            mean_of_others,
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
    steps = torch.arange(T)
    return (steps[:, None] - steps).float()


def fading(x: Tensor, fade: float) -> Tensor:
    """Solution: scores fall with the distance."""
    return masked_softmax(-fade * distances(x.size(1))) @ x


def fading_unmasked(x: Tensor, fade: float) -> Tensor:
    """Mistake: the future takes part."""
    return (-fade * distances(x.size(1)).abs()).softmax(-1) @ x


fading_mean = Exercise(
    solution=fading,
    inputs=lambda: [
        (torch.tensor([[[8.0], [4.0], [0.0], [2.0]]]), 0.7),
        (torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)), 0.0),
        (torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1)), 2.0),
    ],
    mistakes={
        "growing": (
            lambda x, fade: fading(x, -fade),
            "Your oldest row has the largest say. The score of a row d positions back"
            " is *minus* fade · d, and row − column is positive for the past.",
        ),
        "no fade": (
            lambda x, fade: fading(x, 0.0),
            "That is the plain mean: `fade` has no effect.",
        ),
        "unmasked": (
            fading_unmasked,
            "The future takes part: mask it before the softmax.",
        ),
        "weights, not scores": (
            lambda x, fade: (torch.exp(-fade * distances(x.size(1))).tril()) @ x,
            "Your weights fade, but a row no longer sums to one: use softmax.",
        ),
    },
    praise="near is loud, far is faint, and with fade 0 it is the mean.",
)
