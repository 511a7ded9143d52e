"""The exercises of lesson 05."""

import torch
from torch import Tensor, nn

from gpt_lib.check.exercise import Exercise


def future_mask(scores: Tensor) -> Tensor:
    """True where the column lies in the row's future, (T, T)."""
    T = scores.size(-1)
    return torch.ones(T, T, dtype=torch.bool, device=scores.device).triu(1)


def masked_softmax(scores: Tensor) -> Tensor:
    """Scores (..., T, T) -> weights that sum to one over the past of each row."""
    return scores.masked_fill(future_mask(scores), -torch.inf).softmax(dim=-1)


def reference_attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """Solution: dot products over the root of the head size, masked, softmaxed."""
    return masked_softmax(q @ k.mT / k.size(-1) ** 0.5)


def attention_weights_inputs() -> list[tuple]:
    """Queries and keys to follow by hand, a batch of wide ones, and large ones."""
    generator = torch.Generator().manual_seed(0)
    by_hand = torch.tensor([[1.0, 0, 0, 2], [0, 2.0, 0, 0], [1.0, 1.0, 0, 1]])
    batch = [torch.randn(2, 5, 9, generator=generator) for _ in range(2)]
    large = [20 * torch.randn(4, 16, generator=generator) for _ in range(2)]
    return [(by_hand, by_hand.flip(1)), tuple(batch), tuple(large)]


def mistake_softmax_over_the_future(scores: Tensor) -> Tensor:
    """Mistake: the past is masked, not the future."""
    return scores.masked_fill(~future_mask(scores), -torch.inf).softmax(dim=-1)


def mistake_softmax_with_finite_mask(scores: Tensor) -> Tensor:
    """Mistake: a mask value that other scores may be below."""
    return scores.masked_fill(future_mask(scores), -9.0).softmax(dim=-1)


def mistake_softmax_without_itself(scores: Tensor) -> Tensor:
    """Mistake: a position does not attend to itself."""
    mask = torch.ones_like(scores, dtype=torch.bool).triu(0)
    return scores.masked_fill(mask, -torch.inf).softmax(dim=-1)


def root_of_head_size(k: Tensor) -> float:
    """The root of the last size of k (..., T, H)."""
    return k.size(-1) ** 0.5


SCORE_MISTAKES = {
    "no root": (
        lambda q, k: masked_softmax(q @ k.mT),
        "Your scores are not divided by the root of H: the wider the head, the louder"
        " they are, until the softmax picks one key and is deaf to all others.",
    ),
    "divided by H": (
        lambda q, k: masked_softmax(q @ k.mT / k.size(-1)),
        "You divided by H. A sum of H random products grows like the *root* of H.",
    ),
    "scaled after softmax": (
        lambda q, k: masked_softmax(q @ k.mT) / root_of_head_size(k),
        "You divided the weights, so a row no longer sums to one. Divide the scores.",
    ),
    "wrong axis": (
        lambda q, k: (
            (q @ k.mT / root_of_head_size(k))
            .masked_fill(future_mask(q @ k.mT), -torch.inf)
            .softmax(dim=-2)
        ),
        "Your columns sum to one. Each *query* has one whole to share out: the keys run"
        " along dim=-1.",
    ),
    "queries and keys swapped": (
        lambda q, k: masked_softmax(k @ q.mT / root_of_head_size(k)),
        "Queries and keys are swapped: row t must belong to the query of position t.",
    ),
    "no mask": (
        lambda q, k: (q @ k.mT / root_of_head_size(k)).softmax(dim=-1),
        "Nothing is masked: row 0 looks at positions that are not written yet.",
    ),
    "mask inverted": (
        lambda q, k: mistake_softmax_over_the_future(q @ k.mT / root_of_head_size(k)),
        "Your mask is inverted: it hides the past and leaves the future.",
    ),
    "mask after softmax": (
        lambda q, k: (q @ k.mT / root_of_head_size(k)).softmax(dim=-1).tril(),
        "You masked after the softmax: the future took its share first, so your rows do"
        " not sum to one.",
    ),
    "diagonal masked": (
        lambda q, k: mistake_softmax_without_itself(q @ k.mT / root_of_head_size(k)),
        "You also masked the diagonal: row 0 has nobody left to look at, and a softmax"
        " of nothing is NaN. Use `triu(1)`.",
    ),
    "finite mask value": (
        lambda q, k: mistake_softmax_with_finite_mask(q @ k.mT / root_of_head_size(k)),
        "Your mask is a finite number. Loud scores get past it: only -inf is certain.",
    ),
}

