"""The exercises of lesson 12."""

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise
from gpt_lib.check.shared_mistakes import SCORE_MISTAKES, build_into


def reference_attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Solution: the new position attends to all keys."""
    scores = query @ keys.mT / keys.size(-1) ** 0.5
    return scores.softmax(dim=-1) @ values


def mistake_mask_of_a_whole_text(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Mistake: the causal mask of a whole text, applied to a single row."""
    scores = query @ keys.mT / keys.size(-1) ** 0.5
    future = torch.ones(query.size(1), keys.size(1), dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(dim=-1) @ values


def plain_softmax(scores: Tensor) -> Tensor:
    """A softmax over the keys, none of which is masked."""
    return scores.softmax(dim=-1)


def attend_inputs() -> list[tuple[Tensor, Tensor, Tensor]]:
    """A new query, and keys and values of three lengths."""
    generator = torch.Generator().manual_seed(3)
    return [
        tuple(torch.randn(2, n, 5, generator=generator) for n in (1, length, length))
        for length in (1, 3, 6)
    ]


attend = Exercise(
    solution=reference_attend,
    inputs=attend_inputs,
    mistakes={
        "masked": (
            mistake_mask_of_a_whole_text,
            "You masked the future, and the mask of a single row leaves the first key"
            " only. All keys are in the past: no mask.",
        ),
        **build_into(
            SCORE_MISTAKES,
            lambda mistake: lambda q, k, v: mistake(q, k, plain_softmax) @ v,
        ),
        "no softmax": (
            lambda q, k, v: (q @ k.mT / k.size(-1) ** 0.5) @ v,
            "Your scores were never made into weights: softmax is missing.",
        ),
        "not divided by the sum": (
            lambda q, k, v: (q @ k.mT / k.size(-1) ** 0.5).exp() @ v,
            "The exponentials of your scores do not sum to 1: divide by their sum.",
        ),
        "weights given back": (
            lambda q, k, v: (q @ k.mT / k.size(-1) ** 0.5).softmax(dim=-1),
            "Those are the weights (N, 1, T). Mix the values with them: `@ values`.",
        ),
        "plain mean": (
            lambda q, k, v: v.mean(dim=1, keepdim=True),
            "That is the mean of all values: the query has no say.",
        ),
        "wrong axis": (
            lambda q, k, v: (q @ k.mT / k.size(-1) ** 0.5).softmax(dim=-2) @ v,
            "Your softmax runs over the queries; the weights of the keys must add up"
            " to 1.",
        ),
        "without itself": (
            lambda q, k, v: (
                reference_attend(q, k[:, :-1], v[:, :-1])
                if k.size(1) > 1
                else reference_attend(q, k, v)
            ),
            "You left out the new position's own key and value.",
        ),
        "keys mixed": (
            lambda q, k, v: reference_attend(q, k, k),
            "You mixed keys; the values are what is gathered.",
        ),
    },
    praise="one row of the table of scores, and no other was computed.",
)


def reference_cache_bytes(
    depth: int, heads: int, head_size: int, context: int, rows: int
) -> int:
    """Solution: a key and a value, two bytes a number."""
    return 2 * depth * heads * head_size * context * rows * 2


cache_bytes = Exercise(
    solution=reference_cache_bytes,
    inputs=lambda: [(6, 4, 32, 100, 1), (32, 16, 96, 4000, 5), (1, 1, 1, 1, 1)],
    mistakes={
        "keys only": (
            lambda *shape: reference_cache_bytes(*shape) // 2,
            "Half of it: keys and values are cached, and a number has two bytes.",
        ),
        "float32": (
            lambda *shape: 2 * reference_cache_bytes(*shape),
            "That is float32; float16 has two bytes.",
        ),
        "a quarter": (
            lambda *shape: reference_cache_bytes(*shape) // 4,
            "A quarter of it: keys *and* values are cached, and a number in float16 has"
            " two bytes.",
        ),
        "a number for each pair": (
            lambda depth, heads, head_size, context, rows: (
                reference_cache_bytes(depth, heads, head_size, context, rows) * context
            ),
            "The cache holds a vector for each position, not a number for each pair.",
        ),
        "one head": (
            lambda depth, heads, head_size, context, rows: reference_cache_bytes(
                depth, 1, head_size, context, rows
            ),
            "Each head has keys and values of its own.",
        ),
        "one block": (
            lambda depth, *shape: reference_cache_bytes(1, *shape),
            "Each block has a cache of its own.",
        ),
        "one row": (
            lambda depth, heads, head_size, context, rows: reference_cache_bytes(
                depth, heads, head_size, context, 1
            ),
            "Each row of the batch is another text, with another cache.",
        ),
    },
    praise="now you know what fills a server's GPU.",
)


def reference_cached_prefix_length(cached: list[int], ids: list[int]) -> int:
    """Solution: up to the first difference, and one at least is read."""
    count = 0
    for old, new in zip(cached, ids[:-1]):
        if old != new:
            break
        count += 1
    return count


cached_prefix_length = Exercise(
    solution=reference_cached_prefix_length,
    inputs=lambda: [
        ([1, 2, 3], [1, 2, 3, 4]),
        ([1, 2, 3], [1, 2, 3]),
        ([1, 2], [1, 2, 3, 4, 5]),
        ([1, 2, 3, 4], [1, 9, 3, 4, 5]),
        ([1, 2, 3, 4, 5], [1, 2]),
        ([2, 3, 4], [3, 4, 5]),
        ([], [7]),
    ],
    mistakes={
        "all of them": (
            lambda cached, ids: reference_cached_prefix_length(cached, [*ids, -1]),
            "Where nothing is new you read nothing, and have no logits: the last id is"
            " always read.",
        ),
        "behind the difference": (
            lambda cached, ids: sum(a == b for a, b in zip(cached, ids[:-1])),
            "You also count what agrees behind a difference; but its keys were computed"
            " after another past.",
        ),
        "anywhere": (
            lambda cached, ids: sum(id in cached for id in ids[:-1]),
            "An id that stands elsewhere has another position: compare place by place.",
        ),
        "the shorter length": (
            lambda cached, ids: min(len(cached), len(ids) - 1),
            "You never compare: the texts may differ.",
        ),
        "one less": (
            lambda cached, ids: max(0, reference_cached_prefix_length(cached, ids) - 1),
            "One too few: everything before the first difference can stay.",
        ),
    },
    praise="a branch costs only what is behind the fork.",
)
