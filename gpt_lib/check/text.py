"""The exercises of lesson 01."""

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise

InputsAndTargets = tuple[Tensor, Tensor]
TrainValidationTest = tuple[Tensor, Tensor, Tensor]  # training, validation, test


def reference_inputs_and_targets(window: Tensor) -> InputsAndTargets:
    """Solution: the inputs, and the same ids moved by one."""
    return window[..., :-1], window[..., 1:]


inputs_and_targets = Exercise(
    solution=reference_inputs_and_targets,
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


def reference_train_validation_test_split(
    ids: Tensor, context: int = 1
) -> TrainValidationTest:
    """Solution: one cut at nine tenths; a text that is too short is an error."""
    cut = int(0.9 * len(ids))
    if min(cut, len(ids) - cut) < context + 1:
        raise ValueError(
            f"a text of {len(ids)} ids leaves {len(ids) - cut} for validation,"
            f" and a context of {context} needs {context + 1}: give a text of at least"
            f" {10 * (context + 1)} ids, or a smaller context"
        )
    return ids[:cut], ids[cut:], ids[cut:]


def mistake_hold_out_every_tenth(ids: Tensor, context: int = 1) -> TrainValidationTest:
    """Mistake: the ids held out are neighbours of those in training."""
    held_out = torch.arange(len(ids)) % 10 == 9
    return ids[~held_out], ids[held_out], ids[held_out]


def mistake_hold_out_too_little(ids: Tensor, context: int = 1) -> TrainValidationTest:
    """Mistake: the first id after the cut is in no part."""
    train, validation, test = reference_train_validation_test_split(ids)
    return train, validation[1:], test[1:]


def mistake_train_on_everything(ids: Tensor, context: int = 1) -> TrainValidationTest:
    """Mistake: the parts held out are in the training part, too."""
    return ids, *reference_train_validation_test_split(ids)[1:]


train_validation_test_split = Exercise(
    solution=reference_train_validation_test_split,
    inputs=lambda: [(torch.arange(100),), (torch.arange(57) * 3,)],
    mistakes={
        "overlap": (
            mistake_train_on_everything,
            "Your validation part is also in the training part: the exam was handed out"
            " with the homework.",
        ),
        "swapped": (
            lambda ids, context=1: reference_train_validation_test_split(ids)[::-1],
            "The parts are swapped: the long one, for training, comes first.",
        ),
        "a tenth for training": (
            lambda ids, context=1: (
                ids[: len(ids) // 10],
                ids[len(ids) // 10 :],
                ids[len(ids) // 10 :],
            ),
            "You train on a tenth and validate on the rest: it is the other way round.",
        ),
        "every tenth": (
            mistake_hold_out_every_tenth,
            "Every tenth character is hidden between two visible neighbours, which give"
            " it away. Hide one long piece at the end instead.",
        ),
        "one lost": (
            mistake_hold_out_too_little,
            "One character is in no part. The slices `[:cut]` and `[cut:]` meet.",
        ),
        "no test": (
            lambda ids, context=1: reference_train_validation_test_split(ids)[:2],
            "The third part is missing: return the last tenth twice, for validation and"
            " for the test.",
        ),
    },
    praise="the parts meet, training shares nothing, and the exam stays unseen.",
    part="train_validation_test_split",
)


def add_one_loss(counted: Tensor, scored: Tensor, vocab_size: int) -> float:
    """Mean surprisal of ids `scored` under the add-one frequencies of ids `counted`."""
    counts = counted.bincount(minlength=vocab_size) + 1
    return -(counts / counts.sum()).log()[scored.long()].mean().item()


def reference_unigram_loss(train: Tensor, validation: Tensor, vocab_size: int) -> float:
    """Solution: frequencies of `train`, scored on the targets of `validation`."""
    return add_one_loss(train, validation[1:], vocab_size)


def mistake_without_add_one_smoothing(
    train: Tensor, validation: Tensor, vocab_size: int
) -> float:
    """Mistake: counts start at zero."""
    counts = train.bincount(minlength=vocab_size)
    return -(counts / counts.sum()).log()[validation[1:].long()].mean().item()


unigram_loss = Exercise(
    solution=reference_unigram_loss,
    inputs=lambda: [
        (torch.tensor([0, 0, 1, 2, 0, 1]), torch.tensor([2, 0, 1, 3]), 4),
        (torch.tensor([1, 1, 1, 0]), torch.tensor([2, 1, 1, 0, 1]), 3),
    ],
    mistakes={
        "peeked": (
            lambda train, validation, vocab_size: add_one_loss(
                validation, validation[1:], vocab_size
            ),
            "You counted in the validation part, the very text you score. Count in"
            " `train`: a bet is made before the cards are shown.",
        ),
        "training loss": (
            lambda train, validation, vocab_size: add_one_loss(
                train, train[1:], vocab_size
            ),
            "You scored the training part. That says how well you remember, not how"
            " well you guess.",
        ),
        "bits": (
            lambda *arguments: (
                reference_unigram_loss(*arguments) / torch.tensor(2.0).log().item()
            ),
            "That is the right loss in bits (log to base 2). This course measures in"
            " nats: use the natural logarithm, `.log()`.",
        ),
        "sum": (
            lambda train, validation, vocab_size: (
                reference_unigram_loss(train, validation, vocab_size)
                * (len(validation) - 1)
            ),
            "That is the total surprise; divide by the number of targets, so that texts"
            " of different length can be compared.",
        ),
        "no minus": (
            lambda *arguments: -reference_unigram_loss(*arguments),
            "The sign is wrong: log p is negative, and surprise is −log p.",
        ),
        "unsmoothed": (
            mistake_without_add_one_smoothing,
            "A character that `train` lacks gets probability 0, and the loss becomes"
            " infinite. Start every count at one.",
        ),
        "first scored": (
            lambda train, validation, vocab_size: add_one_loss(
                train, validation, vocab_size
            ),
            "You scored the first character too. It is never a target: nothing comes"
            " before it. Score `validation[1:]`.",
        ),
    },
    praise="counted in one part, scored on the other, in nats a character.",
    part="unigram_loss",
)
