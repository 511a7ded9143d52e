"""The exercises of lesson 05."""

import torch
from torch import Tensor, nn

from gpt_lib.check.exercise import Exercise


def future_of(scores: Tensor) -> Tensor:
    """True where a row would look ahead, (T, T)."""
    T = scores.size(-1)
    return torch.ones(T, T, dtype=torch.bool, device=scores.device).triu(1)


def causal(scores: Tensor) -> Tensor:
    """Shares of the past, (..., T, T)."""
    return scores.masked_fill(future_of(scores), -torch.inf).softmax(dim=-1)


def scaled_weights(q: Tensor, k: Tensor) -> Tensor:
    """Solution: dot products over the root of the head size, masked, softmaxed."""
    return causal(q @ k.mT / k.size(-1) ** 0.5)


def queries_and_keys() -> list[tuple]:
    """A pair to follow by hand, a batch of wide ones, and loud ones."""
    dice = torch.Generator().manual_seed(0)
    by_hand = torch.tensor([[1.0, 0, 0, 2], [0, 2.0, 0, 0], [1.0, 1.0, 0, 1]])
    batch = [torch.randn(2, 5, 9, generator=dice) for _ in range(2)]
    loud = [20 * torch.randn(4, 16, generator=dice) for _ in range(2)]
    return [(by_hand, by_hand.flip(1)), tuple(batch), tuple(loud)]


def inverted(scores: Tensor) -> Tensor:
    """Mistake: the past is hidden, the future is left."""
    return scores.masked_fill(~future_of(scores), -torch.inf).softmax(dim=-1)


def finite(scores: Tensor) -> Tensor:
    """Mistake: a mask value that a loud score can beat."""
    return scores.masked_fill(future_of(scores), -9.0).softmax(dim=-1)


def diagonal_masked(scores: Tensor) -> Tensor:
    """Mistake: a position may not look at itself."""
    mask = torch.ones_like(scores, dtype=torch.bool).triu(0)
    return scores.masked_fill(mask, -torch.inf).softmax(dim=-1)


def root(k: Tensor) -> float:
    """The root of the head size."""
    return k.size(-1) ** 0.5


SCORE_MISTAKES = {
    "no root": (
        lambda q, k: causal(q @ k.mT),
        "Your scores are not divided by the root of H: the wider the head, the louder"
        " they are, until the softmax picks one key and is deaf to all others.",
    ),
    "divided by H": (
        lambda q, k: causal(q @ k.mT / k.size(-1)),
        "You divided by H. A sum of H random products grows like the *root* of H.",
    ),
    "scaled after softmax": (
        lambda q, k: causal(q @ k.mT) / root(k),
        "You divided the weights, so a row no longer sums to one. Divide the scores.",
    ),
    "wrong axis": (
        lambda q, k: (
            (q @ k.mT / root(k))
            .masked_fill(future_of(q @ k.mT), -torch.inf)
            .softmax(dim=-2)
        ),
        "Your columns sum to one. Each *query* has one whole to share out: the keys run"
        " along dim=-1.",
    ),
    "keys ask": (
        lambda q, k: causal(k @ q.mT / root(k)),
        "Queries and keys are swapped: row t must belong to the query of position t.",
    ),
    "no mask": (
        lambda q, k: (q @ k.mT / root(k)).softmax(dim=-1),
        "Nothing is masked: row 0 looks at positions that are not written yet.",
    ),
    "mask inverted": (
        lambda q, k: inverted(q @ k.mT / root(k)),
        "Your mask is inverted: it hides the past and leaves the future.",
    ),
    "mask after softmax": (
        lambda q, k: (q @ k.mT / root(k)).softmax(dim=-1).tril(),
        "You masked after the softmax: the future took its share first, so your rows do"
        " not sum to one.",
    ),
    "diagonal masked": (
        lambda q, k: diagonal_masked(q @ k.mT / root(k)),
        "You also masked the diagonal: row 0 has nobody left to look at, and a softmax"
        " of nothing is NaN. Use `triu(1)`.",
    ),
    "finite mask value": (
        lambda q, k: finite(q @ k.mT / root(k)),
        "Your mask is a finite number. Loud scores get past it: only -inf is certain.",
    ),
}

attention_weights = Exercise(
    solution=scaled_weights,
    inputs=queries_and_keys,
    mistakes=SCORE_MISTAKES,
    praise="scaled, causal, and one whole to share in each row.",
    part="attention_weights",
)


