"""Each mistake, put in the place of the library's own part, must redden a test.

So the tests of a module are tested, too: by the errors that people make.
"""

import importlib

import pytest

from tests.lessons.test_exercise import EXERCISES

CASES = [
    (module, exercise.part, name)
    for (module, _), exercise in EXERCISES.items()
    if exercise.part
    for name in exercise.mistakes
]


class Outcome:
    """A pytest plugin that remembers which tests failed."""

    def __init__(self):
        self.failed, self.ran = [], 0

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.ran += 1
            if report.failed:
                self.failed.append(report.nodeid)


def run_tests_of(module):
    outcome = Outcome()
    # unraisableexception collects garbage twice a session: four fifths of its time.
    plugins_off = ["cacheprovider", "terminal", "unraisableexception"]
    options = ["-x", *(f"-pno:{name}" for name in plugins_off)]
    pytest.main([f"tests/lessons/test_{module}.py", *options], plugins=[outcome])
    return outcome


def exercise_of(module, part):
    return next(
        exercise
        for (lesson, _), exercise in EXERCISES.items()
        if (lesson, exercise.part) == (module, part)
    )


@pytest.mark.parametrize(("module", "part", "mistake"), CASES)
def test_a_mistake_in_the_library_reddens_a_test(monkeypatch, module, part, mistake):
    mistaken, _ = exercise_of(module, part).mistakes[mistake]
    monkeypatch.setattr(importlib.import_module(f"gpt_lib.{module}"), part, mistaken)
    outcome = run_tests_of(module)
    assert outcome.failed, f"{outcome.ran} tests of {module} passed with this mistake"


@pytest.mark.parametrize(("module", "part"), sorted({case[:2] for case in CASES}))
def test_the_solution_in_its_place_reddens_nothing(monkeypatch, module, part):
    solution = exercise_of(module, part).solution
    monkeypatch.setattr(importlib.import_module(f"gpt_lib.{module}"), part, solution)
    outcome = run_tests_of(module)
    assert outcome.ran > 5
    assert outcome.failed == []
