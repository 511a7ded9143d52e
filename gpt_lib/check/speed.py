"""The exercises of lesson 11."""

import struct
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gpt_lib.check.exercise import Exercise


def reference_arithmetic_intensity(n: int, k: int, m: int, size: int) -> float:
    """Solution: two operations a product, three matrices moved."""
    return 2 * n * k * m / (size * (n * k + k * m + n * m))


arithmetic_intensity = Exercise(
    solution=reference_arithmetic_intensity,
    inputs=lambda: [(768, 128, 512, 4), (1, 128, 512, 2), (64, 64, 64, 4)],
    mistakes={
        "half the operations": (
            lambda n, k, m, size: reference_arithmetic_intensity(n, k, m, size) / 2,
            "Each product is also added to a sum: two operations, not one.",
        ),
        "numbers, not bytes": (
            lambda n, k, m, size: reference_arithmetic_intensity(n, k, m, 1),
            "You counted numbers; each has `size` bytes.",
        ),
        "result not written": (
            lambda n, k, m, size: 2 * n * k * m / (size * (n * k + k * m)),
            "The result moves as well: n · m numbers are written.",
        ),
        "bits": (
            lambda n, k, m, size: reference_arithmetic_intensity(n, k, m, 8 * size),
            "`size` is in bytes already, not in bits.",
        ),
        "upside down": (
            lambda n, k, m, size: 1 / reference_arithmetic_intensity(n, k, m, size),
            "That is the bytes for each operation: the fraction is upside down.",
        ),
        "operations": (
            lambda n, k, m, size: 2 * n * k * m,
            "Those are the operations. Divide by the bytes that are moved.",
        ),
        "only the table": (
            lambda n, k, m, size: 2 * n * k * m / (size * k * m),
            "You moved the table only; the input and the result move, too.",
        ),
    },
    praise="small batches have a low intensity: the table is moved for few rows.",
)


def reference_round_bits_to_bfloat16(pattern: int) -> int:
    """Solution: to the nearest, and half way to the even one."""
    upper, lower = pattern >> 16, pattern & 0xFFFF
    return upper + (lower > 0x8000 or (lower == 0x8000 and upper % 2 == 1))


def round_bits_to_bfloat16_inputs() -> list[tuple[int]]:
    """The bits of some numbers, among them ties to both sides."""
    numbers = (1.0, 3.14159274, -0.1, 1e-30)
    patterns = [struct.unpack(">I", struct.pack(">f", n))[0] for n in numbers]
    ties = (0x3F808000, 0x3F818000, 0x3F838000, 0x3F858000, 0x40008000, 0x00018000)
    beside_ties = (0x3F808001, 0x3F807FFF, 0x3FFFFFFF)
    return [(pattern,) for pattern in (*patterns, *ties, *beside_ties)]


round_bits_to_bfloat16 = Exercise(
    solution=reference_round_bits_to_bfloat16,
    inputs=round_bits_to_bfloat16_inputs,
    mistakes={
        "cut off": (
            lambda pattern: pattern >> 16,
            "You cut the lower half off: that rounds towards zero, not to the nearest.",
        ),
        "half up": (
            lambda pattern: (pattern + 0x8000) >> 16,
            "Half way between two you always round up; take the even one.",
        ),
        "half down": (
            lambda pattern: (pattern + 0x7FFF) >> 16,
            "Half way between two you always round down; take the even one.",
        ),
        "always up": (
            lambda pattern: (pattern >> 16) + (pattern & 0xFFFF > 0),
            "You round up whatever the lower half is; only from the middle on.",
        ),
        "to the odd one": (
            lambda pattern: (
                (pattern >> 16)
                + (
                    pattern & 0xFFFF > 0x8000
                    or (pattern & 0xFFFF == 0x8000 and (pattern >> 16) % 2 == 0)
                )
            ),
            "Half way you take the odd one; take the one whose last bit is 0.",
        ),
        "shifted back": (
            lambda pattern: reference_round_bits_to_bfloat16(pattern) << 16,
            "You filled up with zeros to 32 bits. The upper 16 are asked for.",
        ),
        "the lower half": (
            lambda pattern: pattern & 0xFFFF,
            "That is the lower half; sign and exponent are in the upper one.",
        ),
    },
    praise="that is what the processor does, millions of times a step.",
)


