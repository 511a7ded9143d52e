"""The exercises of lesson 10."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from safetensors.torch import save as to_bytes

from gpt_lib.check.exercise import Exercise


def reference_header_tensor_names(
    data: bytes, order: str = "little", start: int = 8
) -> list[str]:
    """Solution: the names in a safetensors header."""
    length = int.from_bytes(data[:8], order)
    header = json.loads(data[start : start + length])
    return [name for name in header if name != "__metadata__"]


def mistake_metadata_as_tensor(data: bytes) -> list[str]:
    """Mistake: every key is taken for the name of a tensor."""
    length = int.from_bytes(data[:8], "little")
    return list(json.loads(data[8 : 8 + length]))


def encode_header(header: dict[str, dict]) -> bytes:
    """A header as another program might write it."""
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded


header_tensor_names = Exercise(
    solution=reference_header_tensor_names,
    inputs=lambda: [
        (to_bytes({"table": torch.zeros(2, 3)}),),
        (to_bytes({"b": torch.zeros(4), "a": torch.ones(1)}, {"by": "us"}),),
        (encode_header({"z": {}, "__metadata__": {}, "a": {}}),),  # in no order
    ],
    mistakes={
        "big-endian": (
            lambda data: reference_header_tensor_names(data, "big"),
            "You read beyond the header, into the numbers behind it. Its length is in"
            " the first eight bytes, and those are little-endian: the smallest first.",
        ),
        "from the start": (
            lambda data: reference_header_tensor_names(data, start=0),
            "The header begins after the eight bytes of its length.",
        ),
        "metadata": (
            mistake_metadata_as_tensor,
            "`__metadata__` is a note, not a tensor: leave it out.",
        ),
        "sorted": (
            lambda data: sorted(reference_header_tensor_names(data)),
            "You sorted the names; the order asked for is that of the header.",
        ),
        "all keys of one": (
            lambda data: reference_header_tensor_names(data)[:1],
            "You gave back the first tensor only; a file may hold many.",
        ),
    },
    praise="a file format, read by hand.",
    errors={"big-endian": "Extra data|invalid start byte", "from the start": "utf-32"},
)


class PowerCutError(Exception):
    """The disk of the exercise has lost its power."""


class FailingDisk:
    """A disk that loses power at its operation number `last`, or `half` through it."""

    def __init__(self, last: int, half: bool) -> None:
        self.files, self.remaining, self.half = {"model": "old model"}, last, half

    def has_power(self) -> bool:
        """Whether the power lasts for one more operation."""
        self.remaining -= 1
        if self.remaining < -1:
            raise PowerCutError
        return self.remaining >= 0

    def write(self, name: str, data: str) -> None:
        """Write a file; a power cut leaves half of it."""
        complete = self.has_power()
        if complete or self.half:
            self.files[name] = data if complete else data[: len(data) // 2]
        if not complete:
            raise PowerCutError

    def rename(self, old: str, new: str) -> None:
        """Give a file another name; a file of that name is replaced."""
        if not self.has_power():
            raise PowerCutError
        self.files[new] = self.pop(old)

    def delete(self, name: str) -> None:
        """Remove a file."""
        if not self.has_power():
            raise PowerCutError
        self.pop(name)

    def pop(self, name: str) -> str:
        """Take a file away; a FileNotFoundError if there is none of that name."""
        if name not in self.files:
            files = ", ".join(map(repr, sorted(self.files)))
            raise FileNotFoundError(
                f"there is no file {name!r} on the disk, but {files}"
            )
        return self.files.pop(name)


def after_each_cut(
    function: Callable[[FailingDisk, str], Any], args: tuple
) -> list[str]:
    """What "model" holds after a power cut at each moment, and all files at the end."""
    contents = set()
    for last, half in product(range(9), (False, True)):
        disk = FailingDisk(last, half)
        try:
            function(disk, *args)
        except PowerCutError:
            contents.add(disk.files.get("model", "nothing"))
        else:
            files = sorted(f"{name}: {data}" for name, data in disk.files.items())
            return [", ".join(sorted(contents)), *files]
    return sorted(contents)


def reference_save_atomically(disk: FailingDisk, data: str) -> None:
    """Solution: write under another name, then rename."""
    disk.write("model.new", data)
    disk.rename("model.new", "model")


def mistake_delete_old_first(disk: FailingDisk, data: str) -> None:
    """Mistake: a moment without any model."""
    disk.write("model.new", data)
    disk.delete("model")
    disk.rename("model.new", "model")


def mistake_rename_old_over_new(disk: FailingDisk, data: str) -> None:
    """Mistake: the two names of the rename are swapped."""
    disk.write("model.new", data)
    disk.rename("model", "model.new")


def mistake_rename_old_first(disk: FailingDisk, data: str) -> None:
    """Mistake: the old model is renamed before the new one is written."""
    disk.rename("model", "model.old")
    disk.write("model", data)
    disk.delete("model.old")


def mistake_save_with_two_renames(disk: FailingDisk, data: str) -> None:
    """Mistake: a moment without any model, between two renames."""
    disk.write("model.new", data)
    disk.rename("model", "model.old")
    disk.rename("model.new", "model")
    disk.delete("model.old")


def mistake_copy_over(disk: FailingDisk, data: str) -> None:
    """Mistake: written under another name, and then a second time in place."""
    disk.write("model.new", data)
    disk.write("model", data)
    disk.delete("model.new")


save_atomically = Exercise(
    solution=reference_save_atomically,
    inputs=lambda: [("new model",)],
    mistakes={
        "in place": (
            lambda disk, data: disk.write("model", data),
            "You wrote over the old model: a power cut leaves half of the new one.",
        ),
        "delete first": (
            mistake_delete_old_first,
            "Between `delete` and `rename` there is no model at all. A rename replaces"
            " what is there: no delete is needed.",
        ),
        "two renames": (
            mistake_save_with_two_renames,
            "Between your two renames there is no model. One rename is enough: it"
            " replaces what is there.",
        ),
        "rename first": (
            mistake_rename_old_first,
            "You put the old model away first: until the new one is written there is"
            " none, or half of one.",
        ),
        "copy over": (
            mistake_copy_over,
            "You wrote another file, and then the model in place: the second write can"
            " be cut in half. Rename instead.",
        ),
        "renamed the wrong way": (
            mistake_rename_old_over_new,
            "You renamed the old model over the new one, which is gone: `rename(old,"
            " new)` takes the name that is there first.",
        ),
        "never renamed": (
            lambda disk, data: disk.write("model.new", data),
            "The new model is there, but under another name: `model` is still the old"
            " one.",
        ),
    },
    praise="the old one or the new one, at every moment.",
    effect=after_each_cut,
)


def reference_steps_to_keep(
    losses: dict[int, float | None], last: int = 2
) -> list[int]:
    """Solution: the best and the last two, each once."""
    measured = [step for step in losses if losses[step] is not None]
    best = sorted(measured, key=lambda step: losses[step])[:1]
    return sorted({*best, *sorted(losses)[max(0, len(losses) - last) :]})


def mistake_unmeasured_as_zero(losses: dict[int, float | None]) -> list[int]:
    """Mistake: a loss that was not measured counts as 0."""
    return reference_steps_to_keep({step: loss or 0.0 for step, loss in losses.items()})


steps_to_keep = Exercise(
    solution=reference_steps_to_keep,
    inputs=lambda: [
        ({100: 3.1, 200: 2.4, 300: 2.6, 400: 2.7},),
        ({400: 2.2, 300: 2.6, 100: 3.1, 200: 2.4},),  # as a disk may list them
        ({300: None, 100: 2.9, 200: None, 400: 2.8, 500: 3.0, 600: 3.3},),
        ({1: None},),
        ({},),
    ],
    mistakes={
        "the last two": (
            lambda losses: sorted(losses)[-2:],
            "The best one is gone: after it the model overfitted, and nothing brings"
            " it back.",
        ),
        "the best and the last": (
            lambda losses: reference_steps_to_keep(losses, last=1),
            "You keep one of the newest: if that one is damaged, a whole stretch of"
            " training is lost. Keep two.",
        ),
        "three of the newest": (
            lambda losses: reference_steps_to_keep(losses, last=3),
            "You keep three of the newest. Two are asked for, and the best.",
        ),
        "the worst": (
            lambda losses: reference_steps_to_keep(
                {s: None if x is None else -x for s, x in losses.items()}
            ),
            "You kept the highest loss. Lower is better.",
        ),
        "not measured": (
            mistake_unmeasured_as_zero,
            "A loss of `None` was not measured; you take it for the lowest.",
        ),
        "twice": (
            lambda losses: sorted(
                [*reference_steps_to_keep(losses, last=0), *sorted(losses)[-2:]]
            ),
            "A step that is the best and among the last two is listed twice.",
        ),
        "in the order given": (
            lambda losses: [s for s in losses if s in reference_steps_to_keep(losses)],
            "They come in no order from the disk: sort them.",
        ),
        "the last two as given": (
            lambda losses: sorted(
                {*reference_steps_to_keep(losses, last=0), *list(losses)[-2:]}
            ),
            "You took the last two as they were given, not the two highest steps.",
        ),
    },
    praise="the best for writing, two for going on.",
)
