"""What is wrong with an exercise: the one generic test that all of them must pass."""

import torch

from gpt_lib.check import Exercise


def exercise_faults(exercise: Exercise) -> list[str]:
    """What a check lets pass, or reports under another's name."""
    faults = []
    if exercise(exercise.solution).passed is not True:
        faults.append("the solution does not pass")

    def stub(*given): ...

    if exercise(stub).passed is not None:
        faults.append("an untouched stub is not told as such")
    outcomes = {}
    for name, (mistaken, message) in exercise.mistakes.items():
        verdict = exercise(mistaken)
        if verdict.passed is not False:
            faults.append(f"the mistake {name!r} passes")
        elif verdict.mistake != name or message not in verdict.message:
            faults.append(f"the mistake {name!r} is reported as {verdict.mistake!r}")
        outcomes[name] = exercise.run(mistaken)
    names = list(outcomes)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            if not exercise.first_difference(outcomes[one], outcomes[other]):
                faults.append(f"{one!r} and {other!r} look the same on the inputs")
    for kind, spoil in {"NaN": to_nan, "a wrong shape": to_wrong_shape}.items():
        right = exercise.run(exercise.solution)
        spoilt = [spoil(outcome) for outcome in right]
        if exercise.first_difference(spoilt, right) is None:
            faults.append(f"{kind} passes")
    return faults


def to_nan(outcome):
    """The same outcome with NaN for every number."""
    match outcome:
        case torch.Tensor() if outcome.is_floating_point():
            return torch.full_like(outcome, torch.nan)
        case tuple() | list():
            return type(outcome)(to_nan(part) for part in outcome)
        case _:
            return float("nan")


def to_wrong_shape(outcome):
    """The same outcome with one dimension too many."""
    match outcome:
        case torch.Tensor():
            return outcome[None]
        case tuple() | list():
            return type(outcome)(to_wrong_shape(part) for part in outcome)
        case _:
            return [outcome]
