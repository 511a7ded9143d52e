"""Each fault can be planted in today's code, and is noticed by the tests it names."""

import re
import subprocess
import sys
from collections import Counter

import pytest
from _pytest.mark.expression import Expression

from gpt_lib.course.export import ROOT
from tests.lessons.test_checks import EXERCISES
from tests.planted_faults.faults import FAULTS
from tests.planted_faults.runner import run_tests, run_without_fault, try_fault


def test_every_fault_can_still_be_planted():
    texts = {
        name: (ROOT / name).read_text("utf-8") for name in {f.file for f in FAULTS}
    }
    counts = {fault.name: texts[fault.file].count(fault.old) for fault in FAULTS}
    assert counts == {fault.name: fault.count for fault in FAULTS}


def test_every_fault_changes_something_and_has_a_name_of_its_own():
    assert [fault.name for fault in FAULTS if fault.old == fault.new] == []
    names = Counter(fault.name for fault in FAULTS)
    assert [name for name, count in names.items() if count > 1] == []


def test_every_selection_begins_with_a_test_file_that_is_there():
    files = {fault.caught_by[0].partition("::")[0] for fault in FAULTS}
    assert [name for name in files if not (ROOT / name).is_file()] == []


def is_selected(test, caught_by):
    """Whether pytest would run a test with these words, of which `-k` may be one."""
    *paths, expression = caught_by if "-k" in caught_by else (*caught_by, "")
    paths = [path for path in paths if not path.startswith("-")]
    if not any(
        test == path or re.match(re.escape(path) + r"(::|\[)", test) for path in paths
    ):
        return False
    if not expression:
        return True
    matches = Expression.compile(expression).evaluate
    return matches(lambda name, **_: name.lower() in test.lower())


@pytest.mark.slow
def test_every_selection_selects_a_test():
    """A test that was renamed would leave a fault that no test notices."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "tests"]
    collected = subprocess.run(
        [*command, "-m", "slow or not slow"], cwd=ROOT, capture_output=True, text=True
    )
    tests = [line for line in collected.stdout.splitlines() if "::" in line]
    assert len(tests) > 3000
    empty = [
        fault.name
        for fault in FAULTS
        if not any(is_selected(test, fault.caught_by) for test in tests)
    ]
    assert empty == []


def test_every_exercise_that_a_selection_names_is_there():
    """An exercise that was renamed would leave a fault that no test notices."""
    selections = [(fault.name, word) for fault in FAULTS for word in fault.caught_by]
    named = [
        (name, tuple(match[1].split(".")))
        for name, word in selections
        if (match := re.search(r"names_each_mistake\[(.+)\]$", word))
    ]
    assert len(named) >= 10
    assert [(name, key) for name, key in named if key not in EXERCISES] == []


def test_tests_that_never_end_are_ended(tmp_path):
    (tmp_path / "test_endless.py").write_text("def test():\n    while True: pass\n")
    outcome = run_tests(tmp_path, ["test_endless.py"], limit=1)
    assert outcome.code is None
    assert not outcome.passed


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_noticed(fault):
    before = run_without_fault(*fault.caught_by)
    if before.code == 0 and not before.passed:
        pytest.skip("its tests are skipped here")
    result = try_fault(fault)
    assert result.caught, f"{fault.what} {result.failure}"
