"""An exercise has a solution and the usual mistakes, and names the one that was made.

A check runs the learner's own function on a few inputs and compares what comes back
with the solution and with every known mistake. Mistakes are runnable, so the checks can
be tested: each mistake must be caught under its own name.
"""

import dis
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import isfunction
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Any]


@dataclass(frozen=True)
class Verdict:
    """The result of a check; `passed` is None for a stub that was not edited yet."""

    passed: bool | None
    message: str
    mistake: str | None = None  # the name of the mistake that it recognised

    def __repr__(self) -> str:
        return {True: "✓ ", False: "✗ ", None: ""}[self.passed] + self.message


@dataclass(frozen=True)
class Raised:
    """The outcome of a call that raised an exception."""

    error: Exception


@dataclass(frozen=True, eq=False)
class Exercise:
    """Call it with your function: `check.bigram.bigram_counts(bigram_counts)`."""

    solution: Function
    inputs: Callable[[], Sequence[tuple]]  # fresh arguments for each call
    mistakes: Mapping[str, tuple[Function, str]]  # name -> (function, message)
    praise: str
    part: str | None = None  # its counterpart in the lesson's module
    tolerance: float = 1e-5
    # (function, arguments) -> what to compare, for functions that work in place
    observe: Callable[[Function, tuple], Any] = lambda function, args: function(*args)

    def __call__(self, attempt: Function) -> Verdict:
        """Compare `attempt` with the solution, then with every known mistake."""
        if not callable(attempt):
            return Verdict(False, f"pass the function itself, not {attempt!r}")
        if is_stub(attempt):
            return Verdict(None, "not attempted yet")
        outcomes, expected = self.run(attempt), self.run(self.solution)
        if all(outcome is None for outcome in outcomes):
            return Verdict(False, "It gives back None: is its `return` missing?")
        difference = self.first_difference(outcomes, expected)
        if difference is None:
            return Verdict(True, self.praise)
        for name, (mistake, message) in self.mistakes.items():
            if self.first_difference(outcomes, self.run(mistake)) is None:
                return Verdict(False, f"{message}\n  {difference}", name)
        return Verdict(False, f"Not yet.\n  {difference}")

    def run(self, function: Function) -> list[Any]:
        """The outcome of `function` on each input, from the same random state."""
        outcomes = []
        for index in range(len(self.inputs())):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                try:
                    outcomes.append(self.observe(function, self.inputs()[index]))
                except Exception as error:
                    outcomes.append(Raised(error))
        return outcomes

    def first_difference(self, yours: list[Any], expected: list[Any]) -> str | None:
        """Where two lists of outcomes differ first, or None where they agree."""
        for index, pair in enumerate(zip(yours, expected)):
            if message := describe_difference(*pair, self.tolerance):
                return f"input {index + 1} of {len(expected)}: {message}"
        return None


def is_stub(attempt: Function) -> bool:
    """Whether a function does nothing at all, as before it was edited."""
    if not isfunction(attempt):
        return False
    instructions = list(dis.get_instructions(attempt))
    no_operations = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    constants = [i.argval for i in instructions if i.opname.endswith("CONST")]
    return all(i.opname in no_operations for i in instructions) and not any(
        constant is not None for constant in constants
    )


def describe_difference(yours: Any, expected: Any, tolerance: float) -> str | None:
    """The first difference between two outcomes in words, or None."""
    if isinstance(yours, Raised) or isinstance(expected, Raised):
        return error_difference(yours, expected)
    if isinstance(expected, Tensor):
        return tensor_difference(yours, expected, tolerance)
    if isinstance(expected, tuple | list):
        return sequence_difference(yours, expected, tolerance)
    if isinstance(expected, float):
        if isinstance(yours, Tensor) and yours.numel() == 1:
            yours = yours.item()
        close = isinstance(yours, int | float) and (
            math.isclose(yours, expected, rel_tol=tolerance, abs_tol=tolerance)
            or (math.isnan(yours) and math.isnan(expected))
        )
    else:
        close = type(yours) is type(expected) and yours == expected
    return (
        None if close else f"yours {short_form(yours)}, expected {short_form(expected)}"
    )


def error_difference(yours: Any, expected: Any) -> str | None:
    """Two outcomes of which at least one is an exception: only its type counts."""
    raised = isinstance(yours, Raised) and isinstance(expected, Raised)
    if raised and type(yours.error) is type(expected.error):
        return None
    if isinstance(expected, Raised):
        expectation = f"a {type(expected.error).__name__}"
    else:
        expectation = short_form(expected)
    return f"yours {short_form(yours)}, expected {expectation}"


def tensor_difference(yours: Any, expected: Tensor, tolerance: float) -> str | None:
    """A difference in type, shape or dtype, or the first number that differs."""
    if not isinstance(yours, Tensor):
        return (
            f"yours is {short_form(yours)}, expected a tensor {tuple(expected.shape)}"
        )
    if yours.shape != expected.shape:
        return f"your shape {tuple(yours.shape)}, expected {tuple(expected.shape)}"
    if yours.is_floating_point() != expected.is_floating_point():
        return f"your numbers are {yours.dtype}, expected {expected.dtype}"
    close = torch.isclose(
        yours.double(), expected.double(), tolerance, tolerance, equal_nan=True
    )
    if close.all():
        return None
    position = tuple((~close).nonzero()[0].tolist())
    values = (
        f"yours {short_form(yours[position].item())},"
        f" expected {short_form(expected[position].item())}"
    )
    return f"at {list(position)}: {values}" if position else values


def sequence_difference(
    yours: Any, expected: Sequence[Any], tolerance: float
) -> str | None:
    """A difference in length, or in the first element that differs."""
    if not isinstance(yours, tuple | list) or len(yours) != len(expected):
        return f"yours {short_form(yours)}, expected {short_form(expected)}"
    for index, pair in enumerate(zip(yours, expected)):
        if message := describe_difference(*pair, tolerance):
            return f"in part {index} of the result, {message}"
    return None


def short_form(value: Any) -> str:
    """A short form of an outcome for a message."""
    match value:
        case Raised(error=error):
            return f"raised {type(error).__name__}: {error}"
        case float():
            return f"{value:.4g}"
        case Tensor():
            return f"a tensor {tuple(value.shape)}"
        case _:
            text = repr(value)
            return text if len(text) <= 60 else text[:57] + "..."
