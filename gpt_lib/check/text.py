"""The exercises of lesson 01."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise
from gpt_lib.check.shared_mistakes import LOG_MISTAKES, build_into

InputsAndTargets = tuple[Tensor, Tensor]
TrainValidationTest = tuple[Tensor, Tensor, Tensor]  # training, validation, test


def reference_encode(text: str, vocabulary: str) -> list[int]:
    """Solution: each character's place in the vocabulary; a ValueError without one."""
    return [vocabulary.index(character) for character in text]


def encode_inputs() -> list[tuple[str, str]]:
    """Texts in two vocabularies, one of them in no order, and an unknown character."""
    return [
        ("cabbage", "abceg"),
        ("to be", "o tbe"),
        ("", "ab"),
        ("cab", "ab"),
    ]


def mistake_unknown_characters_dropped(text: str, vocabulary: str) -> list[int]:
    """Mistake: a character that is not in the vocabulary is left out."""
    return [vocabulary.index(c) for c in text if c in vocabulary]


def mistake_key_error_for_unknown_characters(text: str, vocabulary: str) -> list[int]:
    """Mistake: a dict's own error for a character that is not in the vocabulary."""
    ids = {character: id for id, character in enumerate(vocabulary)}
    return [ids[character] for character in text]


encode = Exercise(
    solution=reference_encode,
    inputs=encode_inputs,
    mistakes={
        "code points": (
            lambda text, vocabulary: [
                ord(c) if reference_encode(c, vocabulary) else 0 for c in text
            ],
            "Those are the numbers of `ord`, which go up to a million. An id is a place"
            " in `vocabulary`: 0, 1, … V − 1.",
        ),
        "code points of all": (
            lambda text, vocabulary: list(map(ord, text)),
            "Those are the numbers of `ord`, whatever the vocabulary is. An id is a"
            " place in `vocabulary`: 0, 1, … V − 1.",
        ),
        "dropped": (
            mistake_unknown_characters_dropped,
            "A character that is not in the vocabulary is dropped without a word, and"
            " the text comes back another: raise a ValueError.",
        ),
        "minus one": (
            lambda text, vocabulary: list(map(vocabulary.find, text)),
            "An unknown character gets −1, as `find` says it, and that is the last one"
            " of the vocabulary when it is looked up: raise a ValueError.",
        ),
        "guessed": (
            lambda text, vocabulary: [max(0, vocabulary.find(c)) for c in text],
            "An unknown character gets the id of another one: raise a ValueError.",
        ),
        "KeyError": (
            mistake_key_error_for_unknown_characters,
            "A dict raises a KeyError for a character that it lacks. What is wrong is"
            " the text, a value: raise a ValueError that names the character.",
        ),
        "from one": (
            lambda text, vocabulary: [
                id + 1 for id in reference_encode(text, vocabulary)
            ],
            "Your ids begin at 1. The first character of the vocabulary has id 0.",
        ),
        "sorted again": (
            lambda text, vocabulary: reference_encode(
                text, "".join(sorted(vocabulary))
            ),
            "You sorted the vocabulary once more. An id is a place in it as it is.",
        ),
        "vocabulary of the text": (
            lambda text, vocabulary: reference_encode(text, "".join(sorted(set(text)))),
            "You made a vocabulary of the text itself. The one that is given counts:"
            " the same character has the same id in every text.",
        ),
    },
    praise="each character its place, and no guess for a stranger.",
    errors={"KeyError": "^KeyError"},
)


def reference_decode(ids: Tensor, vocabulary: str) -> str:
    """Solution: each id's character, in one string."""
    return "".join(vocabulary[id] for id in ids.tolist())


