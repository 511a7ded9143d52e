"""The exercises of lesson 05."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from gpt_lib.check.exercise import Exercise
from gpt_lib.check.shared_mistakes import (
    MASKED_SOFTMAX_MISTAKES,
    OVERFLOW_MESSAGE,
    SCORE_MISTAKES,
    SWAPPED_MISTAKES,
    build_into,
    future_mask,
    masked_softmax,
    mistake_overflowing_softmax,
    mode_mistakes,
    observe_mode,
)


def reference_attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """Solution: dot products over the root of the head size, masked, softmaxed."""
    return masked_softmax(scaled_scores(q, k))


def scaled_scores(q: Tensor, k: Tensor) -> Tensor:
    """Dot products of queries and keys (..., T, H) over the root of H, (..., T, T)."""
    return q @ k.mT / k.size(-1) ** 0.5


def attention_weights_inputs() -> list[tuple]:
    """Queries and keys to follow by hand, a batch of wide ones, and large ones."""
    generator = torch.Generator().manual_seed(0)
    by_hand = torch.tensor([[1.0, 0, 0, 2], [0, 2.0, 0, 0], [1.0, 1.0, 0, 1]])
    batch = [torch.randn(2, 5, 9, generator=generator) for _ in range(2)]
    large = [20 * torch.randn(4, 16, generator=generator) for _ in range(2)]
    return [(by_hand, by_hand.flip(1)), tuple(batch), tuple(large)]


# Mistakes with queries, keys and mask, whatever is made of the weights
WEIGHTS_MISTAKES = {
    **build_into(
        SCORE_MISTAKES | SWAPPED_MISTAKES,
        lambda mistake: lambda q, k: mistake(q, k, masked_softmax),
    ),
    **build_into(
        MASKED_SOFTMAX_MISTAKES,
        lambda mistake: lambda q, k: mistake(scaled_scores(q, k)),
    ),
}

attention_weights = Exercise(
    solution=reference_attention_weights,
    inputs=attention_weights_inputs,
    mistakes={
        **WEIGHTS_MISTAKES,
        "overflow": (
            lambda q, k: mistake_overflowing_softmax(
                scaled_scores(q, k).masked_fill(future_mask(q @ k.mT), -torch.inf)
            ),
            OVERFLOW_MESSAGE,
        ),
        "no softmax": (
            lambda q, k: scaled_scores(q, k).masked_fill(
                future_mask(q @ k.mT), -torch.inf
            ),
            "Those are scores. A softmax over each row makes weights of them.",
        ),
    },
    praise="scaled, causal, and one whole to share in each row.",
    part="attention_weights",
    tolerance=1e-4,  # what float32 leaves of large scores
)


def reference_head(x: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Solution: weights from queries and keys, a mix of values."""
    return reference_attention_weights(x @ query, x @ key) @ (x @ value)


def head_inputs() -> list[tuple]:
    """A width that is not the head size, one sequence and a batch."""
    generator = torch.Generator().manual_seed(0)
    return [
        tuple(torch.randn(size, generator=generator) for size in (shape, *[(6, 3)] * 3))
        for shape in ((1, 4, 6), (2, 5, 6))
    ]


def head_output_with_divisor(
    scale: float, x: Tensor, q: Tensor, k: Tensor, v: Tensor
) -> Tensor:
    """A head whose scores are divided by `scale`."""
    return masked_softmax((x @ q) @ (x @ k).mT / scale) @ (x @ v)


head = Exercise(
    solution=reference_head,
    inputs=head_inputs,
    mistakes={
        "scaled by the model width": (
            lambda x, query, key, value: head_output_with_divisor(
                x.size(-1) ** 0.5, x, query, key, value
            ),
            "You divided by the root of the model's width C. The dot product runs over"
            " the head size H: `key.size(1)`.",
        ),
        "keys handed over": (
            lambda x, query, key, value: reference_head(x, query, key, key),
            "You mixed keys. The key is the label on the spine, the value is the book:"
            " mix `x @ value`.",
        ),
        "queries handed over": (
            lambda x, query, key, value: reference_head(x, query, key, query),
            "You mixed queries. A query only asks: mix `x @ value`.",
        ),
        "unsoftmaxed": (
            lambda x, query, key, value: (
                ((x @ query) @ (x @ key).mT / key.size(1) ** 0.5).tril() @ (x @ value)
            ),
            "Your scores were never made into shares: softmax is missing.",
        ),
        "weights given back": (
            lambda x, query, key, value: reference_attention_weights(
                x @ query, x @ key
            ),
            "Those are the weights (B, T, T). Mix the values with them: `weights @ v`.",
        ),
        **build_into(
            WEIGHTS_MISTAKES,
            lambda weights: (
                lambda x, query, key, value: weights(x @ query, x @ key) @ (x @ value)
            ),
        ),
    },
    praise="a head: three tables, one softmax, no future.",
)


class ShiftedModel(nn.Module):
    """A model that looks at the id `offset` later, which is causal only for 0.

    With `only_first` nothing but position 0 looks ahead.
    """

    context, vocab_size = None, 4

    def __init__(
        self, offset: int, dropout: float = 0.0, only_first: bool = False
    ) -> None:
        super().__init__()
        self.offset, self.only_first = offset, only_first
        generator = torch.Generator().manual_seed(offset)
        self.logits = nn.Parameter(torch.randn(4, 4, generator=generator).tril())
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        seen = ids.roll(-self.offset, dims=1)
        if self.only_first:
            seen = torch.cat([seen[:, :1], ids[:, 1:]], dim=1)
        return self.dropout(self.logits[seen])


