"""The exercises of lesson 02."""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gpt_lib.check.exercise import Exercise


def pair_table(ids: Tensor, vocab_size: int) -> Tensor:
    """Solution: one cell for each pair, row = before."""
    table = torch.zeros(vocab_size, vocab_size, dtype=torch.long)
    for before, after in pairwise(ids):
        table[before, after] += 1
    return table


def count_pairs_around(ids: Tensor, vocab_size: int) -> Tensor:
    """Mistake: the text is read as a ring."""
    return pair_table(torch.cat([ids, ids[:1]]), vocab_size)


count_pairs = Exercise(
    solution=pair_table,
    inputs=lambda: [
        (torch.tensor([0, 1, 4, 0, 2, 0, 3, 0, 1, 4, 0, 2]), 5),
        (torch.tensor([2, 2, 2, 0, 1]), 4),
    ],
    mistakes={
        "transposed": (
            lambda ids, vocab_size: pair_table(ids, vocab_size).T,
            "Rows and columns are swapped: a row belongs to the character before.",
        ),
        "ones": (
            lambda ids, vocab_size: pair_table(ids, vocab_size).clamp(max=1),
            "Each pair is marked once, however often it occurs. `table[before, after]"
            " += 1` with whole tensors of ids also writes each cell only once.",
        ),
        "last pair lost": (
            lambda ids, vocab_size: pair_table(ids[:-1], vocab_size),
            "The last pair is missing: N characters make N − 1 pairs.",
        ),
        "ring": (
            count_pairs_around,
            "You also counted the last character before the first, as `roll` does. The"
            " text is no ring.",
        ),
        "itself": (
            lambda ids, vocab_size: torch.diag(ids.bincount(minlength=vocab_size)),
            "You paired each character with itself: the second of a pair is `ids[1:]`.",
        ),
    },
    praise="every pair counted where it belongs.",
    part="count_pairs",
)


def by_row(counts: Tensor, add: float = 1.0) -> Tensor:
    """Solution: smooth, then let each row sum to one."""
    smoothed = counts + add
    return smoothed / smoothed.sum(dim=1, keepdim=True)


pair_probabilities = Exercise(
    solution=by_row,
    inputs=lambda: [
        (torch.tensor([[0, 3, 1], [2, 2, 0], [0, 0, 5]]), 1.0),
        (torch.tensor([[9, 0], [1, 4]]), 0.5),
    ],
    mistakes={
        "columns": (
            lambda counts, add=1.0: (counts + add) / (counts + add).sum(0),
            "Your columns sum to one. A model asks `what comes after this?`, so each"
            " *row* must: sum over dim=1.",
        ),
        "no keepdim": (
            lambda counts, add=1.0: (counts + add) / (counts + add).sum(1),
            "You summed rows, but divided column j by the sum of row j: a shape (V,)"
            " lines up from the right. Keep the column (V, 1) with keepdim=True.",
        ),
        "whole table": (
            lambda counts, add=1.0: (counts + add) / (counts + add).sum(),
            "Your whole table sums to one. That is the chance of a pair, not of what"
            " follows a given character.",
        ),
        "unsmoothed": (
            lambda counts, add=1.0: by_row(counts, 0.0),
            "Pairs that never occurred have chance 0: one of them in the hidden part"
            " makes the loss infinite. Use `add`.",
        ),
        "smoothed too late": (
            lambda counts, add=1.0: counts / counts.sum(1, keepdim=True) + add,
            "You added after dividing, so the rows no longer sum to one.",
        ),
    },
    praise="each row is a fair bet on what follows, and nothing is impossible.",
    part="pair_probabilities",
)


def stable_softmax(logits: Tensor) -> Tensor:
    """Solution: shifted by the largest logit, so that nothing overflows."""
    exponentials = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def plain_softmax(logits: Tensor) -> Tensor:
    """Mistake: right on paper, NaN for a large logit."""
    return logits.exp() / logits.exp().sum(dim=-1, keepdim=True)


softmax = Exercise(
    solution=stable_softmax,
    inputs=lambda: [
        (torch.tensor([2.0, 0.0, -1.0]),),
        (torch.tensor([[0.5, 1.5], [-1.0, 3.0]]),),
        (torch.tensor([[1000.0, 999.0, -5.0], [-1000.0, 0.0, 2.0]]),),
    ],
    mistakes={
        "overflow": (
            plain_softmax,
            "Right on paper, but e¹⁰⁰⁰ is infinite to a computer, and inf / inf is NaN."
            " Subtract the largest logit of the row first; the chances stay the same.",
        ),
        "wrong axis": (
            lambda logits: logits.softmax(dim=0),
            "Your columns sum to one. V is the last dimension: use dim=-1.",
        ),
        "global sum": (
            lambda logits: (
                (logits - logits.max()).exp() / (logits - logits.max()).exp().sum()
            ),
            "All rows together sum to one. Each row must: sum over the last dimension,"
            " with keepdim=True.",
        ),
        "no exponential": (
            lambda logits: logits / logits.sum(dim=-1, keepdim=True),
            "Without `exp` a negative logit gives a negative chance.",
        ),
        "logarithm": (
            lambda logits: logits.log_softmax(dim=-1),
            "Those are log-probabilities: all negative. Take `exp` of them.",
        ),
    },
    praise="positive, summing to one in each row, and safe for large logits.",
)


