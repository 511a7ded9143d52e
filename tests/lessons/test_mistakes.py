"""Each mistake, put in the place of the library's own part, must make a test fail.

So the tests of a module are tested, too: by the errors that people make. Of a module's
tests those that name the part run first, and the first that fails ends the run.
"""

import importlib
import inspect

import pytest

from tests.lessons.test_checks import EXERCISES

CASES = [
    (module, exercise.part, name)
    for (module, _), exercise in EXERCISES.items()
    if exercise.part
    for name in exercise.mistakes
]


# They have a namesake in the lesson's module, but another signature, or slow tests.
WITHOUT_PART = {
    "cache.cache_bytes",
    "cache.cached_prefix_length",
    "modern.apply_rotary",
    "modern.repeat_kv",
    "modern.rms_norm",
    "muon.lr_fraction",
    "tokens.learn_merges",
}


def test_every_exercise_with_a_counterpart_in_the_library_names_it():
    parts, counterparts = {}, {}
    for (module, name), exercise in EXERCISES.items():
        parts[f"{module}.{name}"] = exercise.part
        function = getattr(importlib.import_module(f"gpt_lib.{module}"), name, None)
        if getattr(function, "__module__", "") == f"gpt_lib.{module}":
            counterparts[f"{module}.{name}"] = name
    named = {key: part for key, part in parts.items() if part}
    assert named == {
        key: name for key, name in counterparts.items() if key not in WITHOUT_PART
    }


class Outcome:
    """A pytest plugin that runs the tests that name a part before all others.

    It records how many tests ran, and which failed.
    """

    def __init__(self, part, others):
        self.part, self.others = part, others
        self.failed, self.ran = [], 0

    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: not self.names_part(item))
        named = [item for item in items if self.names_part(item)]
        if named and not self.others:
            items[:] = named

    def names_part(self, item):
        return self.part in inspect.getsource(item.function)

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.ran += 1
            if report.failed:
                self.failed.append(report.nodeid)


def run_tests_of(module, part, others=True):
    """Run a module's tests up to the first that fails; without `others`, the part's."""
    outcome = Outcome(part, others)
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
def test_a_mistake_in_the_library_fails_a_test(monkeypatch, module, part, mistake):
    function, _ = exercise_of(module, part).mistakes[mistake]
    monkeypatch.setattr(importlib.import_module(f"gpt_lib.{module}"), part, function)
    outcome = run_tests_of(module, part)
    assert outcome.failed, f"{outcome.ran} tests of {module} passed with this mistake"


@pytest.mark.parametrize(("module", "part"), sorted({case[:2] for case in CASES}))
def test_the_solution_in_its_place_fails_no_test(monkeypatch, module, part):
    solution = exercise_of(module, part).solution
    monkeypatch.setattr(importlib.import_module(f"gpt_lib.{module}"), part, solution)
    outcome = run_tests_of(module, part, others=False)
    assert outcome.ran
    assert outcome.failed == []
