"""The exercises of lesson 00."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt_lib.check.exercise import Exercise


def reference_bytes_to_gib(size: int) -> float:
    """Solution: bytes over 1024 three times."""
    return size / 1024**3


bytes_to_gib = Exercise(
    solution=reference_bytes_to_gib,
    inputs=lambda: [(1024**3,), (3 * 2**29,), (25 * 10**9,)],
    mistakes={
        "GB": (
            lambda size: size / 1000**3,
            "You divided by 1000³: that is GB, the unit on the box of a disk. Memory is"
            " counted in GiB, 1024³ bytes.",
        ),
        "whole": (
            lambda size: float(size // 1024**3),
            "The fraction is thrown away, as by `//` or `int`: 1.5 GiB became 1. Divide"
            " with `/`, and leave it at that.",
        ),
        "MiB": (
            lambda size: size / 1024**2,
            "You divided by 1024 twice: that is MiB. Once more.",
        ),
        "KiB": (
            lambda size: size / 1024,
            "You divided by 1024 once: that is KiB. Twice more.",
        ),
        "bits": (
            lambda size: 8 * size / 1024**3,
            "You made bits of the bytes, 8 of each. GiB count bytes.",
        ),
        "upside down": (
            lambda size: 1024**3 / size,
            "The fraction is upside down: more bytes must give more GiB.",
        ),
    },
    praise="so many powers of 1024, fraction kept.",
    part="bytes_to_gib",
)


def reference_resolve_device(requested: str | None, available: Sequence[str]) -> str:
    """Solution: the requested device, or an error if it is not available."""
    if not requested:
        return available[0]
    if requested not in available:
        raise ValueError(
            f"GPT_DEVICE={requested} is not available: this machine has"
            f" {', '.join(available)}"
        )
    return requested


resolve_device = Exercise(
    solution=reference_resolve_device,
    inputs=lambda: [
        (None, ["cuda", "xpu", "cpu"]),
        ("", ["mps", "cpu"]),
        ("cpu", ["cuda", "cpu"]),
        ("xpu", ["cuda", "xpu", "cpu"]),
        ("cuda", ["cpu"]),
    ],
    mistakes={
        "silent": (
            lambda requested, available: (
                requested if requested in available else available[0]
            ),
            "A missing device is replaced without a word. Whoever asked for a GPU would"
            " wait on the wrong machine: raise a ValueError.",
        ),
        "request ignored": (
            lambda requested, available: (
                reference_resolve_device(requested, available) and available[0]
            ),
            "The request changes nothing: someone who asks for the CPU gets the GPU.",
        ),
        "no default": (
            lambda requested, available: reference_resolve_device(
                requested or "none", available
            ),
            "Without a request there is nothing to refuse: take the first available.",
        ),
        "last": (
            lambda requested, available: reference_resolve_device(
                requested or available[-1], available
            ),
            "Without a request you took the last, but the best comes first.",
        ),
        "believed": (
            lambda requested, available: requested or available[0],
            "A request is believed although the device is missing. It will fail later,"
            " somewhere less clear: raise a ValueError here.",
        ),
        "always the first": (
            lambda requested, available: available[0],
            "You always take the first: neither is a request followed, nor one for a"
            " missing device refused.",
        ),
    },
    praise="a request is honoured or refused, never forgotten.",
    part="resolve_device",
    errors={"no default": "^ValueError"},
)


def reference_relative_error(ours: Tensor, reference: Tensor) -> float:
    """Solution: the largest difference, divided by the largest number."""
    return ((ours - reference).abs().max() / reference.abs().max()).item()


relative_error = Exercise(
    solution=reference_relative_error,
    inputs=lambda: [
        (torch.tensor([100.0, -199.0]), torch.tensor([100.0, -200.0])),
        (torch.tensor([[0.5, 2.5], [3.0, 3.0]]), torch.tensor([[1, 2.5], [3, 4]])),
        (torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.5])),
    ],
    mistakes={
        "signed": (
            lambda ours, reference: (
                (ours - reference).max() / reference.abs().max()
            ).item(),
            "A result that is too small counts as no error: take `.abs()` of the"
            " difference.",
        ),
        "absolute": (
            lambda ours, reference: (ours - reference).abs().max().item(),
            "That is the absolute error. An error of 1 is nothing beside a million and"
            " a disaster beside 0.001: divide by the largest number.",
        ),
        "mean": (
            lambda ours, reference: (
                (ours - reference).abs().mean() / reference.abs().max()
            ).item(),
            "A mean hides one bad number among a million good ones: take the maximum.",
        ),
        "signed size": (
            lambda ours, reference: (
                (ours - reference).abs().max() / reference.max()
            ).item(),
            "You divided by the largest number, but −200 is larger in size than 100:"
            " take `.abs()` below the line, too.",
        ),
        "element by element": (
            lambda ours, reference: (
                ((ours - reference).abs() / reference.abs()).max().item()
            ),
            "You divided each difference by its own number; one that is nearly 0 then"
            " rules them all. Take both maxima first, then divide.",
        ),
    },
    praise="the worst case, in proportion.",
    part="relative_error",
)
