"""The exercises of lesson 06."""

from collections.abc import Callable

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise


def reference_split_heads(x: Tensor, heads: int) -> Tensor:
    """Solution: cut the width, then bring heads in front of time."""
    B, T, C = x.shape
    return x.reshape(B, T, heads, C // heads).transpose(1, 2)


def distinct_numbers(*shape: int) -> Tensor:
    """A tensor in which every number is different."""
    return torch.arange(float(torch.Size(shape).numel())).view(shape)


split_heads = Exercise(
    solution=reference_split_heads,
    inputs=lambda: [(distinct_numbers(1, 4, 6), 2), (distinct_numbers(2, 3, 8), 4)],
    mistakes={
        "view instead of transpose": (
            lambda x, heads: x.reshape(len(x), heads, x.size(1), -1),
            "The shape is right and the content is not: a view straight to (B, N, T, H)"
            " deals out the numbers in order, and mixes positions. Cut to (B, T, N, H),"
            " then transpose.",
        ),
        "not transposed": (
            lambda x, heads: x.reshape(*x.shape[:2], heads, -1),
            "You have (B, T, N, H). Swap T and N, so that each head sees a sequence.",
        ),
        "interleaved": (
            lambda x, heads: (
                x.reshape(*x.shape[:2], -1, heads).permute(0, 3, 1, 2).contiguous()
            ),
            "You dealt the C numbers out to the heads like cards. Head n gets a whole"
            " *slice*: view as (…, heads, C // heads), in this order.",
        ),
        "cut the other way": (
            lambda x, heads: x.unflatten(-1, (-1, heads)).transpose(1, 2),
            "You cut each C into C // N heads of size N: the heads are N, and each has"
            " the size C // N. View as (…, heads, C // heads).",
        ),
        "time and size swapped": (
            lambda x, heads: reference_split_heads(x, heads).mT,
            "Your last two dimensions are (H, T): time must come before the head size.",
        ),
    },
    praise="each head gets its own slice of every position.",
    part="split_heads",
)


def reference_merge_heads(x: Tensor) -> Tensor:
    """Solution: bring time back in front, then join the slices."""
    B, N, T, H = x.shape
    return x.transpose(1, 2).reshape(B, T, N * H)


merge_heads = Exercise(
    solution=reference_merge_heads,
    inputs=lambda: [(distinct_numbers(1, 2, 4, 3),), (distinct_numbers(2, 3, 3, 2),)],
    mistakes={
        "view instead of transpose": (
            lambda x: x.reshape(x.size(0), x.size(2), -1),
            "The shape is right and the content is not: you joined whole sequences of a"
            " head. Swap N and T back before you flatten.",
        ),
        "interleaved": (
            lambda x: x.permute(0, 2, 3, 1).reshape(x.size(0), x.size(2), -1),
            "The heads' numbers are dealt like cards. Head 0 comes first, whole, then"
            " head 1.",
        ),
        "averaged": (
            lambda x: x.mean(dim=1),
            "You averaged the heads. They are kept apart: put their answers side by"
            " side, (B, T, N · H).",
        ),
        "summed": (
            lambda x: x.sum(dim=1),
            "You added the heads up. Put their answers side by side, (B, T, N · H).",
        ),
    },
    praise="it undoes split_heads exactly.",
    part="merge_heads",
)

MixFunction = Callable[[Tensor], Tensor]


def running_sum_relu(x: Tensor) -> Tensor:
    """Mixes positions, and is not linear: adding before and after it differ."""
    return x.cumsum(dim=1).relu()


def reference_embed_and_mix(
    ids: Tensor, embed: Tensor, position_embedding: Tensor, mix: MixFunction
) -> Tensor:
    """Solution: token and position embeddings are added, then mixed."""
    return mix(embed[ids] + position_embedding[: ids.size(1)])


def embed_and_mix_inputs() -> list[tuple]:
    """Two batches; the context is longer than the text, and V than the context."""
    generator = torch.Generator().manual_seed(0)
    embed, position_embedding = (torch.randn(n, 4, generator=generator) for n in (9, 6))
    ids = torch.tensor([[5, 0, 3, 3], [2, 2, 1, 5]])
    return [
        (ids, embed, position_embedding, running_sum_relu),
        (ids[:, :3], embed, position_embedding, torch.tanh),
    ]


embed_and_mix = Exercise(
    solution=reference_embed_and_mix,
    inputs=embed_and_mix_inputs,
    mistakes={
        "position added after the block": (
            lambda ids, embed, position_embedding, mix: (
                mix(embed[ids]) + position_embedding[: ids.size(1)]
            ),
            "You added the positions after the mixing: the heads have already looked,"
            " and saw a bag. Add them before.",
        ),
        "no positions": (
            lambda ids, embed, position_embedding, mix: mix(embed[ids]),
            "The positions are never used.",
        ),
        "position of the character": (
            lambda ids, embed, position_embedding, mix: mix(
                embed[ids] + position_embedding[ids]
            ),
            "You looked up the position embedding by *character*. The row is the"
            " position in the sequence: 0, 1, … T − 1.",
        ),
        "last positions": (
            lambda ids, embed, position_embedding, mix: mix(
                embed[ids] + position_embedding[-ids.size(1) :]
            ),
            "You took the last T rows of the embedding. A text begins at position 0.",
        ),
        "multiplied": (
            lambda ids, embed, position_embedding, mix: mix(
                embed[ids] * position_embedding[: ids.size(1)]
            ),
            "You multiplied. Positions are *added*.",
        ),
        "not mixed": (
            lambda ids, embed, position_embedding, mix: (
                embed[ids] + position_embedding[: ids.size(1)]
            ),
            "`mix` is never called.",
        ),
    },
    praise="what stands where, before anybody looks.",
)
