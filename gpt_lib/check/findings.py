"""What the numbers of a wrong answer show.

Each finding looks at the inputs on which an answer is wrong and says one sentence that
is true of it, or nothing. Of the cause it only asks.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gpt_lib.check.comparison import (
    Raised,
    as_doubles,
    as_list,
    describe_difference,
    kind_of_numbers,
    plain_number,
    short_form,
)


class Case(NamedTuple):
    """An input on which an answer is wrong."""

    yours: Any
    expected: Any
    arguments: Mapping[str, Any]  # by name
    tolerance: float = 1e-5


Finding = Callable[[Sequence[Case]], str | None]
NumberPair = tuple[Tensor, Tensor]  # yours and the expected ones, of one shape
Relation = Callable[[Tensor, Tensor], bool]  # of yours and the expected ones


def as_numbers(value: Any) -> Tensor | None:
    """A tensor, a number or a list of numbers as a tensor of doubles, or None."""
    if isinstance(value, Tensor):
        return as_doubles(value) if kind_of_numbers(value) == "real" else None
    elements = as_list(value)
    numbers = [plain_number(part) for part in elements or [value]]
    if None in numbers or isinstance(value, bool):
        return None
    return torch.tensor(numbers if elements else numbers[0], dtype=torch.float64)


def number_pairs(cases: Sequence[Case]) -> list[NumberPair]:
    """Numbers that can be compared one by one; none if it is not so in every case."""
    pairs = [(as_numbers(case.yours), as_numbers(case.expected)) for case in cases]
    comparable = all(
        yours is not None and expected is not None and yours.shape == expected.shape
        for yours, expected in pairs
    )
    return pairs if comparable else []


def close(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors have one shape and, but for rounding, the same numbers."""
    return first.shape == second.shape and torch.allclose(
        first, second, rtol=1e-4, atol=1e-6, equal_nan=True
    )


def holds(relation: Relation, pairs: Sequence[NumberPair]) -> bool:
    """Whether a relation holds everywhere, and two numbers or more are wrong.

    A single number is in some relation to any other.
    """
    return count_wrong(pairs) > 1 and all(relation(*pair) for pair in pairs)


def count_wrong(pairs: Sequence[NumberPair]) -> int:
    """How many numbers are wrong."""
    return sum(
        int((~torch.isclose(*pair, rtol=1e-5, atol=1e-7, equal_nan=True)).sum())
        for pair in pairs
    )


def concatenate(pairs: Sequence[NumberPair]) -> NumberPair:
    """All of your numbers in one row, and all of the expected ones."""
    yours, expected = (torch.cat([t.ravel() for t in side]) for side in zip(*pairs))
    return yours, expected


def is_constant(numbers: Tensor) -> bool:
    """Whether all numbers of a row are one."""
    return close(numbers, numbers[:1].expand_as(numbers))


def are(count: int) -> str:
    """The verb for so many."""
    return "is" if count == 1 else "are"


# Kinds of things


def find_missing_error(cases: Sequence[Case]) -> str | None:
    """An error is asked for, and none is raised."""
    yours, expected = cases[0].yours, cases[0].expected
    if not isinstance(expected, Raised):
        return None
    asked = type(expected.error).__name__
    if isinstance(yours, Exception | type):
        return f"The error is given back: `raise` the {asked} instead."
    return f"A {asked} is asked for, and nothing is raised."


def find_wrong_kind(cases: Sequence[Case]) -> str | None:
    """What comes back is another kind of thing, or not as many things."""
    yours, expected = cases[0].yours, cases[0].expected
    mine, asked = name_of_kind(yours), name_of_kind(expected)
    if callable(yours):
        return "It gives back a function: are the brackets behind its name missing?"
    if isinstance(expected, tuple | list):
        return find_wrong_count(cases)
    if isinstance(expected, str) or isinstance(yours, str | set | frozenset | dict):
        return None if mine == asked else f"It gives back {mine} instead of {asked}."
    if not isinstance(expected, Tensor) or not expected.dim():
        return find_many_numbers(cases) if plain_number(yours) is None else None
    if not isinstance(yours, Tensor):
        return f"It gives back {mine} instead of {asked}."
    kinds = kind_of_numbers(yours), kind_of_numbers(expected)
    if kinds[0] == kinds[1]:
        return None
    return f"What is in your tensor is {kinds[0]}, and should be {kinds[1]}."


