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
    ids: Tensor, context: int = 1, split: str = "85/5/10"
) -> TrainValidationTest:
    """Solution: two cuts; a text that is too short is an error."""
    training, validation, _ = map(int, split.split("/"))
    begin = len(ids) * validation // 100
    end = len(ids) * (training + validation) // 100
    held_out = ids[:begin] if validation else ids[end:]
    if len(held_out) < context + 1:
        percent = validation or 100 - training
        raise ValueError(
            f"a text of {len(ids)} ids leaves {len(held_out)} for validation,"
            f" and a context of {context} needs {context + 1}: give a text of at least"
            f" {-(-100 * (context + 1) // percent)} ids, or a smaller context"
        )
    return ids[begin:end], held_out, ids[end:]


def mistake_hold_out_every_tenth(ids: Tensor, context: int = 1) -> TrainValidationTest:
    """Mistake: the ids held out are neighbours of those in training."""
    held_out = torch.arange(len(ids)) % 10 == 9
    half = held_out.sum() // 2
    return ids[~held_out], ids[held_out][:half], ids[held_out][half:]


def mistake_hold_out_too_little(ids: Tensor, context: int = 1) -> TrainValidationTest:
    """Mistake: the first id after each cut is in no part."""
    train, validation, test = reference_train_validation_test_split(ids)
    return train[1:], validation, test[1:]


def mistake_one_part_for_both(ids: Tensor, context: int = 1) -> TrainValidationTest:
    """Mistake: the validation part is the test part."""
    cut = len(ids) * 90 // 100
    return ids[:cut], ids[cut:], ids[cut:]


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
            "The parts are swapped: return the long one, for training, first.",
        ),
        "validation before the test": (
            lambda ids, context=1: (
                ids[: len(ids) * 85 // 100],
                ids[len(ids) * 85 // 100 : len(ids) * 90 // 100],
                ids[len(ids) * 90 // 100 :],
            ),
            "Your validation part stands right before the test part, so the acts that"
            " lead to the test are not read: take the first 5 % of the text for it.",
        ),
        "one part for both": (
            mistake_one_part_for_both,
            "One part serves for validation and for the test: what you choose by is"
            " then what you report.",
        ),
        "every tenth": (
            mistake_hold_out_every_tenth,
            "Every tenth character is hidden between two visible neighbours, which give"
            " it away. Hide long pieces at the end instead.",
        ),
        "one lost": (
            mistake_hold_out_too_little,
            "A character after each cut is in no part: where one slice ends, the next"
            " begins.",
        ),
        "no test": (
            lambda ids, context=1: reference_train_validation_test_split(ids)[:2],
            "The third part is missing: return training, validation and test.",
        ),
    },
    praise="the parts meet and share nothing, and the exam stays unseen.",
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