decode = Exercise(
    solution=reference_decode,
    inputs=lambda: [
        (torch.tensor([2, 0, 1, 1, 0, 4, 3]), "abceg"),
        (torch.tensor([3, 0, 1, 4, 2]), "o bet"),
        (torch.tensor([], dtype=torch.long), "ab"),
    ],
    mistakes={
        "list": (
            lambda ids, vocabulary: list(reference_decode(ids, vocabulary)),
            'Those are single characters. `"".join(…)` makes a text of them.',
        ),
        "spaces between": (
            lambda ids, vocabulary: " ".join(reference_decode(ids, vocabulary)),
            'You put a space between the characters: join them with nothing, `""`.',
        ),
        "code points": (
            lambda ids, vocabulary: "".join(map(chr, ids.tolist())),
            "`chr` knows nothing of this vocabulary. An id is a place in it:"
            " `vocabulary[id]`.",
        ),
        "from one": (
            lambda ids, vocabulary: "".join(vocabulary[id - 1] for id in ids.tolist()),
            "Each character is the one before the right one: id 0 is the first.",
        ),
        "backwards": (
            lambda ids, vocabulary: reference_decode(ids, vocabulary)[::-1],
            "Your text reads from its end.",
        ),
        "sorted again": (
            lambda ids, vocabulary: reference_decode(ids, "".join(sorted(vocabulary))),
            "You sorted the vocabulary once more. An id is a place in it as it is.",
        ),
        "only the last": (
            lambda ids, vocabulary: reference_decode(ids[-1:], vocabulary),
            "Only the last character is left. Each is to be *added* to the text.",
        ),
    },
    praise="and `decode(encode(text))` is the text.",
)


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


def windows_at(
    starts: Tensor, ids: Tensor, context: int, distance: int = 1
) -> InputsAndTargets:
    """The inputs from `starts` (B, 1) on, and the targets that lie `distance` later."""
    positions = starts.to(ids.device) + torch.arange(context, device=ids.device)
    return ids[positions].long(), ids[positions + distance].long()


def reference_random_batch(
    ids: Tensor,
    batch_size: int,
    context: int,
    generator: torch.Generator | None = None,
) -> InputsAndTargets:
    """Solution: a random start for each row, that leaves room for the last target."""
    if len(ids) <= context:
        raise ValueError(
            f"a text of {len(ids)} ids is too short for a context of {context}:"
            f" give at least {context + 1}"
        )
    starts = torch.randint(len(ids) - context, (batch_size, 1), generator=generator)
    return windows_at(starts, ids, context)


def distance_of(first: Tensor, second: Tensor) -> int | str:
    """How much later the ids of `second` stand in a text of consecutive ids."""
    distances = (second - first).unique().tolist()
    return distances[0] if len(distances) == 1 else "not always the same"


def observe_batch(batch: InputsAndTargets, arguments: tuple) -> dict[str, Any]:
    """What makes a batch a random one, of a text of consecutive ids."""
    (x, y), (ids, batch_size, context) = batch, arguments
    if x.shape != y.shape or x.shape != (batch_size, context):
        raise ValueError("neither x nor y can be read")
    starts = (x[:, 0] - ids[0]).unique().tolist()
    return {
        "the distance of neighbours in x": distance_of(x[:, :-1], x[:, 1:]),
        "the distance from x to y": distance_of(x, y),
        "rows begin at different positions": len(starts) > 1,
        "the positions at which a row may begin": starts,
    }


def mistake_every_id_from_anywhere(
    ids: Tensor,
    batch_size: int,
    context: int,
    generator: torch.Generator | None = None,
) -> InputsAndTargets:
    """Mistake: a position of its own for each id of a row."""
    starts = torch.randint(len(ids) - 1, (batch_size * context, 1), generator=generator)
    x, y = windows_at(starts, ids, 1)
    return x.view(batch_size, context), y.view(batch_size, context)


def mistake_targets_from_other_windows(
    ids: Tensor,
    batch_size: int,
    context: int,
    generator: torch.Generator | None = None,
) -> InputsAndTargets:
    """Mistake: the starts are drawn twice, for the inputs and for the targets."""
    x, _ = reference_random_batch(ids, batch_size, context, generator)
    _, y = reference_random_batch(ids, batch_size, context, generator)
    return x, y