def find_wrong_count(cases: Sequence[Case]) -> str | None:
    """One thing comes back instead of two, or a list of another length."""
    yours, expected = cases[0].yours, cases[0].expected
    elements, mine = as_list(yours), name_of_kind(yours)
    is_one = isinstance(yours, Tensor) and as_numbers(expected) is None
    if elements is None or is_one:
        if isinstance(expected, tuple):
            return f"It gives back {mine}, and should give back {len(expected)} things."
        return f"It gives back {mine} instead of {name_of_kind(expected)}."
    count, right = len(elements), len(expected)
    if count == right:
        return None
    for name in cases[0].arguments if isinstance(yours, list) else ():
        if all(case.yours == case.arguments.get(name) for case in cases):
            return f"It gives back `{name}` unchanged."
    message, least = f"It gives back {count} instead of {right}", min(count, right)
    if not least or describe_difference(
        elements[:least], expected[:least], cases[0].tolerance
    ):
        return f"{message}."
    return f"{message}, of which the first {least} {are(least)} right."


def name_of_kind(value: Any) -> str:
    """What kind of thing a value is, in words."""
    if isinstance(value, Tensor) and value.dim():
        return f"a tensor {tuple(value.shape)}"
    if plain_number(value) is not None:
        return "a number"
    names = {str: "text", set: "a set, which has no order,"}
    return names.get(type(value), f"a {type(value).__name__}")


REDUCTIONS = {"mean": Tensor.mean, "sum": Tensor.sum, "max": Tensor.amax}


def find_many_numbers(cases: Sequence[Case]) -> str | None:
    """Many numbers come back instead of one."""
    pairs = [(as_numbers(case.yours), as_numbers(case.expected)) for case in cases]
    if any(yours is None or expected is None for yours, expected in pairs):
        return f"It gives back {name_of_kind(cases[0].yours)} instead of a number."
    message = f"It gives back {pairs[0][0].numel()} numbers instead of one."
    for name, reduce in REDUCTIONS.items() if pairs[0][0].numel() else ():
        if all(close(reduce(yours), expected) for yours, expected in pairs):
            return f"{message} Their `.{name}()` is right."
    return message


# Shapes


def find_wrong_shape(cases: Sequence[Case]) -> str | None:
    """What makes the right shape of yours."""
    yours, expected = as_numbers(cases[0].yours), as_numbers(cases[0].expected)
    if yours is None or expected is None or yours.shape == expected.shape:
        return None
    if yours.dim() != expected.dim():
        return find_wrong_dimension(yours, expected)
    return find_permutation([(yours, expected)]) or find_wrong_size(yours, expected)


def find_wrong_dimension(yours: Tensor, expected: Tensor) -> str:
    """There are too many or too few dimensions."""
    dimensions = "dimension" if yours.dim() == 1 else "dimensions"
    message = f"Your result has {yours.dim()} {dimensions} instead of {expected.dim()}."
    if yours.squeeze().shape == expected.squeeze().shape:
        what = "many" if yours.dim() > expected.dim() else "few"
        message = f"One dimension of size 1 is too {what}."
    if yours.numel() == expected.numel() and close(yours.ravel(), expected.ravel()):
        return f"The numbers are right. {message}"
    return message


def find_permutation(pairs: Sequence[NumberPair]) -> str | None:
    """The right numbers, with their dimensions in another order."""
    for order in permutations(range(pairs[0][0].dim())):
        if not all(
            yours.dim() == len(order) and close(yours.permute(order), expected)
            for yours, expected in pairs
        ):
            continue
        moved = [d for d, source in enumerate(order) if d != source]
        if len(moved) > 2:
            return f"The numbers are right, but `permute{order}` is missing."
        swapped = f"dimensions {moved[0]} and {moved[1]} are swapped"
        return f"The numbers are right, but {swapped}."
    return None


def find_wrong_size(yours: Tensor, expected: Tensor) -> str | None:
    """One dimension is too long or too short."""
    wrong = [d for d in range(yours.dim()) if yours.size(d) != expected.size(d)]
    if len(wrong) != 1:
        return None
    [d] = wrong
    mine, right = yours.size(d), expected.size(d)
    message = f"Dimension {d} has size {mine} instead of {right}"
    least, what = min(mine, right), "too much" if mine > right else "missing"
    yours, expected = yours.movedim(d, 0), expected.movedim(d, 0)
    if least and close(yours[:least], expected[:least]):
        return f"{message}: the end is {what}, the rest is right."
    if least and close(yours[-least:], expected[-least:]):
        return f"{message}: the beginning is {what}, the rest is right."
    return f"{message}."


