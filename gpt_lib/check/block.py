"""The exercises of lesson 07."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise


def reference_layer_norm(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, dim: int = -1
) -> Tensor:
    """Solution: mean 0 and variance 1 over the features, then weight and bias."""
    mean = x.mean(dim=dim, keepdim=True)
    variance = (x - mean).square().mean(dim=dim, keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


def layer_norm_inputs() -> list[tuple]:
    """A row to follow by hand, a batch, and a row of equal numbers."""
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(4, generator=generator) for _ in range(2))
    batch = 3 + 2 * torch.randn(2, 3, 4, generator=generator)
    # A large eps, so that its place shows.
    return [
        (torch.tensor([[1.0, 2.0, 3.0, 6.0]]), torch.ones(4), torch.zeros(4), 1e-5),
        (batch, weight, bias, 0.5),
        (torch.full((1, 4), 7.0), weight, bias, 1e-5),
    ]


def standard_deviation(x: Tensor, unbiased: bool = False) -> Tensor:
    """The standard deviation over the features."""
    return x.var(dim=-1, keepdim=True, unbiased=unbiased).sqrt()


def subtract_mean(x: Tensor) -> Tensor:
    """The features without their mean."""
    return x - x.mean(dim=-1, keepdim=True)


layer_norm = Exercise(
    solution=reference_layer_norm,
    inputs=layer_norm_inputs,
    mistakes={
        "eps outside the root": (
            lambda x, weight, bias, eps: (
                subtract_mean(x) / (standard_deviation(x) + eps) * weight + bias
            ),
            "You added eps after the root. PyTorch adds it to the variance, *inside*.",
        ),
        "unbiased variance": (
            lambda x, weight, bias, eps: (
                subtract_mean(x)
                / (standard_deviation(x, True).square() + eps).sqrt()
                * weight
                + bias
            ),
            "Your variance is divided by C − 1, which is what `var` and `std` do on"
            " their own. LayerNorm divides by C: unbiased=False.",
        ),
        "no eps": (
            lambda x, weight, bias, eps: (
                subtract_mean(x) / standard_deviation(x) * weight + bias
            ),
            "Without eps a row of equal numbers gives 0/0, which is NaN.",
        ),
        "no mean": (
            lambda x, weight, bias, eps: (
                x / (standard_deviation(x).square() + eps).sqrt() * weight + bias
            ),
            "You did not subtract the mean.",
        ),
        "no weight and bias": (
            lambda x, weight, bias, eps: (
                subtract_mean(x) / (standard_deviation(x).square() + eps).sqrt()
            ),
            "`weight` and `bias` are not used: multiply by one, then add the other.",
        ),
        "bias first": (
            lambda x, weight, bias, eps: (
                (
                    subtract_mean(x) / (standard_deviation(x).square() + eps).sqrt()
                    + bias
                )
                * weight
            ),
            "You added the bias before multiplying. First weight, then bias.",
        ),
        "wrong axis": (
            lambda x, weight, bias, eps: reference_layer_norm(
                x, weight, bias, eps, dim=-2
            ),
            "You normed over time: each position is normed on its own, over its C"
            " features, dim=-1.",
        ),
        "divided by variance": (
            lambda x, weight, bias, eps: (
                subtract_mean(x) / (standard_deviation(x).square() + eps) * weight
                + bias
            ),
            "You divided by the variance: the root is missing.",
        ),
    },
    praise="mean 0, loudness 1, and then whatever weight and bias have learnt.",
)

LayerFunction = Callable[[Tensor], Tensor]


def reference_block(
    x: Tensor,
    attention: LayerFunction,
    mlp: LayerFunction,
    attention_norm: LayerFunction,
    mlp_norm: LayerFunction,
) -> Tensor:
    """Solution: each part gets a normed copy and adds to the stream."""
    x = x + attention(attention_norm(x))
    return x + mlp(mlp_norm(x))


def block_inputs() -> list[tuple]:
    """Four functions that do not commute."""
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    parts = (
        lambda x: x.cumsum(dim=1) / 2,
        lambda x: (2 * x + 0.3).relu(),
        lambda x: x - x.mean(dim=-1, keepdim=True),
        lambda x: x / (1 + x.abs()),
    )
    return [(x, *parts), (x[:1, :2], parts[1], parts[0], parts[3], parts[2])]


block = Exercise(
    solution=reference_block,
    inputs=block_inputs,
    mistakes={
        "residual forgotten": (
            lambda x, attention, mlp, attention_norm, mlp_norm: mlp(
                mlp_norm(attention(attention_norm(x)))
            ),
            "Nothing is added: each part *replaces* the stream. Write x = x + part(…).",
        ),
        "first residual forgotten": (
            lambda x, attention, mlp, attention_norm, mlp_norm: (
                attention(attention_norm(x))
                + mlp(mlp_norm(attention(attention_norm(x))))
            ),
            "The attention replaces the stream; only the MLP adds to it.",
        ),
        "second residual forgotten": (
            lambda x, attention, mlp, attention_norm, mlp_norm: mlp(
                mlp_norm(x + attention(attention_norm(x)))
            ),
            "The MLP replaces the stream; only the attention adds to it.",
        ),
        "normed stream": (
            lambda x, attention, mlp, attention_norm, mlp_norm: (
                lambda a: mlp_norm(a) + mlp(mlp_norm(a))
            )(attention_norm(x) + attention(attention_norm(x))),
            "You also normed the stream itself. Only the part's own copy is normed, or"
            " the straight way down for the gradient is gone.",
        ),
        "norm after": (
            lambda x, attention, mlp, attention_norm, mlp_norm: (
                lambda a: mlp_norm(a + mlp(a))
            )(attention_norm(x + attention(x))),
            "You normed after each part, as in 2017. GPT-2 norms *before* it, and"
            " leaves the stream alone.",
        ),
        "at the same time": (
            lambda x, attention, mlp, attention_norm, mlp_norm: (
                x + attention(attention_norm(x)) + mlp(mlp_norm(x))
            ),
            "Both parts read the old stream. The MLP should think about what the"
            " attention has just added.",
        ),
        "no norms": (
            lambda x, attention, mlp, attention_norm, mlp_norm: (lambda a: a + mlp(a))(
                x + attention(x)
            ),
            "The norms are never used.",
        ),
        "thought first": (
            lambda x, attention, mlp, attention_norm, mlp_norm: reference_block(
                x, mlp, attention, mlp_norm, attention_norm
            ),
            "You think first and talk second. Communicate, then compute.",
        ),
    },
    praise="two parts, each reading a normed copy, both adding to the stream.",
)


def reference_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Solution: zeros and a larger rest in training; unchanged in evaluation."""
    if not training:
        return x
    return x * (torch.rand_like(x) >= p) / (1 - p)


