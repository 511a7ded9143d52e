"""The exercises of lesson 17."""

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from gpt_lib.check.exercise import Exercise

Documents = list[list[int]]


def cut_documents(
    documents: Documents, context: int, overlap: int = 1, last: bool = True
) -> Documents:
    """Windows of documents, with so many ids of the one before."""
    windows = []
    for ids in documents:
        size = context + 1
        for start in range(0, max(len(ids) - overlap, 1), size - overlap):
            window = ids[start : start + size]
            if last or len(window) == size:
                windows.append(window)
    return windows


def reference_windows(documents: Documents, context: int) -> Documents:
    """Solution: each document by itself, and each id but its first a target once."""
    return cut_documents(documents, context)


def mistake_windows_across_documents(documents: Documents, context: int) -> Documents:
    """Mistake: the documents are joined first."""
    return cut_documents([[id for ids in documents for id in ids]], context)


def mistake_single_id_lost(documents: Documents, context: int) -> Documents:
    """Mistake: a document of one id gives no window."""
    return [w for w in cut_documents(documents, context) if len(w) > 1]


def mistake_windows_at_every_id(documents: Documents, context: int) -> Documents:
    """Mistake: a window begins at every id, so that targets are read many times."""
    return [
        ids[start : start + context + 1]
        for ids in documents
        for start in range(max(len(ids) - 1, 1))
    ]


def windows_inputs() -> list[tuple[Documents, int]]:
    """Documents shorter than a window, longer, of just its size, and of one id."""
    return [
        ([[1, 2, 3, 4, 5, 6, 7]], 3),
        ([[1, 2], [3, 4, 5]], 4),
        ([[1, 2, 3, 4, 5], [6], [7, 8, 9]], 2),
        ([[5, 6, 7, 8]], 3),
        ([], 3),
    ]


windows = Exercise(
    solution=reference_windows,
    inputs=windows_inputs,
    mistakes={
        "across documents": (
            mistake_windows_across_documents,
            "A window begins in one document and ends in the next. Cut each document by"
            " itself.",
        ),
        "no overlap": (
            lambda documents, context: cut_documents(documents, context, overlap=0),
            "Your windows do not overlap. Then the first id of a window is never a"
            " target: begin with the last id of the window before.",
        ),
        "last dropped": (
            lambda documents, context: cut_documents(documents, context, last=False),
            "What does not fill a window is lost. It is a shorter window.",
        ),
        "windows of context": (
            lambda documents, context: cut_documents(documents, context - 1),
            "Your windows have `context` ids. For so many targets they need one more.",
        ),
        "single id lost": (
            mistake_single_id_lost,
            "A document of one id is lost.",
        ),
        "at every id": (
            mistake_windows_at_every_id,
            "You begin a window at every id: the same targets come again and again."
            " Go on by `context`.",
        ),
    },
    praise="each id but a document's first is a target, once, after its own document.",
)

Example = tuple[list[int], list[int], list[bool]]


def reference_example(window: list[int], context: int, pad_id: int) -> Example:
    """Solution: filled up first, then shifted."""
    full = list(window) + [pad_id] * (context + 1 - len(window))
    targets = len(window) - 1
    return full[:-1], full[1:], [n < targets for n in range(context)]


def example_with(
    change: Callable[[Example, list[int], int, int], tuple],
) -> Callable[[list[int], int, int], tuple]:
    """An example that something was done to, with the arguments of the exercise."""

    def mistake_in_example(window: list[int], context: int, pad_id: int) -> tuple:
        example = reference_example(window, context, pad_id)
        return change(example, window, context, pad_id)

    return mistake_in_example


def example_inputs() -> list[tuple[list[int], int, int]]:
    """A short window, a full one, one with the padding's id, and one of one id."""
    return [([3, 1, 2], 4, 9), ([4, 5, 6, 7], 3, 9), ([7, 0, 7, 0], 5, 0), ([8], 2, 0)]


example = Exercise(
    solution=reference_example,
    inputs=example_inputs,
    observe=lambda result, _: {
        name: [int(number) for number in numbers]
        for name, numbers in zip(("inputs", "targets", "mask"), result, strict=True)
    },
    mistakes={
        "unshifted": (
            example_with(lambda e, *_: (e[0], e[0], e[2])),
            "Your targets are your inputs: a model that copies would be perfect. The"
            " target is the *next* id.",
        ),
        "shifted back": (
            example_with(lambda e, *_: (e[1], e[0], e[2])),
            "Inputs and targets have changed places: your targets lie in the past.",
        ),
        "mask of inputs": (
            example_with(
                lambda e, window, context, _: (
                    *e[:2],
                    [n < len(window) for n in range(context)],
                )
            ),
            "One target too many is real: after the last id of the window there is none"
            " to predict. A window of three ids has two targets.",
        ),
        "mask by id": (
            example_with(lambda e, w, c, pad: (*e[:2], [id != pad for id in e[1]])),
            "The mask looks for the padding's id. It may stand in a text, too: count"
            " the ids of the window instead.",
        ),
        "no mask": (
            example_with(lambda e, *_: (*e[:2], [True] * len(e[2]))),
            "Every target counts as real, also the padding.",
        ),
        "mask inverted": (
            example_with(lambda e, *_: (*e[:2], [not real for real in e[2]])),
            "The mask is `True` where the target is *padding*.",
        ),
        "padded in front": (
            example_with(
                lambda e, window, context, pad: (
                    [pad] * (context + 1 - len(window)) + list(window)[:-1],
                    ([pad] * (context + 1 - len(window)) + list(window))[1:],
                    e[2][::-1],
                )
            ),
            "The padding stands in front. It belongs behind the text.",
        ),
    },
    praise="the next id is asked for, and padding is not.",
)