# Numbers


def find_argument(cases: Sequence[Case]) -> str | None:
    """An argument comes back as it is."""
    for name in cases[0].arguments:
        pairs = number_pairs(
            [case._replace(expected=case.arguments.get(name)) for case in cases]
        )
        count = sum(yours.numel() for yours, _ in pairs)
        if count > 1 and all(close(*pair) for pair in pairs):
            return f"It gives back `{name}` unchanged."
    return None


def find_single_value(cases: Sequence[Case]) -> str | None:
    """All numbers are one that should not be."""
    pairs = number_pairs(cases)
    if count_wrong(pairs) < 2:
        return None
    yours, expected = concatenate(pairs)
    if is_constant(expected) or not is_constant(yours) or not yours[0].isfinite():
        return None
    return f"Your wrong numbers are all {short_form(yours[0].item())}."


LN_2 = math.log(2)
# What your numbers are, and the factor; one is enough to show it
USUAL_FACTORS = {
    "the right ones with the wrong sign": -1,
    "1.443 = 1 / ln 2 times the right ones: bits instead of nats": 1 / LN_2,
    "0.6931 = ln 2 times the right ones: nats instead of bits": LN_2,
    "−1.443 = −1 / ln 2 times the right ones: bits, with the wrong sign": -1 / LN_2,
    "100 times the right ones: per cent": 100,
}


def find_factor(cases: Sequence[Case]) -> str | None:
    """All numbers are off by one factor, which may have a name."""
    pairs = number_pairs(cases)
    factors = [common_factor(*pair) for pair in pairs]
    if not factors or None in factors:
        return None
    is_rule = count_wrong(pairs) > 1
    known = [USUAL_FACTORS | (named_factors(c) if is_rule else {}) for c in cases]
    for name in known[0]:
        values = [usual.get(name, math.nan) for usual in known]
        if all(math.isclose(*pair, rel_tol=1e-4) for pair in zip(values, factors)):
            return f"Your numbers are {name}."
    if not is_rule or not math.isclose(min(factors), max(factors), rel_tol=1e-4):
        return None
    return f"Your numbers are {factor_in_words(factors[0])} the right ones."


def common_factor(yours: Tensor, expected: Tensor) -> float | None:
    """The factor that makes your numbers of the right ones, or None."""
    largest = expected.where(expected.isfinite(), 0).abs().argmax()
    factor = (yours.ravel()[largest] / expected.ravel()[largest]).item()
    if not factor or not math.isfinite(factor):
        return None
    return factor if close(yours, factor * expected) else None


def named_factors(case: Case) -> dict[str, float]:
    """Factors that mean something in a case, by what your numbers then are."""
    factors = {}
    for name, n in named_sizes(case):
        factors[f"the right ones times {name}"] = n
        factors[f"the right ones divided by {name}"] = 1 / n
        factors[f"the right ones times the root of {name}"] = n**0.5
        factors[f"the right ones divided by the root of {name}"] = n**-0.5
        if n < 1:
            factors[f"the right ones times 1 − {name}"] = 1 - n
            factors[f"the right ones divided by 1 − {name}"] = 1 / (1 - n)
        elif n < 1000:
            of = f"N = {name}: is a variance divided by N − 1 or by N, the wrong one?"
            ratio = 1 - 1 / n
            factors[f"the right ones times (N − 1) / N, {of}"] = ratio
            factors[f"the right ones times N / (N − 1), {of}"] = 1 / ratio
            factors[f"the right ones times √((N − 1) / N), {of}"] = ratio**0.5
            factors[f"the right ones times √(N / (N − 1)), {of}"] = ratio**-0.5
    return factors


def named_sizes(case: Case) -> Iterator[tuple[str, float]]:
    """Numbers among the arguments of a case, and sizes there and in the result."""
    values = {f"`{name}`": value for name, value in case.arguments.items()}
    for name, value in case.arguments.items():
        if isinstance(value, SimpleNamespace):  # a config
            fields = vars(value).items()
            values |= {f"`{name}.{field}`": number for field, number in fields}
    if isinstance(case.expected, Tensor):
        values["the result"] = case.expected
    for name, value in values.items():
        if isinstance(value, int | float) and value > 0 and value != 1:
            yield name, value
        elif isinstance(value, Tensor):
            sizes = {f"dimension {d}": size for d, size in enumerate(value.shape)}
            if value.dim():
                sizes |= {"the last dimension": value.size(-1)}
                sizes |= {"all dimensions together": value.numel()}
            for where, size in sizes.items():
                if size > 1:
                    yield f"the size of {name} in {where}", size


