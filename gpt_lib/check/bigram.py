"""The exercises of lesson 02."""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gpt_lib.check.exercise import Exercise
from gpt_lib.check.shared_mistakes import OVERFLOW_MESSAGE, mistake_overflowing_softmax


def reference_bigram_counts(ids: Tensor, vocab_size: int) -> Tensor:
    """Solution: how often each pair occurs, row = the id before."""
    counts = torch.zeros(vocab_size, vocab_size, dtype=torch.long)
    for before, after in pairwise(ids):
        counts[before, after] += 1
    return counts


def mistake_count_as_ring(ids: Tensor, vocab_size: int) -> Tensor:
    """Mistake: the first id is taken to follow the last."""
    return reference_bigram_counts(torch.cat([ids, ids[:1]]), vocab_size)


bigram_counts = Exercise(
    solution=reference_bigram_counts,
    inputs=lambda: [
        (torch.tensor([0, 1, 4, 0, 2, 0, 3, 0, 1, 4, 0, 2]), 5),
        (torch.tensor([2, 2, 2, 0, 1]), 4),
    ],
    mistakes={
        "transposed": (
            lambda ids, vocab_size: reference_bigram_counts(ids, vocab_size).T,
            "Rows and columns are swapped: a row belongs to the character before.",
        ),
        "ones": (
            lambda ids, vocab_size: reference_bigram_counts(ids, vocab_size).clamp(
                max=1
            ),
            "Each pair is marked once, however often it occurs. `counts[before, after]"
            " += 1` with whole tensors of ids also writes each cell only once.",
        ),
        "last pair lost": (
            lambda ids, vocab_size: reference_bigram_counts(ids[:-1], vocab_size),
            "The last pair is missing: N characters make N − 1 pairs.",
        ),
        "ring": (
            mistake_count_as_ring,
            "You also counted the last character before the first, as `roll` does. The"
            " text is no ring.",
        ),
        "both ways": (
            lambda ids, vocab_size: (
                reference_bigram_counts(ids, vocab_size)
                + reference_bigram_counts(ids, vocab_size).T
            ),
            "You counted each pair in both directions. Only what comes *after* counts.",
        ),
        "from one": (
            lambda ids, vocab_size: reference_bigram_counts(ids, vocab_size) + 1,
            "Your counts begin at one. Those of pairs that never occur are 0.",
        ),
        "itself": (
            lambda ids, vocab_size: torch.diag(ids.bincount(minlength=vocab_size)),
            "You paired each character with itself: the second of a pair is `ids[1:]`.",
        ),
    },
    praise="every pair counted where it belongs.",
    part="bigram_counts",
)


def reference_bigram_probabilities(counts: Tensor, add: float = 1.0) -> Tensor:
    """Solution: smoothed counts, divided by the sum of their row."""
    smoothed = counts + add
    return smoothed / smoothed.sum(dim=1, keepdim=True)


bigram_probabilities = Exercise(
    solution=reference_bigram_probabilities,
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
            "Your whole table sums to one. That is the probability of a pair, not of"
            " what follows a character.",
        ),
        "unsmoothed": (
            lambda counts, add=1.0: reference_bigram_probabilities(counts, 0.0),
            "Pairs that never occurred have probability 0: one of them in the hidden"
            " part makes the loss infinite. Use `add`.",
        ),
        "not divided": (
            lambda counts, add=1.0: counts + add,
            "Those are counts. Divide each row by its sum.",
        ),
        "divided by the plain sum": (
            lambda counts, add=1.0: (counts + add) / counts.sum(1, keepdim=True),
            "You divided by the sum of the counts before `add`: a row then sums to more"
            " than one.",
        ),
        "smoothed too late": (
            lambda counts, add=1.0: counts / counts.sum(1, keepdim=True) + add,
            "You added after dividing, so the rows no longer sum to one.",
        ),
    },
    praise="each row is a fair bet on what follows, and nothing is impossible.",
    part="bigram_probabilities",
)


def reference_softmax(logits: Tensor) -> Tensor:
    """Solution: shifted by the largest logit, so that nothing overflows."""
    exponentials = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def mistake_shifted_by_one_number(logits: Tensor) -> Tensor:
    """Mistake: the largest logit of all rows is subtracted from each."""
    exponentials = (logits - logits.max()).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


softmax = Exercise(
    solution=reference_softmax,
    inputs=lambda: [
        (torch.tensor([2.0, 0.0, -1.0]),),
        (torch.tensor([[0.5, 1.5], [-1.0, 3.0]]),),
        (torch.tensor([[1000.0, 999.0, -5.0], [-1000.0, 0.0, 2.0]]),),
    ],
    mistakes={
        "overflow": (
            mistake_overflowing_softmax,
            OVERFLOW_MESSAGE,
        ),
        "shifted by one number": (
            mistake_shifted_by_one_number,
            "You subtract the largest logit of the whole table. A row that is far below"
            " it is left with nothing but zeros, and 0 / 0 is NaN: each row has a"
            " largest one of its own.",
        ),
        "not divided": (
            lambda logits: (logits - logits.amax(dim=-1, keepdim=True)).exp(),
            "Your rows do not sum to one: divide each by its sum.",
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
            "Without `exp` a negative logit gives a negative probability.",
        ),
        "logarithm": (
            lambda logits: logits.log_softmax(dim=-1),
            "Those are log-probabilities: all negative. Take `exp` of them.",
        ),
    },
    praise="positive, summing to one in each row, and safe for large logits.",
    tolerance=1e-4,  # what float32 leaves of a logit of 1000
)


