"""The exercises of lesson 01."""

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise

Pair = tuple[Tensor, Tensor]


def shift(window: Tensor) -> Pair:
    """Solution: what is read, and the same moved by one."""
    return window[..., :-1], window[..., 1:]


inputs_and_targets = Exercise(
    solution=shift,
    inputs=lambda: [
        (torch.tensor([5, 3, 8, 8, 1]),),
        (torch.arange(12).view(2, 6),),
        (torch.arange(24).view(2, 3, 4),),
    ],
    mistakes={
        "unshifted": (
            lambda window: (window[..., :-1], window[..., :-1]),
            "Your targets are the inputs themselves. A model would only learn to copy"
            " what it reads; its loss would fall to 0, and it could write nothing.",
        ),
        "backwards": (
            lambda window: (window[..., 1:], window[..., :-1]),
            "Your targets are the past, not the future: swap the two.",
        ),
        "two apart": (
            lambda window: (window[..., :-2], window[..., 2:]),
            "Your targets are two steps ahead; the answer to x[t] is the next one.",
        ),
        "first dimension": (
            lambda window: (window[:-1], window[1:]),
            "You cut the first dimension. In a batch (B, T + 1) time comes last:"
            " `window[..., 1:]` leaves every dimension before it alone.",
        ),
    },
    praise="every input meets the character after it, for a batch of any shape.",
    part="inputs_and_targets",
)


def cut(ids: Tensor, context: int = 1) -> Pair:
    """Solution: one cut at nine tenths; too short a text is refused."""
    at = int(0.9 * len(ids))
    if min(at, len(ids) - at) < context + 1:
        raise ValueError(
            f"a text of {len(ids)} characters leaves {len(ids) - at} for validation,"
            f" and a context of {context} needs {context + 1}: give a text of at least"
            f" {10 * (context + 1)} characters, or a smaller context"
        )
    return ids[:at], ids[at:]


def every_tenth(ids: Tensor, context: int = 1) -> Pair:
    """Mistake: hidden characters with visible neighbours."""
    hidden = torch.arange(len(ids)) % 10 == 9
    return ids[~hidden], ids[hidden]


split = Exercise(
    solution=cut,
    inputs=lambda: [(torch.arange(100),), (torch.arange(57) * 3,)],
    mistakes={
        "overlap": (
            lambda ids, context=1: (ids, ids[int(0.9 * len(ids)) :]),
            "Your validation part is also in the training part: the exam was handed out"
            " with the homework.",
        ),
        "swapped": (
            lambda ids, context=1: cut(ids)[::-1],
            "The two parts are swapped: the long one, for training, comes first.",
        ),
        "a tenth for training": (
            lambda ids, context=1: (ids[: len(ids) // 10], ids[len(ids) // 10 :]),
            "You train on a tenth and validate on the rest: it is the other way round.",
        ),
        "every tenth": (
            every_tenth,
            "Every tenth character is hidden between two visible neighbours, which give"
            " it away. Hide one long piece at the end instead.",
        ),
        "one lost": (
            lambda ids, context=1: (cut(ids)[0], cut(ids)[1][1:]),
            "One character is in neither part. The slices `[:at]` and `[at:]` meet.",
        ),
    },
    praise="the two parts meet, share nothing, and the exam stays unseen.",
    part="split",
)


def mean_surprise(counted: Tensor, scored: Tensor, vocab_size: int) -> float:
    """Add-one frequencies of one text, scored on another."""
    counts = counted.bincount(minlength=vocab_size) + 1
    return -(counts / counts.sum()).log()[scored].mean().item()


def unigram(train: Tensor, validation: Tensor, vocab_size: int) -> float:
    """Solution: count in one part, score the targets of the other."""
    return mean_surprise(train, validation[1:], vocab_size)


def unsmoothed(train: Tensor, validation: Tensor, vocab_size: int) -> float:
    """Mistake: counts that start at zero."""
    counts = train.bincount(minlength=vocab_size)
    return -(counts / counts.sum()).log()[validation[1:]].mean().item()


unigram_loss = Exercise(
    solution=unigram,
    inputs=lambda: [
        (torch.tensor([0, 0, 1, 2, 0, 1]), torch.tensor([2, 0, 1, 3]), 4),
        (torch.tensor([1, 1, 1, 0]), torch.tensor([2, 1, 1, 0, 1]), 3),
    ],
    mistakes={
        "peeked": (
            lambda train, validation, vocab_size: mean_surprise(
                validation, validation[1:], vocab_size
            ),
            "You counted in the validation part, the very text you score. Count in"
            " `train`: a bet is made before the cards are shown.",
        ),
        "training loss": (
            lambda train, validation, vocab_size: mean_surprise(
                train, train[1:], vocab_size
            ),
            "You scored the training part. That says how well you remember, not how"
            " well you guess.",
        ),
        "bits": (
            lambda *given: unigram(*given) / torch.tensor(2.0).log().item(),
            "That is the right loss in bits (log to base 2). This course measures in"
            " nats: use the natural logarithm, `.log()`.",
        ),
        "sum": (
            lambda train, validation, vocab_size: (
                unigram(train, validation, vocab_size) * (len(validation) - 1)
            ),
            "That is the total surprise; divide by the number of targets, so that texts"
            " of different length can be compared.",
        ),
        "no minus": (
            lambda *given: -unigram(*given),
            "The sign is wrong: log p is negative, and surprise is −log p.",
        ),
        "unsmoothed": (
            unsmoothed,
            "A character that `train` lacks gets probability 0, and the loss becomes"
            " infinite. Start every count at one.",
        ),
        "first scored": (
            lambda train, validation, vocab_size: mean_surprise(
                train, validation, vocab_size
            ),
            "You scored the first character too. It is never a target: nothing comes"
            " before it. Score `validation[1:]`.",
        ),
    },
    praise="counted in one part, scored on the other, in nats a character.",
    part="unigram_loss",
)