def factor_in_words(factor: float) -> str:
    """A factor, or the fraction that it is."""
    inverse, whole = round(1 / factor), round(factor)
    if 1 < abs(inverse) < 10**6 and math.isclose(1 / factor, inverse, rel_tol=1e-4):
        return f"1/{inverse} of"
    if 0 < abs(whole) < 10**6 and math.isclose(factor, whole, rel_tol=1e-4):
        return f"{whole} times"
    return f"{short_form(factor)} times"


def find_constant(cases: Sequence[Case]) -> str | None:
    """All numbers are off by one constant."""
    pairs = number_pairs(cases)
    if count_wrong(pairs) < 2:
        return None
    yours, expected = concatenate(pairs)
    difference = (yours - expected)[expected.isfinite()]
    if not difference.isfinite().all() or not is_constant(difference):
        return None
    sign = "plus" if difference[0] > 0 else "minus"
    constant = short_form(difference[0].abs().item())
    return f"Your numbers are the right ones {sign} {constant}."


# What your numbers are, and how it shows
RELATIONS: dict[str, Relation] = {
    "the logarithms of the right ones": lambda y, e: close(y, e.log()),
    "the exponentials of the right ones": lambda y, e: close(y, e.exp()),
    "the squares of the right ones": lambda y, e: close(y, e.square()),
    "the roots of the right ones": lambda y, e: close(y, e.sqrt()),
    "one over the right ones: upside down": lambda y, e: close(y, 1 / e),
    "1 minus the right ones": lambda y, e: close(y, 1 - e),
    "the right ones without their signs": lambda y, e: close(y, e.abs()),
    "the right ones, and 0 where those are negative": lambda y, e: close(y, e.relu()),
    "the right ones rounded down": lambda y, e: close(y, e.floor()),
    "the right ones rounded": lambda y, e: close(y, e.round()),
}
RELATIONS_OF_ROWS: dict[str, Relation] = {
    "the right ones before a softmax": lambda y, e: close(y.softmax(-1), e),
    "the right ones after a softmax": lambda y, e: close(y, e.softmax(-1)),
    "the right ones before a `log_softmax`": lambda y, e: close(y.log_softmax(-1), e),
    "the right ones before each row is divided by its sum": lambda y, e: close(
        y / y.sum(-1, keepdim=True), e
    ),
    "the running sums of the right ones": lambda y, e: close(y, e.cumsum(-1)),
    "those whose running sums are right": lambda y, e: close(y.cumsum(-1), e),
}


def find_relation(cases: Sequence[Case]) -> str | None:
    """Your numbers are logarithms of the right ones, or before a softmax, and so on."""
    pairs = number_pairs(cases)
    relations = RELATIONS
    if all(expected.dim() for _, expected in pairs):
        relations = RELATIONS | RELATIONS_OF_ROWS
    for name, relation in relations.items():
        if holds(relation, pairs):
            return f"Your numbers are {name}."
    return None


def find_not_finite(cases: Sequence[Case]) -> str | None:
    """NaN, or infinity in the place of a finite number."""
    for yours, expected in number_pairs(cases[:1]):
        kinds = {
            "NaN, which comes of 0 / 0, ∞ / ∞, ∞ · 0, or a softmax of nothing but −∞": (
                yours.isnan() & ~expected.isnan()
            ),
            "infinite, which comes of a division by 0, the logarithm of 0, or the"
            " exponential of a large number": yours.isinf() & expected.isfinite(),
        }
        for kind, places in kinds.items():
            if count := int(places.sum()):
                if not places.dim():
                    return f"Your number is {kind}."
                return f"{count} of {places.numel()} numbers {are(count)} {kind}."
    return None