class LoweringModel(nn.Module):
    """A model whose logits fall where the next id is any but 0."""

    context, vocab_size = None, 4

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        next_ids = torch.cat([ids[:, 1:], torch.zeros_like(ids[:, :1])], dim=1)
        return -(next_ids > 0).float()[..., None].expand(-1, -1, self.vocab_size)


def future_leak_inputs() -> list[tuple]:
    """Two causal models, one with dropout, and four that see the future."""
    ids = torch.tensor([[0, 1, 2, 3, 0, 2], [3, 3, 1, 0, 2, 1]])
    models = [
        ShiftedModel(0),
        ShiftedModel(0, dropout=0.5).eval(),
        ShiftedModel(0, dropout=0.5),
        ShiftedModel(1),
        ShiftedModel(3),
        ShiftedModel(1, only_first=True),
    ]
    lowered = (LoweringModel(), torch.zeros_like(ids))
    return [*((model, ids) for model in models), lowered]


def observe_leak(leak: float, arguments: tuple) -> dict[str, bool]:
    """Whether a leak is found: how large it is depends on the ids that were tried."""
    observe = observe_mode("the test finds a leak")
    return observe(bool(leak > 1e-6), arguments)


def largest_change(
    model: nn.Module,
    ids: Tensor,
    first: int = 0,
    extra: int = 0,
    absolute: bool = True,
    step: int = 1,
) -> float:
    """The largest change of logits `first` … t - 1 + `extra` when id t changes."""
    logits, largest = model(ids), 0.0
    for t in range(1, ids.size(1)):
        changed_ids = ids.clone()
        changed_ids[:, t] = (ids[:, t] + step) % model.vocab_size
        change = model(changed_ids) - logits
        change = change.abs() if absolute else change
        largest = max(largest, change[:, min(first, t - 1) : t + extra].max().item())
    return largest


def leak_in_evaluation(
    model: nn.Module, ids: Tensor, measure: Callable[..., float] = largest_change
) -> float:
    """A leak as `measure` finds it, without dropout, in the model's own mode after."""
    was_training = model.training
    leak = measure(model.eval(), ids)
    model.train(was_training)
    return leak


def reference_future_leak(model: nn.Module, ids: Tensor) -> float:
    """Solution: no dropout, each position in turn, all logits before it."""
    return leak_in_evaluation(model, ids)


def change_of_last_id(model: nn.Module, ids: Tensor) -> float:
    """The largest change of logits before the last id when that one changes."""
    changed_ids = ids.clone()
    changed_ids[:, -1] = (ids[:, -1] + 1) % model.vocab_size
    return (model(changed_ids) - model(ids))[:, :-1].abs().max().item()


def change_of_followers(model: nn.Module, ids: Tensor, first: int = 1) -> float:
    """The largest change of logits t, t + 1, … when id t changes, from `first` on."""
    logits, changes = model(ids), []
    for t in range(first, ids.size(1)):
        changed_ids = ids.clone()
        changed_ids[:, t] = (ids[:, t] + 1) % model.vocab_size
        changes.append((model(changed_ids) - logits)[:, t:].abs().max().item())
    return max(changes)


FOLLOWERS_MESSAGE = (
    "Your test finds leaks in causal models, and misses some in models that see the"
    " future. What comes *before* the change must not react: `[:, :t]`."
)


def mistake_leak_with_dropout(model: nn.Module, ids: Tensor) -> float:
    """Mistake: dropout is on in a model that came in training mode."""
    return largest_change(model, ids)


future_leak = Exercise(
    solution=reference_future_leak,
    inputs=future_leak_inputs,
    observe=observe_leak,
    mistakes={
        "dropout left on": (
            mistake_leak_with_dropout,
            "An honest model with dropout leaks in your test: two runs differ by what"
            " was dropped. Call `model.eval()` first.",
        ),
        "own position": (
            lambda model, ids: leak_in_evaluation(
                model, ids, partial(largest_change, extra=1)
            ),
            "Even a causal model without dropout leaks in your test. Do you compare the"
            " position that you changed, or later ones? They may react; only what comes"
            " *before* must not: `[:, :t]`.",
        ),
        "what follows": (
            lambda model, ids: leak_in_evaluation(model, ids, change_of_followers),
            FOLLOWERS_MESSAGE,
        ),
        "what follows, from 0 on": (
            lambda model, ids: leak_in_evaluation(
                model, ids, partial(change_of_followers, first=0)
            ),
            FOLLOWERS_MESSAGE,
        ),
        "only the neighbour": (
            lambda model, ids: leak_in_evaluation(
                model, ids, partial(largest_change, first=10**6)
            ),
            "Your test misses a model that peeks three places ahead. Do you compare all"
            " that comes before the change, `[:, :t]`?",
        ),
        "signed": (
            lambda model, ids: leak_in_evaluation(
                model, ids, partial(largest_change, absolute=False)
            ),
            "Your test misses a model whose logits only fall. A logit may move down as"
            " well as up: is there an `abs()` before `max()`? And are the changed ids"
            " others for certain?",
        ),
        "nothing found": (
            lambda model, ids: leak_in_evaluation(
                model, ids, partial(largest_change, step=0)
            ),
            "Every model passes your test, though some see the future. Are the changed"
            " ids really others, in a copy (`clone`), and is the largest change what"
            " you give back?",
        ),
        "only the last": (
            lambda model, ids: leak_in_evaluation(model, ids, change_of_last_id),
            "Your test misses a model in which only position 0 looks ahead. Do you"
            " change each position in turn, and keep the largest change of all?",
        ),
        **mode_mistakes(reference_future_leak),
    },
    praise="no model can peek past this test.",
    part="future_leak",
)