dropout = Exercise(
    solution=reference_dropout,
    inputs=lambda: [
        (torch.arange(1.0, 41.0).view(5, 8), 0.3, True),
        (torch.arange(1.0, 41.0).view(5, 8), 0.3, False),
        (torch.arange(1.0, 7.0), 0.0, True),
    ],
    mistakes={
        "dropout left on": (
            lambda x, p, training: reference_dropout(x, p, True),
            "You drop outside training as well: the model would be judged, and would"
            " write, with holes in it.",
        ),
        "not scaled": (
            lambda x, p, training: (
                reference_dropout(x, p, training) * (1 - p * training)
            ),
            "You did not divide by 1 − p, so in training the stream is quieter than in"
            " evaluation.",
        ),
        "scaled in evaluation": (
            lambda x, p, training: (
                x * (torch.rand_like(x) >= p) if training else x * (1 - p)
            ),
            "You scaled in evaluation instead of in training. It evens out, but PyTorch"
            " and everybody since scale in training, so that evaluation is untouched.",
        ),
        "kept with probability p": (
            lambda x, p, training: (
                x * (torch.rand_like(x) < p) / max(p, 1e-9) if training else x
            ),
            "You kept the share p. p is the chance to be *dropped*.",
        ),
        "whole rows": (
            lambda x, p, training: (
                x * (torch.rand_like(x[..., :1]) >= p) / (1 - p) if training else x
            ),
            "You dropped whole rows: each single number has its own draw.",
        ),
    },
    praise="holes in training, none otherwise, and the same mean.",
)


def reference_gelu(x: Tensor) -> Tensor:
    """Solution: x times the probability that a normal draw is below x."""
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


gelu = Exercise(
    solution=reference_gelu,
    inputs=lambda: [(torch.linspace(-4, 4, 17),), (torch.tensor([[0.5, -0.5]]),)],
    mistakes={
        "tanh": (
            lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
            "That is the approximation with tanh: close, but off in the fourth decimal."
            " Use `torch.erf`.",
        ),
        "sigmoid": (
            lambda x: x * torch.sigmoid(x),
            "That is x · sigmoid(x), known as SiLU. GELU uses the normal distribution.",
        ),
        "no root": (
            lambda x: x * (1 + torch.erf(x)) / 2,
            "`erf` belongs to a narrower bell: divide x by √2 inside it.",
        ),
        "only the chance": (
            lambda x: (1 + torch.erf(x / math.sqrt(2))) / 2,
            "That is the chance itself. GELU is x *times* it.",
        ),
        "from -1 to 1": (
            lambda x: x * torch.erf(x / math.sqrt(2)),
            "`erf` goes from −1 to 1. A chance goes from 0 to 1: (1 + erf) / 2.",
        ),
        "relu": (
            lambda x: x.relu(),
            "That is ReLU: flat on the left.",
        ),
    },
    praise="round, and equal to PyTorch's.",
    tolerance=1e-6,
)
