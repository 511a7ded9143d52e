"""The exercises of lesson 13."""

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise


def reference_rms_norm(x: Tensor) -> Tensor:
    """Solution: divided by the root of the mean square."""
    return x / x.square().mean(dim=-1, keepdim=True).sqrt()


rms_norm = Exercise(
    solution=reference_rms_norm,
    inputs=lambda: [
        (torch.tensor([3.0, 4.0]),),
        (torch.tensor([[1.0, 2, 3, 4], [-5, 0, 5, 10]]),),
        (torch.arange(1.0, 13).view(2, 2, 3),),
    ],
    mistakes={
        "length 1": (
            lambda x: x / x.norm(dim=-1, keepdim=True),
            "Your vectors have length 1. The *mean* of the squares shall be 1, so the"
            " length is √C.",
        ),
        "LayerNorm": (
            lambda x: reference_rms_norm(x - x.mean(dim=-1, keepdim=True)),
            "You took the mean away first: that is LayerNorm without its weights.",
        ),
        "no root": (
            lambda x: x / x.square().mean(dim=-1, keepdim=True),
            "You divided by the mean square; take its root.",
        ),
        "multiplied": (
            lambda x: x * x.square().mean(dim=-1, keepdim=True).sqrt(),
            "You multiplied by the root: divide.",
        ),
        "over everything": (
            lambda x: x / x.square().mean().sqrt(),
            "One number for all vectors: each has a scale of its own (dim=-1).",
        ),
        "mean of sizes": (
            lambda x: x / x.abs().mean(dim=-1, keepdim=True),
            "That is the mean size; the squares are asked for.",
        ),
    },
    praise="mean square 1, direction as it was.",
)


def reference_apply_rotary(
    x: Tensor, angle: Tensor, first: int = 0, sign: float = 1.0
) -> Tensor:
    """Solution: row t is turned by t times the angles."""
    angles = torch.arange(first, first + len(x))[:, None] * angle * sign
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def mistake_neighbours_paired(x: Tensor, angle: Tensor) -> Tensor:
    """Mistake: component 2i turns with 2i + 1."""
    angles = torch.arange(len(x))[:, None] * angle
    a, b = x[:, 0::2], x[:, 1::2]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(1)


def mistake_both_sines_positive(x: Tensor, angle: Tensor) -> Tensor:
    """Mistake: both halves get plus."""
    angles = torch.arange(len(x))[:, None] * angle
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([a * cos + b * sin, b * cos + a * sin], dim=-1)


def mistake_all_turned_once(x: Tensor, angle: Tensor) -> Tensor:
    """Mistake: every row is turned as the row at position 1 should be."""
    rows = [reference_apply_rotary(row[None], angle, first=1) for row in x]
    return torch.cat(rows)


def apply_rotary_inputs(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Vectors (T, H), and an angle for each pair of components (H/2,)."""
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(count, size, generator=generator)
    return x, 0.7 * 0.5 ** torch.arange(size // 2)


apply_rotary = Exercise(
    solution=reference_apply_rotary,
    inputs=lambda: [apply_rotary_inputs(3, 2), apply_rotary_inputs(5, 8)],
    mistakes={
        "the other way": (
            lambda x, angle: reference_apply_rotary(x, angle, sign=-1.0),
            "You turn the other way round: the minus belongs to the first half.",
        ),
        "from one": (
            lambda x, angle: reference_apply_rotary(x, angle, first=1),
            "The first row has position 0, and does not turn.",
        ),
        "neighbours": (
            mistake_neighbours_paired,
            "You paired neighbours, 2i with 2i + 1; component i turns with i + H/2.",
        ),
        "halves swapped": (
            lambda x, angle: reference_apply_rotary(x, angle).roll(x.size(1) // 2, -1),
            "Your two halves are swapped: first comes a cos − b sin.",
        ),
        "position forgotten": (
            mistake_all_turned_once,
            "Every row turns by the same angles. Row t turns by t times as much.",
        ),
        "longer": (
            mistake_both_sines_positive,
            "Your vectors change their length: one of the two sines is negative.",
        ),
        "all alike": (
            lambda x, angle: reference_apply_rotary(x, angle[:1].expand_as(angle)),
            "Every pair turns at the speed of the first; each has its own.",
        ),
    },
    praise="positions as angles: only their difference is left in a score.",
)


def reference_repeat_kv(keys: Tensor, heads: int) -> Tensor:
    """Solution: neighbouring query heads share a key head."""
    return keys.repeat_interleave(heads // keys.size(1), dim=1)


repeat_kv = Exercise(
    solution=reference_repeat_kv,
    inputs=lambda: [
        (torch.arange(24.0).view(1, 2, 3, 4), 4),
        (torch.arange(12.0).view(2, 3, 1, 2), 6),
        (torch.arange(8.0).view(1, 2, 2, 2), 2),
    ],
    mistakes={
        "alternating": (
            lambda keys, heads: keys.repeat(1, heads // keys.size(1), 1, 1),
            "Your copies go 0, 1, 0, 1; neighbours share: 0, 0, 1, 1.",
        ),
        "too many": (
            lambda keys, heads: keys.repeat_interleave(heads, dim=1),
            "Each key head is copied `heads` times; together there must be `heads`.",
        ),
        "along time": (
            lambda keys, heads: keys.repeat_interleave(heads // keys.size(1), dim=2),
            "You repeated positions; the heads are dimension 1.",
        ),
        "the first for all": (
            lambda keys, heads: keys[:, :1].expand(-1, heads, -1, -1),
            "Every query head gets key head 0.",
        ),
        "as they are": (
            lambda keys, heads: keys,
            "There are still K heads; every query head needs one.",
        ),
    },
    praise="fewer keys to cache, and every query head has one.",
)
