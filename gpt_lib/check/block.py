"""The exercises of lesson 07."""

import math
from collections.abc import Callable
from typing import Any

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
        "mean square": (
            lambda x, weight, bias, eps: (
                x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt() * weight + bias
            ),
            "You divided by the root of the mean *square*, and the mean is still there:"
            " that is RMSNorm (lesson 13). Subtract the mean first.",
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
            "You normed over the wrong dimension: each position is normed on its own,"
            " over its C features, dim=-1.",
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
        "only the attention": (
            lambda x, attention, mlp, attention_norm, mlp_norm: (
                x + attention(attention_norm(x))
            ),
            "The MLP is never called, or what it gives is not used.",
        ),
        "only the MLP": (
            lambda x, attention, mlp, attention_norm, mlp_norm: x + mlp(mlp_norm(x)),
            "The attention is never called, or what it gives is not used.",
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


def observe_dropout(result: Tensor, arguments: tuple) -> dict[str, Any]:
    """What makes a result a dropout of x (rows, columns), whatever numbers were drawn.

    The fraction that is dropped is rounded: for 4,000 draws it is right for certain.
    """
    x = arguments[0]
    dropped = result == 0
    left = (result / x)[~dropped]
    return {
        "only some rows are dropped, and whole": are_only_some(dropped.all(dim=1)),
        "only some columns are dropped, and whole": are_only_some(dropped.all(dim=0)),
        "the fraction that is dropped": round(dropped.double().mean().item(), 1),
        "the factor of the others": (
            [left.min().item(), left.max().item()] if len(left) else []
        ),
    }


def are_only_some(flags: Tensor) -> bool:
    """Whether some flags are True, and others are not."""
    return bool(flags.any()) and not bool(flags.all())


def dropout_inputs() -> list[tuple]:
    """Many numbers, none of them 0, in training and in evaluation."""
    x = torch.arange(1.0, 4001.0).view(80, 50)
    return [(x, 0.3, True), (x, 0.3, False), (x, 0.8, True), (x[:2, :3], 0.0, True)]


dropout = Exercise(
    solution=reference_dropout,
    inputs=dropout_inputs,
    observe=observe_dropout,
    mistakes={
        "dropout left on": (
            lambda x, p, training: reference_dropout(x, p, True),
            "You drop outside training as well: the model would be judged, and would"
            " write, with holes in it.",
        ),
        "never": (
            lambda x, p, training: x,
            "No number is 0 after your dropout, not even in training.",
        ),
        "training inverted": (
            lambda x, p, training: reference_dropout(x, p, not training),
            "You drop in evaluation, and not in training: it is the other way round.",
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
        "whole columns": (
            lambda x, p, training: (
                x * (torch.rand_like(x[0]) >= p) / (1 - p) if training else x
            ),
            "You dropped whole columns: each single number has its own draw.",
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
        "multiplied": (
            lambda x, p, training: (
                x * (torch.rand_like(x) >= p) * (1 - p) if training else x
            ),
            "You multiplied by 1 − p, so what is left gets smaller still. Divide.",
        ),
        "root": (
            lambda x, p, training: (
                x * (torch.rand_like(x) >= p) / (1 - p) ** 0.5 if training else x
            ),
            "You divided by the root of 1 − p. Divide by 1 − p: the *mean* shall stay.",
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
        "not halved": (
            lambda x: x * (1 + torch.erf(x / math.sqrt(2))),
            "1 + erf goes from 0 to 2, and a chance from 0 to 1: divide by 2.",
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
)