def reference_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """Solution: probability minus one-hot target, averaged over the targets."""
    expected = one_hot(targets, logits.size(1))
    return (logits.softmax(dim=1) - expected) / len(targets)


gradient = Exercise(
    solution=reference_gradient,
    inputs=lambda: [
        (torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]]), torch.tensor([0, 2])),
        (torch.tensor([[1.0, -1.0], [0.3, 0.1], [2.0, 2.5]]), torch.tensor([1, 1, 0])),
    ],
    mistakes={
        "uphill": (
            lambda logits, targets: -reference_gradient(logits, targets),
            "That is y − p: it points uphill for the loss. Descent subtracts the"
            " gradient, so the gradient itself is p − y.",
        ),
        "sum": (
            lambda logits, targets: reference_gradient(logits, targets) * len(targets),
            "That is the gradient of the summed loss. Ours is a mean over N targets:"
            " divide by N.",
        ),
        "divided by V": (
            lambda logits, targets: (
                reference_gradient(logits, targets) * len(targets) / logits.size(1)
            ),
            "You divided by the vocabulary size. The mean runs over the N targets.",
        ),
        "logits": (
            lambda logits, targets: (
                (logits - one_hot(targets, logits.size(1))) / len(targets)
            ),
            "p is a probability: take softmax of the logits first.",
        ),
        "wrong axis": (
            lambda logits, targets: (
                (logits.softmax(dim=0) - one_hot(targets, logits.size(1)))
                / len(targets)
            ),
            "Your softmax runs over the N rows. Each row has one of its own, over its V"
            " logits: dim=1.",
        ),
        "only p": (
            lambda logits, targets: logits.softmax(dim=1) / len(targets),
            "You left out y: subtract 1 at the target of each row.",
        ),
    },
    praise="that is exactly what autograd finds.",
)


def reference_softmax_with_temperature(
    logits: Tensor, temperature: float = 1.0
) -> Tensor:
    """Solution: logits are divided before softmax; 0 takes the likeliest id."""
    if temperature < 0:
        raise ValueError(f"temperature={temperature} must be 0 or more")
    if temperature == 0:
        return one_hot(logits.argmax(), len(logits)).float()
    return (logits / temperature).softmax(dim=-1)


def mistake_divide_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Mistake: probabilities are divided, so they no longer sum to one."""
    probabilities = reference_softmax_with_temperature(
        logits, min(temperature, 0.0) or 1.0
    )
    return (
        probabilities / temperature
        if temperature
        else reference_softmax_with_temperature(logits, 0)
    )


def mistake_divide_by_zero_temperature(
    logits: Tensor, temperature: float = 1.0
) -> Tensor:
    """Mistake: temperature 0 is no case of its own."""
    if temperature < 0:
        raise ValueError("negative")
    return (logits / temperature).softmax(dim=-1)


def mistake_accept_negative_temperature(
    logits: Tensor, temperature: float = 1.0
) -> Tensor:
    """Mistake: a negative temperature is no error."""
    if temperature == 0:
        return reference_softmax_with_temperature(logits, 0)
    return (logits / temperature).softmax(dim=-1)


softmax_with_temperature = Exercise(
    solution=reference_softmax_with_temperature,
    inputs=lambda: [
        (torch.tensor([2.0, 0.0, -1.0]), 1.0),
        (torch.tensor([0.5, 1.5, 1.0]), 0.5),
        (torch.tensor([0.5, 1.5, 1.0]), 2.0),
        (torch.tensor([0.5, 1.5, -1.0]), 0.0),
        (torch.tensor([0.5, 1.5, -1.0]), -1.0),
    ],
    mistakes={
        "multiplied": (
            lambda logits, temperature=1.0: reference_softmax_with_temperature(
                logits, 1 / temperature if temperature else 0.0
            ),
            "You multiplied by the temperature. A high one must flatten: divide.",
        ),
        "after softmax": (
            mistake_divide_probabilities,
            "You divided the probabilities, which then no longer sum to one. Divide the"
            " logits, before softmax.",
        ),
        "division by zero": (
            mistake_divide_by_zero_temperature,
            "Temperature 0 divides by zero and gives NaN. Treat it as its own case: the"
            " likeliest id gets 1.",
        ),
        "negative believed": (
            mistake_accept_negative_temperature,
            "A negative temperature makes the *unlikeliest* character the favourite."
            " Refuse it with a ValueError.",
        ),
        "no softmax": (
            lambda logits, temperature=1.0: (
                logits / temperature
                if temperature > 0
                else reference_softmax_with_temperature(logits, temperature)
            ),
            "Those are logits still: the softmax is missing.",
        ),
        "ignored": (
            lambda logits, temperature=1.0: reference_softmax_with_temperature(
                logits, min(temperature, 0.0) or float(temperature > 0)
            ),
            "The temperature changes nothing but 0: divide the logits by it.",
        ),
    },
    praise="sharper below 1, flatter above, greedy at 0, and no nonsense below.",
    part="softmax_with_temperature",
)