def batch_variant(
    first: int = 0,
    fewer: int = 0,
    distance: int = 1,
    in_blocks: bool = False,
    rows: int | None = None,
) -> Callable[..., InputsAndTargets]:
    """A mistake: the starts from `first` on, some fewer, or `rows` of them for all."""

    def mistake_in_starts_or_targets(
        ids: Tensor,
        batch_size: int,
        context: int,
        generator: torch.Generator | None = None,
    ) -> InputsAndTargets:
        last = len(ids) - context - fewer
        size = (rows or batch_size, 1)
        step = context if in_blocks else 1
        starts = torch.randint(first, last, size, generator=generator) // step * step
        return windows_at(starts.expand(batch_size, 1), ids, context, distance)

    return mistake_in_starts_or_targets


random_batch = Exercise(
    solution=reference_random_batch,
    inputs=lambda: [(torch.arange(10, 22), 400, 4), (torch.arange(5, 35), 900, 7)],
    observe=observe_batch,
    mistakes={
        "targets not shifted": (
            batch_variant(distance=0),
            "Your targets are the inputs themselves: cut them one id later.",
        ),
        "targets two ahead": (
            batch_variant(distance=2, fewer=1),
            "Your targets are two ids ahead; the answer to x[t] is the next one.",
        ),
        "targets from other windows": (
            mistake_targets_from_other_windows,
            "y does not always stand one id behind x. Are both cut from the same"
            " windows, with one and the same draw?",
        ),
        "no windows": (
            mistake_every_id_from_anywhere,
            "Not all ids in a row of x are neighbours in the text. A row is one window:"
            " it has a single start, to which 0, 1, … T − 1 are added.",
        ),
        "one start for all": (
            batch_variant(rows=1),
            "All rows are the same window: draw a start for each, `(batch_size, 1)`.",
        ),
        "last start missing": (
            batch_variant(fewer=1),
            "The last window is never read. `randint` leaves out its bound, so the"
            " bound is the number of starts, `len(ids) - context`.",
        ),
        "first start missing": (
            batch_variant(first=1),
            "The first window is never read: `randint` counts from 0.",
        ),
        "blocks": (
            batch_variant(in_blocks=True),
            "Your windows begin only at multiples of `context`, as blocks do. A random"
            " one may begin anywhere, or the model never sees what crosses a border.",
        ),
        "over the end": (
            batch_variant(fewer=-2),
            "Some positions lie beyond the end of the text. A window of T inputs needs"
            " one id more, for its last target, and `randint` leaves out its bound: it"
            " is `len(ids) - context`.",
        ),
    },
    praise="windows from anywhere, and every target one step ahead.",
    part="random_batch",
    errors={"over the end": "out of bounds|equal size"},
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
    inputs=lambda: [
        (torch.arange(100),),
        (torch.arange(57) * 3,),
        (torch.arange(1999),),
    ],
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
            " it away. Hold out whole pieces instead.",
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


def mean_probability(counted: Tensor, scored: Tensor, vocab_size: int) -> float:
    """Mean probability of ids `scored` under the add-one frequencies of `counted`."""
    counts = counted.bincount(minlength=vocab_size) + 1
    return (counts / counts.sum())[scored.long()].mean().item()


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
        **build_into(
            LOG_MISTAKES,
            lambda change: (
                lambda *arguments: change(reference_unigram_loss(*arguments))
            ),
        ),
        "sum": (
            lambda train, validation, vocab_size: (
                reference_unigram_loss(train, validation, vocab_size)
                * (len(validation) - 1)
            ),
            "That is the total surprise; divide by the number of targets, so that texts"
            " of different length can be compared.",
        ),
        "divided by N": (
            lambda train, validation, vocab_size: (
                reference_unigram_loss(train, validation, vocab_size)
                * (1 - 1 / len(validation))
            ),
            "You divided by the number of characters. The first one is never a target:"
            " N characters have N − 1 of them.",
        ),
        "logarithm of the mean": (
            lambda train, validation, vocab_size: (
                -math.log(mean_probability(train, validation[1:], vocab_size))
            ),
            "You averaged probabilities, and took the logarithm of that. A loss is the"
            " mean of the logarithms.",
        ),
        "no logarithm": (
            lambda train, validation, vocab_size: (
                -mean_probability(train, validation[1:], vocab_size)
            ),
            "Those are probabilities. Surprise is −log p: take the logarithm of each.",
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