def one_head(x: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Solution: weights from queries and keys, a mix of values."""
    return scaled_weights(x @ query, x @ key) @ (x @ value)


def head_inputs() -> list[tuple]:
    """A width that is not the head size, one sequence and a batch."""
    dice = torch.Generator().manual_seed(0)
    return [
        tuple(torch.randn(size, generator=dice) for size in (shape, *[(6, 3)] * 3))
        for shape in ((1, 4, 6), (2, 5, 6))
    ]


def with_scale(scale: float, x: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A head whose scores are divided by `scale`."""
    return causal((x @ q) @ (x @ k).mT / scale) @ (x @ v)


head = Exercise(
    solution=one_head,
    inputs=head_inputs,
    mistakes={
        "scaled by the model width": (
            lambda x, query, key, value: with_scale(
                x.size(-1) ** 0.5, x, query, key, value
            ),
            "You divided by the root of the model's width C. The dot product runs over"
            " the head size H: `key.size(1)`.",
        ),
        "no root": (
            lambda x, query, key, value: with_scale(1.0, x, query, key, value),
            "Your scores are not divided by the root of H.",
        ),
        "scaled by length": (
            lambda x, query, key, value: with_scale(
                x.size(1) ** 0.5, x, query, key, value
            ),
            "You divided by the root of T. How loud a score is depends on the head size"
            " H, not on the length of the text.",
        ),
        "keys handed over": (
            lambda x, query, key, value: one_head(x, query, key, key),
            "You mixed keys. The key is the label on the spine, the value is the book:"
            " mix `x @ value`.",
        ),
        "queries as keys": (
            lambda x, query, key, value: one_head(x, query, query, value),
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


class Shifted(nn.Module):
    """A model that mixes what stands `ahead` places further on; 0 is honest."""

    context, vocab_size = None, 4

    def __init__(self, ahead: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.ahead = ahead
        dice = torch.Generator().manual_seed(ahead)
        self.table = nn.Parameter(torch.randn(4, 4, generator=dice).tril())
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        return self.dropout(self.table[ids.roll(-self.ahead, dims=1)])


def leak_inputs() -> list[tuple]:
    """Honest models, one of them with dropout, and two that see the future."""
    ids = torch.tensor([[0, 1, 2, 3, 0, 2], [3, 3, 1, 0, 2, 1]])
    models = [Shifted(0), Shifted(0, dropout=0.5), Shifted(1), Shifted(3)]
    return [(model, ids) for model in models]


def leak(
    model: nn.Module,
    ids: Tensor,
    first: int = 0,
    reach: int = 0,
    size: str = "abs",
    step: int = 1,
) -> float:
    """The largest change of logits `first` … t + `reach` when id t changes."""
    logits, worst = model(ids), 0.0
    for t in range(1, ids.size(1)):
        changed = ids.clone()
        changed[:, t] = (ids[:, t] + step) % model.vocab_size
        moved = model(changed) - logits
        moved = moved.abs() if size == "abs" else moved
        worst = max(worst, moved[:, min(first, t - 1) : t + reach].max().item())
    return worst


def honest_leak(model: nn.Module, ids: Tensor) -> float:
    """Solution: no dropout, each position in turn, all logits before it."""
    was_training = model.training
    worst = leak(model.eval(), ids)
    model.train(was_training)
    return worst


def noisy_leak(model: nn.Module, ids: Tensor) -> float:
    """Mistake: dropout is on, and looks like a leak."""
    model.train()
    return leak(model, ids)


def own_position(model: nn.Module, ids: Tensor) -> float:
    """Mistake: the changed position's own logits are compared, too."""
    model.eval()
    return leak(model, ids, reach=1)


def only_neighbour(model: nn.Module, ids: Tensor) -> float:
    """Mistake: only the position just before the change is compared."""
    model.eval()
    return leak(model, ids, first=10**6)


def signed(model: nn.Module, ids: Tensor) -> float:
    """Mistake: changes downwards do not count."""
    model.eval()
    return leak(model, ids, size="signed")


def unchanged(model: nn.Module, ids: Tensor) -> float:
    """Mistake: nothing is changed, so nothing can move."""
    model.eval()
    return leak(model, ids, step=0)


def only_last(model: nn.Module, ids: Tensor) -> float:
    """Mistake: only the last character is changed."""
    model.eval()
    changed = ids.clone()
    changed[:, -1] = (ids[:, -1] + 1) % model.vocab_size
    return (model(changed) - model(ids))[:, :-1].abs().max().item()


future_leak = Exercise(
    solution=honest_leak,
    inputs=leak_inputs,
    mistakes={
        "dropout left on": (
            noisy_leak,
            "An honest model with dropout leaks in your test: two runs differ by what"
            " was dropped. Call `model.eval()` first.",
        ),
        "itself": (
            own_position,
            "You also compare the position that you changed. It may react; only what"
            " comes *before* it must not: `[:, :t]`.",
        ),
        "only the neighbour": (
            only_neighbour,
            "You compare only the position just before the change. A model may peek"
            " three places ahead: compare all of `[:, :t]`.",
        ),
        "signed": (
            signed,
            "A logit may move down as well as up: take `abs()` before `max()`.",
        ),
        "nothing changed": (
            unchanged,
            "Your changed ids are the old ids, so every model passes.",
        ),
        "only the last": (
            only_last,
            "You changed only the last character. Change each position in turn.",
        ),
    },
    praise="no model can peek past this test.",
    part="future_leak",
)
