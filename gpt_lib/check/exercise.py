"""An exercise has a solution and the usual mistakes, and names the one that was made.

A check runs the learner's own function on a few inputs and compares what comes back
with the solution and with every known mistake. Mistakes are runnable, so the checks can
be tested: each mistake must be caught under its own name. Of an answer that no mistake
explains, the check says what can be said in general.
"""

import dis
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import isfunction
from itertools import chain
from typing import Any

import torch

from gpt_lib.check.comparison import Outcome, Raised
from gpt_lib.check.diagnosis import (
    describe_arguments,
    describe_error,
    find_cause,
    list_in_words,
    unused_arguments,
    variants_with_swapped_arguments,
    variants_with_swapped_dimensions,
)
from gpt_lib.check.findings import Case

Function = Callable[..., Any]
Outcomes = list[Outcome]  # one for each input


@dataclass(frozen=True)
class Verdict:
    """The result of a check; `passed` is None for a stub that was not edited yet."""

    passed: bool | None
    message: str
    mistake: str | None = None  # the name of the mistake that it recognised

    def __repr__(self) -> str:
        return {True: "✓ ", False: "✗ ", None: ""}[self.passed] + self.message


@dataclass(frozen=True, eq=False)
class Exercise:
    """Call it with your function: `check.bigram.bigram_counts(bigram_counts)`."""

    solution: Function
    inputs: Callable[[], Sequence[tuple]]  # fresh arguments for each call
    mistakes: Mapping[str, tuple[Function, str]]  # name -> (function, message)
    praise: str
    part: str | None = None  # its counterpart in the lesson's module
    tolerance: float = 1e-5
    # (result, arguments after the call) -> what is compared: of a dict of observations
    # the first that is wrong counts
    observe: Callable[[Any, tuple], Any] = lambda result, arguments: result
    # (function, input) -> what a function has done that works in place
    effect: Callable[[Function, tuple], Any] | None = None
    # name of a mistake that raises an error -> what the error says, a pattern
    errors: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, attempt: Function) -> Verdict:
        """Compare `attempt` with the solution, then with every known mistake."""
        if not callable(attempt):
            return Verdict(False, f"pass the function itself, not {attempt!r}")
        if is_stub(attempt):
            return Verdict(None, "not attempted yet")
        yours, expected = self.run(attempt), self.run(self.solution)
        if missing := self.missing_return(yours, expected):
            return Verdict(False, missing)
        if self.first_difference(yours, expected) is None:
            return Verdict(True, self.praise)
        part = self.first_wrong_part(yours, expected)
        yours = restrict(yours, part)
        for name, (mistake, message) in self.mistakes.items():
            is_alike = self.alike(yours, expected, mistake, self.errors.get(name))
            if is_alike and self.first_wrong_part(self.run(mistake), expected) == part:
                difference = self.first_difference(yours, expected)
                return Verdict(False, f"{message}\n  {difference}", name)
        causes = self.possible_causes(attempt, yours, expected)
        difference = self.first_difference(yours, expected, with_arguments=True)
        return Verdict(False, f"{' '.join(['Not yet.', *causes])}\n  {difference}")

    def run(self, function: Function, seed: int = 0) -> Outcomes:
        """The outcome of `function` on each input, from the same random state."""
        count = len(self.inputs())
        return [self.run_input(index, function, seed) for index in range(count)]

    def run_input(self, index: int, function: Function, seed: int = 0) -> Outcome:
        """The outcome of `function` on one input, with fresh arguments."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.outcome(function, self.inputs()[index])

    def outcome(self, function: Function, arguments: tuple) -> Outcome:
        """What `function` does with one input."""
        try:
            if self.effect:
                effect = self.effect(function, arguments)
                return Outcome(arguments, effect, effect)
            result = function(*arguments)
            if isinstance(result, Iterator):
                result = list(result)
        except Exception as error:
            return Outcome(arguments, Raised(error), Raised(error))
        try:
            return Outcome(arguments, result, self.observe(result, arguments))
        except Exception:  # the check's own, at something that it cannot read
            return Outcome(arguments, result, result, is_readable=False)

    def missing_return(self, yours: Outcomes, expected: Outcomes) -> str | None:
        """What is said where nothing comes back and something should."""
        missing = [i for i, outcome in enumerate(yours) if outcome.result is None]
        if len(missing) == len(yours):
            return "It gives back None: is its `return` missing?"
        wrong = [i for i in missing if expected[i].result is not None]
        if not wrong:
            return None
        where = self.location(wrong[0], with_arguments=True)
        return f"It gives back None for {where}: has every way out a `return`?"

    def first_wrong_part(self, yours: Outcomes, expected: Outcomes) -> str | None:
        """The first of the observations that is wrong on any input."""
        parts = [
            name
            for outcome in expected
            if isinstance(outcome.observed, Mapping)
            for name in outcome.observed
        ]
        for part in dict.fromkeys(parts):
            outcomes = restrict(yours, part), restrict(expected, part)
            if self.first_difference(*outcomes) is not None:
                return part
        return None

    def first_difference(
        self, yours: Outcomes, expected: Outcomes, with_arguments: bool = False
    ) -> str | None:
        """Where two lists of outcomes differ first, or None where they agree."""
        for index, (mine, right) in enumerate(zip(yours, expected)):
            if message := mine.difference(right, self.tolerance):
                return f"{self.location(index, with_arguments)}: {message}"
        return None

    def location(self, index: int, with_arguments: bool) -> str:
        """An input by its number, and if asked for by its short arguments."""
        inputs = self.inputs()
        arguments = self.named_arguments(inputs[index]) if with_arguments else {}
        text = describe_arguments(arguments)
        return f"input {index + 1} of {len(inputs)}" + (f" ({text})" if text else "")

    def named_arguments(self, arguments: tuple) -> dict[str, Any]:
        """The arguments of a call by name; what an effect is given is none."""
        names = [] if self.effect else inspect.signature(self.solution).parameters
        return dict(zip(names, arguments))

    def alike(
        self,
        yours: Outcomes,
        expected: Outcomes,
        mistake: Function,
        error_pattern: str | None = None,
    ) -> bool:
        """Whether an attempt did on each input what a mistake does.

        The type of an error proves nothing: one that was not asked for is the
        mistake's only if it says what the mistake's error says.
        """
        for index, (mine, right) in enumerate(zip(yours, expected)):
            theirs = self.run_input(index, mistake)
            is_error = isinstance(mine.result, Raised)
            if is_error and mine.difference(right, self.tolerance):
                pattern = error_pattern if isinstance(theirs.result, Raised) else None
                if not pattern or not re.search(pattern, str(mine.result)):
                    return False
            elif mine.difference(theirs, self.tolerance):
                return False
        return True

    def possible_causes(
        self, attempt: Function, yours: Outcomes, expected: Outcomes
    ) -> Iterator[str]:
        """What can be said of an attempt that no mistake explains."""
        differences = [
            mine.difference(right, self.tolerance)
            for mine, right in zip(yours, expected)
        ]
        if right := [i for i, wrong in enumerate(differences, 1) if not wrong]:
            yield f"Right on input{'s' * (len(right) > 1)} {list_in_words(right)}."
        wrong = [index for index, difference in enumerate(differences) if difference]
        mine, theirs = yours[wrong[0]], expected[wrong[0]]
        arguments = self.named_arguments(theirs.arguments)
        if self.effect and self.alike(yours, expected, do_nothing):
            yield "It changes nothing: all that it should change is as it was."
            return
        if isinstance(mine.result, Raised):
            yield describe_error(mine.result.error, attempt, arguments)
            return
        if self.is_random(attempt, yours):
            yield "It gives another result each time: is dropout on, or what is random?"
            return
        unused = [] if self.effect else unused_arguments(attempt)
        if unused:
            yield f"It never uses {' and '.join(f'`{name}`' for name in unused)}."
        variants = chain(
            # What is not used cannot be swapped, even if the results are alike.
            variants_with_swapped_arguments(self.solution, [*arguments] * (not unused)),
            variants_with_swapped_dimensions(self.solution, arguments),
        )
        for sentence, variant in variants:
            if self.alike(yours, expected, variant):
                yield sentence
                return
        if cause := find_cause([self.case(yours[i], expected[i]) for i in wrong]):
            yield cause

    def is_random(self, attempt: Function, yours: Outcomes) -> bool:
        """Whether the seed, and nothing else, changes what an attempt does."""
        again, other_seed = self.run(attempt), self.run(attempt, seed=1)
        if self.first_difference(yours, again):
            return False
        return self.first_difference(yours, other_seed) is not None

    def case(self, yours: Outcome, expected: Outcome) -> Case:
        """An input on which an attempt is wrong, as the findings look at it."""
        arguments = self.named_arguments(expected.arguments)
        if yours.is_readable:
            return Case(yours.observed, expected.observed, arguments, self.tolerance)
        return Case(yours.result, expected.result, arguments, self.tolerance)


def restrict(outcomes: Outcomes, part: str | None) -> Outcomes:
    """The same outcomes, of a dict of observations only one."""
    return [
        replace(outcome, observed={part: outcome.observed[part]})
        if part and outcome.is_readable and isinstance(outcome.observed, Mapping)
        else outcome
        for outcome in outcomes
    ]


def do_nothing(*arguments: Any) -> None:
    """What a function that works in place should not do."""


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