attention_weights = Exercise(
    solution=reference_attention_weights,
    inputs=attention_weights_inputs,
    mistakes=SCORE_MISTAKES,
    praise="scaled, causal, and one whole to share in each row.",
    part="attention_weights",
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
        "no root": (
            lambda x, query, key, value: head_output_with_divisor(
                1.0, x, query, key, value
            ),
            "Your scores are not divided by the root of H.",
        ),
        "scaled by length": (
            lambda x, query, key, value: head_output_with_divisor(
                x.size(1) ** 0.5, x, query, key, value
            ),
            "You divided by the root of T. How loud a score is depends on the head size"
            " H, not on the length of the text.",
        ),
        "keys handed over": (
            lambda x, query, key, value: reference_head(x, query, key, key),
            "You mixed keys. The key is the label on the spine, the value is the book:"
            " mix `x @ value`.",
        ),
        "queries as keys": (
            lambda x, query, key, value: reference_head(x, query, query, value),
            "Your scores are queries against queries: the keys are never used.",
        ),
        "no mask": (
            lambda x, query, key, value: (
                ((x @ query) @ (x @ key).mT / key.size(1) ** 0.5).softmax(-1)
                @ (x @ value)
            ),
            "Nothing is masked: position 0 mixes in the future.",
        ),
        "unsoftmaxed": (
            lambda x, query, key, value: (
                ((x @ query) @ (x @ key).mT / key.size(1) ** 0.5).tril() @ (x @ value)
            ),
            "Your scores were never made into shares: softmax is missing.",
        ),
    },
    praise="a head: three tables, one softmax, no future.",
)


class ShiftedModel(nn.Module):
    """A model that answers with the logits of the id `offset` later; 0 is causal."""

    context, vocab_size = None, 4

    def __init__(self, offset: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.offset = offset
        generator = torch.Generator().manual_seed(offset)
        self.logits = nn.Parameter(torch.randn(4, 4, generator=generator).tril())
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        return self.dropout(self.logits[ids.roll(-self.offset, dims=1)])


def future_leak_inputs() -> list[tuple]:
    """Two causal models, one with dropout, and two that see the future."""
    ids = torch.tensor([[0, 1, 2, 3, 0, 2], [3, 3, 1, 0, 2, 1]])
    models = [
        ShiftedModel(0),
        ShiftedModel(0, dropout=0.5),
        ShiftedModel(1),
        ShiftedModel(3),
    ]
    return [(model, ids) for model in models]


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


def reference_future_leak(model: nn.Module, ids: Tensor) -> float:
    """Solution: no dropout, each position in turn, all logits before it."""
    was_training = model.training
    leak = largest_change(model.eval(), ids)
    model.train(was_training)
    return leak


def mistake_leak_with_dropout(model: nn.Module, ids: Tensor) -> float:
    """Mistake: dropout is on, which looks like a leak."""
    model.train()
    return largest_change(model, ids)


def mistake_leak_of_own_position(model: nn.Module, ids: Tensor) -> float:
    """Mistake: the changed position's own logits are compared, too."""
    model.eval()
    return largest_change(model, ids, extra=1)


def mistake_leak_to_neighbour_only(model: nn.Module, ids: Tensor) -> float:
    """Mistake: only the position just before the change is compared."""
    model.eval()
    return largest_change(model, ids, first=10**6)


def mistake_leak_without_abs(model: nn.Module, ids: Tensor) -> float:
    """Mistake: changes downwards do not count."""
    model.eval()
    return largest_change(model, ids, absolute=False)


def mistake_leak_without_change(model: nn.Module, ids: Tensor) -> float:
    """Mistake: nothing is changed, so nothing can move."""
    model.eval()
    return largest_change(model, ids, step=0)


def mistake_leak_of_last_id_only(model: nn.Module, ids: Tensor) -> float:
    """Mistake: only the last character is changed."""
    model.eval()
    changed_ids = ids.clone()
    changed_ids[:, -1] = (ids[:, -1] + 1) % model.vocab_size
    return (model(changed_ids) - model(ids))[:, :-1].abs().max().item()


future_leak = Exercise(
    solution=reference_future_leak,
    inputs=future_leak_inputs,
    mistakes={
        "dropout left on": (
            mistake_leak_with_dropout,
            "An honest model with dropout leaks in your test: two runs differ by what"
            " was dropped. Call `model.eval()` first.",
        ),
        "own position": (
            mistake_leak_of_own_position,
            "You also compare the position that you changed. It may react; only what"
            " comes *before* it must not: `[:, :t]`.",
        ),
        "only the neighbour": (
            mistake_leak_to_neighbour_only,
            "You compare only the position just before the change. A model may peek"
            " three places ahead: compare all of `[:, :t]`.",
        ),
        "signed": (
            mistake_leak_without_abs,
            "A logit may move down as well as up: take `abs()` before `max()`.",
        ),
        "nothing changed": (
            mistake_leak_without_change,
            "Your changed ids are the old ids, so every model passes.",
        ),
        "only the last": (
            mistake_leak_of_last_id_only,
            "You changed only the last character. Change each position in turn.",
        ),
    },
    praise="no model can peek past this test.",
    part="future_leak",
)
