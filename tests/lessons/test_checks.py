"""Every check of every lesson, and the engine behind them."""

import math
import re

import nbformat
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gpt_lib import check
from gpt_lib.check import Exercise
from gpt_lib.course.export import code_cell_sources, lessons
from tests.lessons.exercise_defects import exercise_defects

EXERCISES = {
    (module, name): exercise
    for module in check.__all__
    if not module[0].isupper()
    for name, exercise in vars(getattr(check, module)).items()
    if isinstance(exercise, Exercise)
}
CHECK_CALL = re.compile(r"^check\.(\w+)\.(\w+)\((my_\w+)\)", re.MULTILINE)


@pytest.mark.parametrize("key", EXERCISES, ids=".".join)
def test_the_check_accepts_the_solution_and_names_each_mistake(key):
    assert exercise_defects(EXERCISES[key]) == []
    assert len(EXERCISES[key].mistakes) >= 3


def badly_named(key, exercise):
    """The functions of an exercise whose names do not tell what they are to it."""
    _, name = key
    expected = [
        (exercise.solution, f"reference_{name}$"),
        (exercise.inputs, f"{name}_inputs$|<lambda>$"),
        *((mistake, "mistake_|<lambda>$") for mistake, _ in exercise.mistakes.values()),
    ]
    return [f.__name__ for f, pattern in expected if not re.match(pattern, f.__name__)]


@pytest.mark.parametrize("key", EXERCISES, ids=".".join)
def test_names_in_a_check_tell_solution_inputs_and_mistakes_apart(key):
    assert badly_named(key, EXERCISES[key]) == []


def test_a_mistake_that_is_named_like_a_solution_is_found():
    def clip(): ...

    exercise = Exercise(clip, list, {"none": (clip, "Nothing is clipped.")}, "clipped")
    assert badly_named(("training", "clip"), exercise) == ["clip", "list", "clip"]


def check_calls():
    """(lesson, module, exercise, function) of every check that a lesson makes."""
    for path in lessons():
        for source in code_cell_sources(nbformat.read(path, as_version=4)):
            yield from ((path, *match) for match in CHECK_CALL.findall(source))


def test_every_exercise_is_set_in_its_lesson_and_each_lesson_has_some():
    calls = list(check_calls())
    assert {(module, name) for _, module, name, _ in calls} == set(EXERCISES)
    for path in lessons():
        in_lesson = [call for call in calls if call[0] == path]
        number, name = path.stem.split("_", 1)
        optional = number[-1].isalpha()  # such as 09b
        assert len(in_lesson) >= (1 if optional else 3), path.name
        assert {module for _, module, _, _ in in_lesson} == {name}


def folded_solution(notebook, function):
    """The folded text that solves an exercise, and the code in it."""
    sources = [c.source for c in notebook.cells if f"def {function}(" in c.source]
    [details] = [text for text in sources if "<summary>Solution</summary>" in text]
    [solution] = re.findall(r"```python\n(.*?)```", details, re.DOTALL)
    return details, solution.strip()


@pytest.mark.parametrize(
    "call", list(check_calls()), ids=lambda call: f"{call[1]}.{call[3]}"
)
def test_stub_hint_and_solution_are_in_the_lesson(call):
    path, module, name, function = call
    notebook = nbformat.read(path, as_version=4)
    exercise = EXERCISES[module, name]
    names = {"torch": torch, "nn": nn, "math": math, "cross_entropy": cross_entropy}
    [stub] = [
        c for c in code_cell_sources(notebook) if c.startswith(f"def {function}(")
    ]
    exec(stub, namespace := dict(names))
    assert exercise(namespace[function]).passed is None
    details, solution = folded_solution(notebook, function)
    assert "<summary>Hint</summary>" in details
    exec(solution, namespace := dict(names))
    assert exercise(namespace[function]).passed is True


# `Exercise` itself, on a small exercise


def double(x):
    return x * 2


def make_exercise(**changes):
    parts = {
        "solution": double,
        "inputs": lambda: [(torch.tensor([1.0, 2.0]),), (torch.tensor([[3.0]]),)],
        "mistakes": {
            "squared": (lambda x: x * x, "You squared it."),
            "added": (lambda x: x + 2, "You added two."),
        },
        "praise": "doubled.",
    }
    return Exercise(**parts | changes)


def test_a_good_exercise_has_no_faults():
    assert exercise_defects(make_exercise()) == []


