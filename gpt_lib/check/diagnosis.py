"""What is said of a wrong answer that no mistake of its exercise explains.

The line of an error, the solution in another role, or else what its numbers show.
"""

import dis
import inspect
import linecache
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from types import CodeType, FunctionType
from typing import Any

from torch import Tensor

from gpt_lib.check.comparison import Raised, as_list, describe_difference
from gpt_lib.check.findings import FINDINGS, Case, as_numbers

Function = Callable[..., Any]


def find_cause(wrong: Sequence[Case]) -> str | None:
    """One sentence that is true of the inputs on which an answer is wrong, or None."""
    comparable = [case for case in wrong if not isinstance(case.yours, Raised)]
    cases = [to_first_wrong_part(case) for case in comparable]
    sentences = (finding(cases) for finding in FINDINGS)
    return next((sentence for sentence in sentences if sentence), None)


def to_first_wrong_part(case: Case) -> Case:
    """Of a result in parts the first that is wrong; a list of numbers has no parts."""
    yours, expected = case.yours, case.expected
    if isinstance(expected, Mapping) and isinstance(yours, Mapping):
        pairs = [(yours[name], expected[name]) for name in yours]
    elif isinstance(expected, tuple | list) and as_numbers(expected) is None:
        elements = as_list(yours) or []
        pairs = zip(elements, expected) if len(elements) == len(expected) else []
    else:
        return case
    for yours, expected in pairs:
        if describe_difference(yours, expected, case.tolerance):
            part = case._replace(yours=yours, expected=expected)
            return to_first_wrong_part(part)
    return case


# An error


def describe_error(
    error: Exception, attempt: Function, arguments: Mapping[str, Any]
) -> str:
    """Where in an attempt its error came up."""
    if line := own_line(error, attempt):
        number, source = line
        return f"Line {number} raises an error" + (f": `{source}`" if source else ".")
    if arguments and isinstance(attempt, FunctionType):
        names, signature = ", ".join(arguments), inspect.signature(attempt)
        return f"It is called with ({names}), and takes {signature}."
    return "It raises an error."


def own_line(error: Exception, attempt: Function) -> tuple[int, str] | None:
    """Number and text of the last line in the attempt's own file, or cell."""
    code, traceback, number = code_of(attempt), error.__traceback__, None
    while code and traceback:
        if traceback.tb_frame.f_code.co_filename == code.co_filename:
            number = traceback.tb_lineno
        traceback = traceback.tb_next
    if code is None or number is None:
        return None
    return number, linecache.getline(code.co_filename, number).strip()


def code_of(attempt: Function) -> CodeType | None:
    """The code of a function, a partial one or a module; None of what has none."""
    while isinstance(attempt, partial):
        attempt = attempt.func
    function = inspect.unwrap(attempt)
    if not hasattr(function, "__code__"):
        function = getattr(function, "forward", None) or type(function).__call__
    return getattr(function, "__code__", None)


def unused_arguments(attempt: Function) -> list[str]:
    """The parameters of a function that are nowhere in its code."""
    code = code_of(attempt)
    if code is None:
        return []
    names = set(names_in_code(code))
    return [name for name in code.co_varnames[: code.co_argcount] if name not in names]


def names_in_code(code: CodeType) -> Iterator[str]:
    """All that is looked up by name in some code, and in functions within it."""
    for instruction in dis.get_instructions(code):
        names = instruction.argval  # one, or two at once, in newer versions of Python
        if "LOAD" in instruction.opname:
            yield from names if isinstance(names, tuple) else [str(names)]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in_code(constant)


# The solution in another role


def variants_with_swapped_arguments(
    solution: Function, names: Sequence[str]
) -> Iterator[tuple[str, Function]]:
    """Variants of a solution, each with what is said of an answer that is alike."""
    for first, second in combinations(range(len(names)), 2):
        sentence = f"It does what is right with `{names[first]}` and `{names[second]}`"
        variant = partial(call_with_swapped_arguments, solution, (first, second))
        yield f"{sentence} swapped.", variant


def variants_with_swapped_dimensions(
    solution: Function, arguments: Mapping[str, Any]
) -> Iterator[tuple[str, Function]]:
    """The same, for each two dimensions of a tensor."""
    for index, (name, value) in enumerate(arguments.items()):
        dimensions = value.dim() if isinstance(value, Tensor) else 0
        for first, second in combinations(range(dimensions), 2):
            sentence = f"It does what is right with dimensions {first} and {second}"
            yield (
                f"{sentence} of `{name}` swapped: is a `dim` wrong?",
                partial(call_with_swapped_dimensions, solution, index, (first, second)),
            )


def call_with_swapped_arguments(
    solution: Function, pair: tuple[int, int], *arguments: Any
) -> Any:
    """What a function gives for arguments of which two are swapped."""
    changed, (first, second) = list(arguments), pair
    changed[first], changed[second] = changed[second], changed[first]
    return solution(*changed)


def call_with_swapped_dimensions(
    solution: Function, index: int, dims: tuple[int, int], *arguments: Any
) -> Any:
    """What a function gives with two dimensions of an argument swapped, and back."""
    changed = list(arguments)
    changed[index] = changed[index].transpose(*dims)
    return solution(*changed).transpose(*dims)


# Words


def describe_arguments(arguments: Mapping[str, Any]) -> str:
    """The short ones among the arguments of a call, such as "step=4"."""
    values = {
        name: value.tolist()
        if isinstance(value, Tensor) and not value.is_floating_point()
        else value
        for name, value in arguments.items()
    }
    return ", ".join(
        f"{name}={value!r}"
        for name, value in values.items()
        if not isinstance(value, Tensor)
        and not callable(value)
        and len(repr(value)) <= 30
    )


def list_in_words(numbers: Sequence[int]) -> str:
    """Rising numbers in words, such as "1, 3 to 6 and 9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = []
    for run in runs:
        words += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run)
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
