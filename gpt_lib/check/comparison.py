"""Whether two outcomes agree, and where they differ, in words.

Right is right however it is written: a number may be Python's, NumPy's or a tensor of
one number, a list may be a tuple, a generator or a tensor, and a tensor may be of any
type, in any layout.
"""

import math
from collections.abc import ItemsView, KeysView, Mapping, ValuesView
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Raised:
    """The outcome of a call that raised an exception."""

    error: Exception

    def __str__(self) -> str:
        name, [line, *_] = type(self.error).__name__, f"{self.error}\n".splitlines()
        short = line if len(line) <= 150 else line[:147] + "..."
        return f"{name}: {short}" if short else name


@dataclass(frozen=True)
class Outcome:
    """What a function did with one input."""

    arguments: tuple
    result: Any  # what came back, or `Raised`
    observed: Any  # what is compared
    is_readable: bool = True  # whether `observed` could be made of `result`

    def difference(self, expected: "Outcome", tolerance: float) -> str | None:
        """The first difference from another outcome in words, or None."""
        if self.is_readable and expected.is_readable:
            return describe_difference(self.observed, expected.observed, tolerance)
        message = describe_difference(self.result, expected.result, tolerance)
        return message or f"yours {short_form(self.result)}"


def describe_difference(yours: Any, expected: Any, tolerance: float) -> str | None:
    """The first difference between two outcomes in words, or None."""
    if isinstance(yours, Raised) or isinstance(expected, Raised):
        return error_difference(yours, expected)
    if isinstance(expected, Mapping):
        return parts_difference(yours, expected, tolerance)
    if isinstance(expected, Tensor) and expected.dim():
        return tensor_difference(yours, expected, tolerance)
    if isinstance(expected, tuple | list):
        return sequence_difference(yours, expected, tolerance)
    if not isinstance(expected, bool) and plain_number(expected) is not None:
        return number_difference(yours, plain_number(expected), tolerance)
    same = isinstance(yours, type(expected)) and yours == expected
    return None if same else both_forms(yours, expected)


def error_difference(yours: Any, expected: Any) -> str | None:
    """Two outcomes, one of them an exception: its type counts, or one derived of it."""
    if not isinstance(expected, Raised):
        return f"yours {short_form(yours)}"
    error_type = type(expected.error)
    if isinstance(yours, Raised) and isinstance(yours.error, error_type):
        return None
    return f"yours {short_form(yours)}, expected a {error_type.__name__}"


def parts_difference(yours: Any, expected: Mapping, tolerance: float) -> str | None:
    """The first of your observations that differs, under its name."""
    if not isinstance(yours, Mapping) or not yours.keys() <= expected.keys():
        return both_forms(yours, expected)
    for name, part in yours.items():
        if message := describe_difference(part, expected[name], tolerance):
            return f"{name}: {message}"
    return None


def tensor_difference(yours: Any, expected: Tensor, tolerance: float) -> str | None:
    """A difference in kind or shape, or the first number that differs."""
    if not isinstance(yours, Tensor):
        shape = tuple(expected.shape)
        return f"yours is {short_form(yours)}, expected a tensor {shape}"
    if yours.shape != expected.shape:
        return f"your shape {tuple(yours.shape)}, expected {tuple(expected.shape)}"
    if kind_of_numbers(yours) != kind_of_numbers(expected):
        return f"your numbers are {yours.dtype}, expected {expected.dtype}"
    first, second = as_doubles(yours), as_doubles(expected)
    close = torch.isclose(first, second, tolerance, tolerance, equal_nan=True)
    if close.all():
        return None
    position = tuple((~close).nonzero()[0].tolist())
    pair = both_forms(yours[position].item(), expected[position].item())
    return f"at {list(position)}: {pair}"


def kind_of_numbers(tensor: Tensor) -> str:
    """Counts may be whole or not; true and false, or complex numbers, are others."""
    if tensor.dtype == torch.bool:
        return "true or false"
    return "complex" if tensor.is_complex() else "real"


def as_doubles(tensor: Tensor) -> Tensor:
    """The same numbers in double precision, on the CPU, without a gradient."""
    tensor = tensor.detach().cpu()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.to(torch.complex128) if tensor.is_complex() else tensor.double()


def sequence_difference(
    yours: Any, expected: tuple | list, tolerance: float
) -> str | None:
    """A difference in length, or in the first element that differs."""
    elements = as_list(yours)
    if elements is None or len(elements) != len(expected):
        return both_forms(yours, expected)
    for index, pair in enumerate(zip(elements, expected)):
        if message := describe_difference(*pair, tolerance):
            if all(isinstance(part, Integral | str) for part in expected):
                mine = yours if isinstance(yours, tuple) else elements
                return both_forms(mine, expected)
            where = f"in part {index} of the result"
            if message.startswith("in part"):
                return message.replace("of the result", f"of {where[3:]}", 1)
            return f"{where}, {message}"
    return None


def as_list(value: Any) -> list | None:
    """The elements of a list, or of what serves as one; None for all else."""
    if isinstance(value, Tensor | np.ndarray):
        return list(value) if value.ndim else None
    ordered = tuple | list | range | KeysView | ValuesView | ItemsView
    return list(value) if isinstance(value, ordered) else None


def number_difference(yours: Any, expected: float, tolerance: float) -> str | None:
    """A difference between numbers; whole ones must be equal."""
    number = plain_number(yours)
    if number is None:
        return both_forms(yours, expected)
    if isinstance(expected, Integral):
        close = number == expected
    else:
        close = math.isclose(
            number, expected, rel_tol=tolerance, abs_tol=tolerance
        ) or (math.isnan(number) and math.isnan(expected))
    return None if close else both_forms(number, expected)


def plain_number(value: Any) -> float | None:
    """Python's number for any kind of one, or a tensor of one; None for all else."""
    if isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else None


def both_forms(yours: Any, expected: Any) -> str:
    """Two outcomes that differ, with as many digits as it takes to see it."""
    for digits in range(4, 18):
        first, second = short_form(yours, digits), short_form(expected, digits)
        if first != second:
            break
    return f"yours {first}, expected {second}"


def short_form(value: Any, digits: int = 4) -> str:
    """A short form of an outcome for a message."""
    match value:
        case Raised():
            return f"raised {value}"
        case float() | np.floating():
            return f"{float(value):.{digits}g}"
        case Tensor() if not value.dim():
            return short_form(value.item(), digits)
        case Tensor():
            return f"a tensor {tuple(value.shape)}"
        case tuple() | list():
            text = ", ".join(short_form(part, digits) for part in value)
            comma = "," if len(value) == 1 else ""
            text = f"({text}{comma})" if isinstance(value, tuple) else f"[{text}]"
        case Integral():
            text = str(value)
        case _:
            text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