class Lenient(Exercise):
    """A check that compares less than it should."""

    skip = ""

    def first_difference(self, yours, expected):
        message = super().first_difference(yours, expected)
        return None if message and self.skip in message else message


class BlindToNaN(Lenient):
    skip = "nan"


class BlindToShape(Lenient):
    skip = "shape"


class PassesStubs(Exercise):
    def __call__(self, attempt):
        outcomes = self.run(attempt)
        if all(outcome is None for outcome in outcomes):
            return check.Verdict(True, self.praise)
        return super().__call__(attempt)


class SwapsNames(Exercise):
    def __call__(self, attempt):
        verdict = super().__call__(attempt)
        wrong = {"squared": "added"}.get(verdict.mistake, verdict.mistake)
        return check.Verdict(verdict.passed, verdict.message, wrong)


@pytest.mark.parametrize(
    ("exercise", "fault"),
    [
        (make_exercise(solution=lambda x: None), "the solution does not pass"),
        (make_exercise(tolerance=1e9), "the mistake 'squared' passes"),
        (
            make_exercise(mistakes={"right": (double, "?")}),
            "the mistake 'right' passes",
        ),
        (
            make_exercise(
                mistakes={"one": (lambda x: -x, "1"), "two": (lambda x: 0 - x, "2")}
            ),
            "the mistake 'two' is reported as 'one'",
        ),
        (
            make_exercise(
                mistakes={"one": (lambda x: -x, "1"), "two": (lambda x: 0 - x, "2")}
            ),
            "'one' and 'two' look the same on the inputs",
        ),
        (
            make_exercise(inputs=lambda: [(torch.tensor([2.0]),)]),
            "the mistake 'squared' passes",
        ),
    ],
)
def test_a_faulty_exercise_is_caught(exercise, fault):
    assert fault in exercise_defects(exercise)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (BlindToNaN, "NaN passes"),
        (BlindToShape, "a wrong shape passes"),
        (PassesStubs, "an unedited stub is not recognised"),
        (SwapsNames, "the mistake 'squared' is reported as 'added'"),
    ],
)
def test_a_faulty_exercise_class_is_caught(kind, fault):
    exercise = make_exercise()
    parts = exercise.solution, exercise.inputs, exercise.mistakes, exercise.praise
    assert fault in exercise_defects(kind(*parts))


def documented_stub(x):
    """Says what to do."""
    ...


def forgets_return(x):
    y = x * 2  # noqa: F841


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (documented_stub, "not attempted yet"),
        (forgets_return, "✗ It gives back None: is its `return` missing?"),
        (double, "✓ doubled."),
        (lambda x: x * x, "✗ You squared it.\n  input 1 of 2: at [0]: yours 1,"),
        (lambda x: x * 3, "✗ Not yet.\n  input 1 of 2: at [0]: yours 3, expected 2"),
        (lambda x: (x * 2).tolist(), "✗ Not yet.\n  input 1 of 2: yours is [2.0, 4.0],"
         " expected a tensor (2,)"),
        (lambda x: (x * 2)[:, None], "✗ Not yet.\n  input 1 of 2: your shape (2, 1),"
         " expected (2,)"),
        (lambda x: (x * 2).long(), "✗ Not yet.\n  input 1 of 2: your numbers are"
         " torch.int64, expected torch.float32"),
        (lambda: 1, "✗ Not yet.\n  input 1 of 2: yours raised TypeError"),
        (lambda x: x * torch.nan, "✗ Not yet.\n  input 1 of 2: at [0]: yours nan,"),
        (torch.tensor([2.0, 4.0]), "✗ pass the function itself, not tensor([2., 4.])"),
    ],
)  # fmt: skip
def test_the_message_of_a_check(attempt, message):
    assert repr(make_exercise()(attempt)).startswith(message)


def test_an_attempt_cannot_change_the_inputs():
    exercise = make_exercise()

    def in_place(x):
        return x.mul_(2)

    assert exercise(in_place).passed
    assert exercise(in_place).passed


def test_every_attempt_starts_from_the_same_random_state():
    exercise = make_exercise(solution=lambda x: x + torch.rand(1), mistakes={})
    assert exercise(lambda x: x + torch.rand(1)).passed
    torch.manual_seed(7)  # not the seed of a check
    before = torch.random.get_rng_state()
    exercise(double)
    assert torch.equal(before, torch.random.get_rng_state())
