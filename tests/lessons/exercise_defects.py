"""The faults of an exercise: the one generic test that all exercises must pass."""

from dataclasses import replace
from itertools import combinations

import torch

from gpt_lib.check import Exercise


def exercise_defects(exercise: Exercise) -> list[str]:
    """What its check lets pass, or reports under the name of another mistake."""
    faults = []
    if exercise(exercise.solution).passed is not True:
        faults.append("the solution does not pass")

    def stub(*arguments): ...

    if exercise(stub).passed is not None:
        faults.append("an unedited stub is not recognised")
    outcomes = {}
    for name, (mistake, message) in exercise.mistakes.items():
        verdict = exercise(mistake)
        if verdict.passed is not False:
            faults.append(f"the mistake {name!r} passes")
        elif verdict.mistake != name or message not in verdict.message:
            faults.append(f"the mistake {name!r} is reported as {verdict.mistake!r}")
        outcomes[name] = exercise.run(mistake)
    for first, second in combinations(outcomes, 2):
        if not exercise.first_difference(outcomes[first], outcomes[second]):
            faults.append(f"{first!r} and {second!r} look the same on the inputs")
    for kind, spoil in {"NaN": to_nan, "a wrong shape": to_wrong_shape}.items():
        expected = exercise.run(exercise.solution)
        spoilt = [replace(each, observed=spoil(each.observed)) for each in expected]
        if exercise.first_difference(spoilt, expected) is None:
            faults.append(f"{kind} passes")
    if forgotten := exercise.errors.keys() - exercise.mistakes.keys():
        faults.append(f"there are no mistakes of the names {sorted(forgotten)}")
    return faults


def to_nan(outcome):
    """The same outcome with NaN for every number."""
    match outcome:
        case torch.Tensor() if outcome.is_floating_point():
            return torch.full_like(outcome, torch.nan)
        case tuple() | list():
            return [to_nan(part) for part in outcome]
        case dict():
            return {name: to_nan(part) for name, part in outcome.items()}
        case _:
            return float("nan")


def to_wrong_shape(outcome):
    """The same outcome with one dimension too many, or two numbers instead of one."""
    match outcome:
        case torch.Tensor() if outcome.dim():
            return outcome[None]
        case tuple() | list():
            return [to_wrong_shape(part) for part in outcome]
        case dict():
            return {name: to_wrong_shape(part) for name, part in outcome.items()}
        case _:
            return [outcome, outcome]