def reference_accumulated_gradients(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    micro_batches: int,
    fraction: Callable[[Tensor], float] | None = None,
    clear: bool = True,
) -> None:
    """Solution: each part's mean loss counts with its fraction of the rows."""
    if clear:
        model.zero_grad()
    for part, target in zip(x.chunk(micro_batches), y.chunk(micro_batches)):
        weight = len(part) / len(x) if fraction is None else fraction(part)
        (cross_entropy(model(part), target) * weight).backward()


def mistake_gradients_of_last_part(
    model: nn.Module, x: Tensor, y: Tensor, micro_batches: int
) -> None:
    """Mistake: the gradient is cleared before each part."""
    for part, target in zip(x.chunk(micro_batches), y.chunk(micro_batches)):
        model.zero_grad()
        (cross_entropy(model(part), target) * len(part) / len(x)).backward()


def mistake_rows_in_a_part_for_parts(
    model: nn.Module, x: Tensor, y: Tensor, micro_batches: int
) -> None:
    """Mistake: parts of so many rows, whose mean losses are divided by that number."""
    model.zero_grad()
    for part, target in zip(x.split(micro_batches), y.split(micro_batches)):
        (cross_entropy(model(part), target) / micro_batches).backward()


def accumulated_gradients_inputs(
    count: int, micro_batches: int
) -> tuple[nn.Module, Tensor, Tensor, int]:
    """A small model with an old gradient, `count` rows and their targets."""
    generator = torch.Generator().manual_seed(count)
    model = nn.Linear(4, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
            parameter.grad = torch.ones_like(parameter)
    x = torch.randn(count, 4, generator=generator)
    return model, x, torch.randint(3, (count,), generator=generator), micro_batches


def gradients_after(function: Callable[..., None], arguments: tuple) -> list[Tensor]:
    """The gradients in the model after the call."""
    function(*arguments)
    return [parameter.grad for parameter in arguments[0].parameters()]


accumulated_gradients = Exercise(
    solution=reference_accumulated_gradients,
    inputs=lambda: [
        accumulated_gradients_inputs(6, 1),
        accumulated_gradients_inputs(6, 3),
        accumulated_gradients_inputs(5, 2),
    ],
    mistakes={
        "summed": (
            lambda *arguments: reference_accumulated_gradients(
                *arguments, fraction=lambda part: 1.0
            ),
            "You added the parts' means: with 3 parts that is about 3 times too much.",
        ),
        "mean of means": (
            lambda model, x, y, micro_batches: reference_accumulated_gradients(
                model,
                x,
                y,
                micro_batches,
                fraction=lambda part: 1 / len(x.chunk(micro_batches)),
            ),
            "Every part counts the same, but the last one may have fewer rows.",
        ),
        "last part only": (
            mistake_gradients_of_last_part,
            "You clear the gradient before each part: only the last one is left.",
        ),
        "sum over rows": (
            lambda *arguments: reference_accumulated_gradients(
                *arguments, fraction=len
            ),
            "That is the gradient of the sum over the rows; the mean is asked for.",
        ),
        "split": (
            mistake_rows_in_a_part_for_parts,
            "`split` takes the number of *rows* in a part, and `micro_batches` is the"
            " number of parts: `chunk`.",
        ),
        "no backward": (
            lambda model, x, y, micro_batches: model.zero_grad(),
            "There is no gradient at all. Is `backward()` called for each part, and no"
            " `zero_grad()` after it?",
        ),
        "old gradient": (
            lambda *arguments: reference_accumulated_gradients(*arguments, clear=False),
            "What was in `.grad` before is still there: clear it first.",
        ),
    },
    praise="a batch of any size, in the memory of its largest part.",
    effect=gradients_after,
)