def find_places(cases: Sequence[Case]) -> str | None:
    """The right numbers in other places."""
    pairs = number_pairs(cases)
    if not holds(lambda y, e: y.dim() > 0 and len(y.unique()) > 1, pairs):
        return None
    if permutation := find_permutation(pairs):
        return permutation
    for d in range(pairs[0][0].dim()):
        for how, relation in moves_along(d).items():
            if holds(relation, pairs):
                return f"The numbers are right, but {how} along dimension {d}."
    if holds(lambda y, e: close(y.ravel().sort()[0], e.ravel().sort()[0]), pairs):
        return "The numbers are right, but in the wrong places."
    return None


def moves_along(d: int) -> dict[str, Relation]:
    """Ways in which numbers may be moved along a dimension."""
    return {
        "in reverse order": lambda y, e: d < y.dim() and close(y.flip(d), e),
        "one place too far": lambda y, e: d < y.dim() and is_moved(y, e, d),
        "one place too early": lambda y, e: d < y.dim() and is_moved(e, y, d),
    }


def is_moved(later: Tensor, earlier: Tensor, d: int) -> bool:
    """Whether numbers stand one place later; what comes in at the end may be any."""
    later, earlier = later.movedim(d, 0), earlier.movedim(d, 0)
    return len(later) > 2 and close(later[1:], earlier[:-1])


def find_sums(cases: Sequence[Case]) -> str | None:
    """Each row should sum to one and does not."""
    for yours, expected in number_pairs(cases[:1]):
        if not expected.dim() or not sums_to_one(expected) or sums_to_one(yours):
            return None
        if yours.dim() > 1 and sums_to_one(yours.mT):
            return "Your columns sum to one (dim=-2); each row should (dim=-1)."
        if yours.dim() > 1 and sums_to_one(yours.ravel()):
            return "All of your numbers together sum to one; each row should (dim=-1)."
        sums = yours.sum(-1).ravel()
        if wrong := sums[(sums - 1).abs() > 1e-4].tolist():
            one = short_form(wrong[0])
            return f"Each row should sum to one (dim=-1), and one of yours to {one}."
    return None


def sums_to_one(numbers: Tensor) -> bool:
    """Whether each row holds probabilities."""
    sums = numbers.sum(-1)
    return bool((numbers >= 0).all()) and close(sums, torch.ones_like(sums))


def find_future(cases: Sequence[Case]) -> str | None:
    """Something stands above the diagonal, where nothing should."""
    for yours, expected in number_pairs(cases[:1]):
        *_, rows, columns = (0, 0, *expected.shape)
        is_causal = rows == columns > 1 and not expected.triu(1).any()
        if is_causal and sums_to_one(expected) and yours.triu(1).any():
            return "Above the diagonal all should be 0: in yours the future takes part."
    return None


def find_right_part(cases: Sequence[Case]) -> str | None:
    """Which rows, columns or positions are right."""
    for yours, expected in number_pairs(cases[:1]):
        right = torch.isclose(yours, expected, 1e-4, 1e-6, equal_nan=True)
        for d in range(right.dim()):
            others = [other for other in range(right.dim()) if other != d]
            right_along_d = right.all(dim=others) if others else right
            if right_along_d.any():
                indices = right_along_d.nonzero().ravel().tolist()
                return describe_right_indices(indices, d, right.shape)
        if count := int(right.sum()):
            return f"{count} of {right.numel()} numbers {are(count)} right."
    return None


def describe_right_indices(indices: list[int], d: int, shape: torch.Size) -> str:
    """Which indices are right along a dimension of a result."""
    names = {(1, 0): "numbers", (2, 0): "rows", (2, 1): "columns"}
    name = names.get((len(shape), d), f"places along dimension {d}")
    count = len(indices)
    return f"{count} of {shape[d]} {name} {are(count)} right: {indices}."


def find_direction(cases: Sequence[Case]) -> str | None:
    """All that is wrong is too large, or too small."""
    signs: set[float] = set()
    for yours, expected in number_pairs(cases):
        difference = yours - expected
        signs.update(difference[difference.abs() > 1e-6].sign().tolist())
    names = {1.0: "large", -1.0: "small"}
    return (
        f"All that is wrong is too {names[signs.pop()]}." if len(signs) == 1 else None
    )


FINDINGS: list[Finding] = [
    find_missing_error,
    find_wrong_kind,
    find_wrong_shape,
    find_argument,
    find_single_value,
    find_factor,
    find_constant,
    find_relation,
    find_not_finite,
    find_places,
    find_sums,
    find_future,
    find_right_part,
    find_direction,
]