def p_minus_y(logits: Tensor, targets: Tensor) -> Tensor:
    """Solution: chance given minus what came, averaged over targets."""
    came = one_hot(targets, logits.size(1))
    return (logits.softmax(dim=1) - came) / len(targets)


gradient = Exercise(
    solution=p_minus_y,
    inputs=lambda: [
        (torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]]), torch.tensor([0, 2])),
        (torch.tensor([[1.0, -1.0], [0.3, 0.1], [2.0, 2.5]]), torch.tensor([1, 1, 0])),
    ],
    mistakes={
        "uphill": (
            lambda logits, targets: -p_minus_y(logits, targets),
            "That is y − p: it points uphill for the loss. Descent subtracts the"
            " gradient, so the gradient itself is p − y.",
        ),
        "sum": (
            lambda logits, targets: p_minus_y(logits, targets) * len(targets),
            "That is the gradient of the summed loss. Ours is a mean over N targets:"
            " divide by N.",
        ),
        "divided by V": (
            lambda logits, targets: (
                p_minus_y(logits, targets) * len(targets) / logits.size(1)
            ),
            "You divided by the vocabulary size. The mean runs over the N targets.",
        ),
        "logits": (
            lambda logits, targets: (
                (logits - one_hot(targets, logits.size(1))) / len(targets)
            ),
            "p is a probability: take softmax of the logits first.",
        ),
        "only p": (
            lambda logits, targets: logits.softmax(dim=1) / len(targets),
            "You left out y: subtract 1 at the target of each row.",
        ),
    },
    praise="that is exactly what autograd finds.",
)


def tempered(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Solution: divide, then softmax; zero is greedy."""
    if temperature < 0:
        raise ValueError(f"temperature={temperature} must be 0 or more")
    if temperature == 0:
        return one_hot(logits.argmax(), len(logits)).float()
    return (logits / temperature).softmax(dim=-1)


def after_softmax(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Mistake: the chances are divided, and then no longer sum to one."""
    whole = tempered(logits, min(temperature, 0.0) or 1.0)
    return whole / temperature if temperature else tempered(logits, 0)


def always_divided(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Mistake: temperature 0 divides by zero."""
    if temperature < 0:
        raise ValueError("negative")
    return (logits / temperature).softmax(dim=-1)


def unchecked(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Mistake: a negative temperature is believed."""
    if temperature == 0:
        return tempered(logits, 0)
    return (logits / temperature).softmax(dim=-1)


next_probabilities = Exercise(
    solution=tempered,
    inputs=lambda: [
        (torch.tensor([2.0, 0.0, -1.0]), 1.0),
        (torch.tensor([0.5, 1.5, 1.0]), 0.5),
        (torch.tensor([0.5, 1.5, 1.0]), 2.0),
        (torch.tensor([0.5, 1.5, -1.0]), 0.0),
        (torch.tensor([0.5, 1.5, -1.0]), -1.0),
    ],
    mistakes={
        "multiplied": (
            lambda logits, temperature=1.0: tempered(
                logits, 1 / temperature if temperature else 0.0
            ),
            "You multiplied by the temperature. A high one must flatten: divide.",
        ),
        "after softmax": (
            after_softmax,
            "You divided the chances, which then no longer sum to one. Divide the"
            " logits, before softmax.",
        ),
        "division by zero": (
            always_divided,
            "Temperature 0 divides by zero and gives NaN. Treat it as its own case: the"
            " likeliest id gets chance 1.",
        ),
        "negative believed": (
            unchecked,
            "A negative temperature makes the *unlikeliest* character the favourite."
            " Refuse it with a ValueError.",
        ),
        "ignored": (
            lambda logits, temperature=1.0: tempered(
                logits, min(temperature, 0.0) or float(temperature > 0)
            ),
            "The temperature changes nothing but 0: divide the logits by it.",
        ),
    },
    praise="sharper below 1, flatter above, greedy at 0, and no nonsense below.",
    part="next_probabilities",
)