def reference_masked_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Solution: the real targets alone."""
    return cross_entropy(logits[mask], targets[mask])


def losses_of(logits: Tensor, targets: Tensor) -> Tensor:
    """The loss (B, T) of each target."""
    return cross_entropy(logits.mT, targets, reduction="none")


def mistake_mean_of_rows(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Mistake: a mean for each row, and then their mean."""
    losses = losses_of(logits, targets) * mask
    return (losses.sum(dim=1) / mask.sum(dim=1)).mean()


def masked_loss_inputs() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Logits, targets, and masks with some, all, and few real targets."""
    generator = torch.Generator().manual_seed(3)
    inputs = []
    for lengths in ([4, 2, 1], [4, 4], [1, 3]):
        shape = len(lengths), 4
        logits = 3 * torch.randn(*shape, 5, generator=generator)
        targets = torch.randint(5, shape, generator=generator)
        mask = torch.arange(4) < torch.tensor(lengths)[:, None]
        inputs.append((logits, targets, mask))
    return inputs


masked_loss = Exercise(
    solution=reference_masked_loss,
    inputs=masked_loss_inputs,
    mistakes={
        "loss on padding": (
            lambda logits, targets, mask: losses_of(logits, targets).mean(),
            "The padding counts, too: the mask changes nothing.",
        ),
        "divided by all": (
            lambda logits, targets, mask: (losses_of(logits, targets) * mask).mean(),
            "The sum is that of the real targets, but you divide by all of them: more"
            " padding would look like a lower loss.",
        ),
        "mean of rows": (
            mistake_mean_of_rows,
            "You take the mean of each row, and then of the rows. A target in a short"
            " row counts more than one in a long row: take one mean.",
        ),
        "logits zeroed": (
            lambda logits, targets, mask: losses_of(
                logits * mask[..., None], targets
            ).mean(),
            "Logits of zero are a guess, and its loss still counts.",
        ),
        "sum": (
            lambda logits, targets, mask: (losses_of(logits, targets) * mask).sum(),
            "That is the sum. A mean does not depend on how many targets there are.",
        ),
        "padding alone": (
            lambda logits, targets, mask: (
                (losses_of(logits, targets) * ~mask).sum() / (~mask).sum().clamp(min=1)
            ),
            "That is the loss of the *padding*.",
        ),
    },
    praise="the mean over what is real.",
    part="masked_loss",
)


def hide_by(pattern: str, flags: int = 0) -> Callable[[str], str]:
    """Replace what a pattern finds."""
    return lambda text: re.sub(pattern, "(website)", text, flags=flags)


def reference_hide(text: str) -> str:
    """Solution: up to white space, but without a stop or comma at the end."""
    return hide_by(r"(?:https?://|www\.)\S*[^\s.,]")(text)


def hide_inputs() -> list[tuple[str]]:
    """Addresses in the middle, at the end, two in a line, and none."""
    return [
        ("See https://a.org/b.html now.",),
        ("It is at http://b.org, or at www.c.org/x?y=1.",),
        ("www.a.b\nhttps://c.d/e,f two lines",),
        ("no address: www or http",),
        ("twice https://a.b and https://a.b",),
    ]


hide = Exercise(
    solution=reference_hide,
    inputs=hide_inputs,
    mistakes={
        "punctuation": (
            hide_by(r"(?:https?://|www\.)\S+"),
            "The full stop or comma behind the address is gone. It belongs to the"
            " sentence.",
        ),
        "to the end": (
            hide_by(r"(?:https?://|www\.).*[^\s.,]"),
            "All up to the end of the line is gone: `.` is white space, too. An address"
            " ends before it.",
        ),
        "at the first stop": (
            hide_by(r"(?:https?://|www\.)[^\s.,]*"),
            "Addresses have stops and commas *inside*; only those at the end are not"
            " theirs.",
        ),
        "no www": (
            hide_by(r"https?://\S*[^\s.,]"),
            "An address may begin with `www.` alone.",
        ),
        "no http": (
            hide_by(r"(?:https://|www\.)\S*[^\s.,]"),
            "An address may begin with `http://`, too.",
        ),
        "only the first": (
            lambda text: re.sub(
                r"(?:https?://|www\.)\S*[^\s.,]", "(website)", text, count=1
            ),
            "Only the first address is replaced.",
        ),
        "nothing in its place": (
            lambda text: re.sub(r"(?:https?://|www\.)\S*[^\s.,]", "", text),
            "The address is gone, and nothing stands in its place.",
        ),
    },
    praise="addresses are gone, and the sentences are whole.",
)

Losses = Sequence[float]


def stop_by(
    losses: Losses, patience: int, evaluate_every: int, best_is_last: bool = False
) -> tuple[int, int]:
    """Where patience with some losses ends, and the best up to there."""
    best = number = 0
    for number, loss in enumerate(losses):
        if loss < losses[best]:
            best = number
        if number - best >= patience:
            break
    restored = number if best_is_last else best
    return number * evaluate_every, restored * evaluate_every


def reference_stop(
    train_losses: Losses, validation_losses: Losses, patience: int, evaluate_every: int
) -> tuple[int, int]:
    """Solution: the number of evaluations since the best."""
    return stop_by(validation_losses, patience, evaluate_every)


def mistake_compared_with_the_one_before(
    train_losses: Losses, validation_losses: Losses, patience: int, evaluate_every: int
) -> tuple[int, int]:
    """Mistake: an evaluation is better if it is better than the one before it."""
    waited = number = best = 0
    for number, loss in enumerate(validation_losses):
        is_worse = number > 0 and loss >= validation_losses[number - 1]
        waited = waited + 1 if is_worse else 0
        best = number if loss < validation_losses[best] else best
        if waited >= patience:
            break
    return number * evaluate_every, best * evaluate_every


def mistake_not_in_a_row(
    train_losses: Losses, validation_losses: Losses, patience: int, evaluate_every: int
) -> tuple[int, int]:
    """Mistake: all evaluations that were no better are counted together."""
    waited = number = best = 0
    for number, loss in enumerate(validation_losses):
        if loss < validation_losses[best]:
            best = number
        elif number:
            waited += 1
        if waited >= patience:
            break
    return number * evaluate_every, best * evaluate_every


def mistake_best_of_all(
    train_losses: Losses, validation_losses: Losses, patience: int, evaluate_every: int
) -> tuple[int, int]:
    """Mistake: the best weights are looked for after the end, too."""
    end, _ = stop_by(validation_losses, patience, evaluate_every)
    return end, validation_losses.index(min(validation_losses)) * evaluate_every


def stop_inputs() -> list[tuple[list[float], list[float], int, int]]:
    """Noise, learning by heart, a loss that falls to the end, and equal losses."""
    falling = [4.0, 3.0, 2.5, 2.0, 1.5, 1.2, 1.0, 0.9]
    return [
        (falling, [4.0, 3.0, 3.1, 2.9, 3.2, 3.1, 3.3, 3.4], 3, 50),
        (falling, [4.0, 3.5, 3.2, 3.1, 3.0, 2.9, 2.8, 2.7], 2, 100),
        (falling, [4.0, 3.0, 3.0, 3.0, 3.0, 2.0, 1.9, 1.8], 2, 10),
        (falling, [4.0, 3.0, 3.3, 3.2, 3.4, 2.5, 2.6, 2.7], 3, 20),
        (falling, [3.0, 3.5, 3.4, 2.8, 3.0, 2.9, 2.85, 2.0], 3, 1),
    ]


stop = Exercise(
    solution=reference_stop,
    inputs=stop_inputs,
    mistakes={
        "training loss": (
            lambda train, validation, patience, every: stop_by(train, patience, every),
            "You watch the *training* loss. It falls on while the model learns by"
            " heart: the validation loss decides.",
        ),
        "patience in steps": (
            lambda train, validation, patience, every: stop_by(
                validation, -(-patience // every), every
            ),
            "You count patience in steps. It is a number of *evaluations*.",
        ),
        "best not restored": (
            lambda train, validation, patience, every: stop_by(
                validation, patience, every, best_is_last=True
            ),
            "The weights are those of the end, not of the best evaluation.",
        ),
        "the one before": (
            mistake_compared_with_the_one_before,
            "You compare with the evaluation just before. Compare with the best of all"
            " before.",
        ),
        "not in a row": (
            mistake_not_in_a_row,
            "You count every evaluation that was no better. After a new best the count"
            " begins anew.",
        ),
        "one too late": (
            lambda train, validation, patience, every: stop_by(
                validation, patience + 1, every
            ),
            "That is one evaluation too late.",
        ),
        "one too early": (
            lambda train, validation, patience, every: stop_by(
                validation, patience - 1, every
            ),
            "That is one evaluation too early.",
        ),
        "numbers": (
            lambda train, validation, patience, every: stop_by(validation, patience, 1),
            "Those are the numbers of evaluations. Steps are asked for: times"
            " `evaluate_every`.",
        ),
        "the future": (
            mistake_best_of_all,
            "Your best evaluation comes after the end: by then the training was over.",
        ),
    },
    praise="noise is waited out, and the best weights come back.",
)
