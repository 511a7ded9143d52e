"""The exercises of lesson 11."""

import struct
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gpt_lib.check.exercise import Exercise


def operations_a_byte(n: int, k: int, m: int, size: int) -> float:
    """Solution: two operations a product, three matrices moved."""
    return 2 * n * k * m / (size * (n * k + k * m + n * m))


intensity = Exercise(
    solution=operations_a_byte,
    inputs=lambda: [(768, 128, 512, 4), (1, 128, 512, 2), (64, 64, 64, 4)],
    mistakes={
        "half the operations": (
            lambda n, k, m, size: operations_a_byte(n, k, m, size) / 2,
            "Each product is also added to a sum: two operations, not one.",
        ),
        "numbers, not bytes": (
            lambda n, k, m, size: operations_a_byte(n, k, m, 1),
            "You counted numbers; each has `size` bytes.",
        ),
        "result not written": (
            lambda n, k, m, size: 2 * n * k * m / (size * (n * k + k * m)),
            "The result moves as well: n · m numbers are written.",
        ),
        "bits": (
            lambda n, k, m, size: operations_a_byte(n, k, m, 8 * size),
            "`size` is in bytes already, not in bits.",
        ),
        "only the table": (
            lambda n, k, m, size: 2 * n * k * m / (size * k * m),
            "You moved the table only; the input and the result move, too.",
        ),
    },
    praise="small batches have a low intensity: the table is moved for few rows.",
)


def nearest(whole: int) -> int:
    """Solution: to the nearest, and half way to the even one."""
    upper, lower = whole >> 16, whole & 0xFFFF
    return upper + (lower > 0x8000 or (lower == 0x8000 and upper % 2 == 1))


def patterns() -> list[tuple[int]]:
    """The bits of some numbers, among them ties to both sides."""
    numbers = (1.0, 3.14159274, -0.1, 1e-30)
    wholes = [struct.unpack(">I", struct.pack(">f", n))[0] for n in numbers]
    ties = (0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x3FFFFFFF)
    return [(whole,) for whole in (*wholes, *ties)]


bfloat16 = Exercise(
    solution=nearest,
    inputs=patterns,
    mistakes={
        "cut off": (
            lambda whole: whole >> 16,
            "You cut the lower half off: that rounds towards zero, not to the nearest.",
        ),
        "half up": (
            lambda whole: (whole + 0x8000) >> 16,
            "Half way between two you always round up; take the even one.",
        ),
        "half down": (
            lambda whole: (whole + 0x7FFF) >> 16,
            "Half way between two you always round down; take the even one.",
        ),
        "always up": (
            lambda whole: (whole >> 16) + (whole & 0xFFFF > 0),
            "You round up whatever the lower half is; only from the middle on.",
        ),
        "to the odd one": (
            lambda whole: (
                (whole >> 16)
                + (
                    whole & 0xFFFF > 0x8000
                    or (whole & 0xFFFF == 0x8000 and (whole >> 16) % 2 == 0)
                )
            ),
            "Half way you take the odd one; take the one whose last bit is 0.",
        ),
        "the lower half": (
            lambda whole: whole & 0xFFFF,
            "That is the lower half; sign and exponent are in the upper one.",
        ),
    },
    praise="that is what the processor does, millions of times a step.",
)


def in_parts(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    parts: int,
    share: Callable[[Tensor], float] | None = None,
    clear: bool = True,
) -> None:
    """Solution: each part's mean loss counts with its share of the rows."""
    if clear:
        model.zero_grad()
    for part, target in zip(x.chunk(parts), y.chunk(parts)):
        weight = len(part) / len(x) if share is None else share(part)
        (cross_entropy(model(part), target) * weight).backward()


def last_part(model: nn.Module, x: Tensor, y: Tensor, parts: int) -> None:
    """Mistake: the gradient is cleared before each part."""
    for part, target in zip(x.chunk(parts), y.chunk(parts)):
        model.zero_grad()
        (cross_entropy(model(part), target) * len(part) / len(x)).backward()


def rows(count: int, parts: int) -> tuple[nn.Module, Tensor, Tensor, int]:
    """A small model with a gradient left over, and `count` rows."""
    dice = torch.Generator().manual_seed(count)
    model = nn.Linear(4, 3)
    with torch.no_grad():
        for table in model.parameters():
            table.copy_(torch.randn(table.shape, generator=dice))
            table.grad = torch.ones_like(table)
    x = torch.randn(count, 4, generator=dice)
    return model, x, torch.randint(3, (count,), generator=dice), parts


def left_behind(function: Callable[..., None], given: tuple) -> list[Tensor]:
    """The gradients in the model after the call."""
    function(*given)
    return [table.grad for table in given[0].parameters()]


gradients = Exercise(
    solution=in_parts,
    inputs=lambda: [rows(6, 1), rows(6, 3), rows(5, 2)],
    mistakes={
        "summed": (
            lambda *given: in_parts(*given, share=lambda part: 1.0),
            "You added the parts' means: with 3 parts that is about 3 times too much.",
        ),
        "mean of means": (
            lambda model, x, y, parts: in_parts(
                model, x, y, parts, share=lambda part: 1 / len(x.chunk(parts))
            ),
            "Every part counts the same, but the last one may have fewer rows.",
        ),
        "last part only": (
            last_part,
            "You clear the gradient before each part: only the last one is left.",
        ),
        "sum over rows": (
            lambda *given: in_parts(*given, share=len),
            "That is the gradient of the sum over the rows; the mean is asked for.",
        ),
        "left over": (
            lambda *given: in_parts(*given, clear=False),
            "What was in `.grad` before is still there: clear it first.",
        ),
    },
    praise="a batch of any size, in the memory of its largest part.",
    observe=left_behind,
)
