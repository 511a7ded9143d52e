"""The library is what the notebooks export, and no way of cheating goes unseen."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbformat import v4

from gpt_lib.course import export, rules
from gpt_lib.course.restore import restore


@pytest.mark.parametrize("rule", rules.EXPORT_RULES)
def test_this_project_keeps_the_rule(rule):
    assert rule(export.ROOT) == []


def edit(path, change):
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


def stale_module(project):
    module = project / "gpt_lib" / "bigram.py"
    module.write_text(module.read_text().replace("bincount", "histogram"))


def changed_notebook(project):
    def change(notebook):
        for cell in notebook.cells:
            cell.source = cell.source.replace("add: float = 1.0", "add: float = 2.0")

    edit(project / "notebooks" / "02_bigram.ipynb", change)


def missing_module(project):
    (project / "gpt_lib" / "bigram.py").unlink()


def orphan_module(project):
    (project / "gpt_lib" / "orphan.py").write_text('"""By hand."""\n')


def raising_cell(project):
    path = project / "notebooks" / "02_bigram.ipynb"
    edit(path, lambda nb: nb.cells.append(v4.new_code_cell("#| export\n1 / 0")))
    target = export.target_of(path)
    target.write_text(export.render(path))  # as if it had been forced in


def two_for_one(project):
    twin = project / "notebooks" / "04_bigram.ipynb"
    twin.write_bytes((project / "notebooks" / "02_bigram.ipynb").read_bytes())


def no_module(project):
    def change(notebook):
        notebook.cells = [c for c in notebook.cells if "default_exp" not in c.source]

    edit(project / "notebooks" / "02_bigram.ipynb", change)


FAULTS = [
    (stale_module, "gpt_lib/bigram.py is not what 02_bigram.ipynb exports"),
    (changed_notebook, "gpt_lib/bigram.py is not what 02_bigram.ipynb exports"),
    (missing_module, "gpt_lib/bigram.py is missing"),
    (orphan_module, "no notebook exports gpt_lib/orphan.py"),
    (raising_cell, "gpt_lib.bigram fails on import: ZeroDivisionError"),
    (two_for_one, "two notebooks export gpt_lib/bigram.py"),
    (no_module, "no notebook exports gpt_lib/bigram.py"),
]


@pytest.mark.parametrize(
    ("plant", "complaint"), FAULTS, ids=[f[0].__name__ for f in FAULTS]
)
def test_a_planted_fault_is_caught_in_one_line(project, plant, complaint):
    plant(project)
    found = []
    for rule in rules.EXPORT_RULES:
        try:
            found += rule(project)
        except FileNotFoundError:
            continue  # another rule names the missing file
    matching = [fault for fault in found if complaint in fault]
    assert matching, f"nobody noticed; found only {found}"
    assert "\n" not in matching[0]


def test_export_keeps_the_old_module_if_the_new_one_does_not_import(project):
    path = project / "notebooks" / "02_bigram.ipynb"
    before = export.target_of(path).read_text()
    edit(
        path,
        lambda nb: nb.cells.append(v4.new_code_cell("#| export\nfrom os import x")),
    )
    with pytest.raises(
        ImportError, match=r"02_bigram.ipynb was not exported.*ImportError"
    ):
        export.write(path)
    assert export.target_of(path).read_text() == before
    assert not list((project / "gpt_lib").glob(".*"))


def test_export_writes_only_what_changed(project):
    path = project / "notebooks" / "02_bigram.ipynb"
    assert export.write(path) is False
    changed_notebook(project)
    assert export.write(path) is True
    assert export.difference(path) is None


def test_a_misplaced_directive_cannot_be_exported(project):
    path = project / "notebooks" / "02_bigram.ipynb"
    edit(path, lambda nb: nb.cells.append(v4.new_code_cell("# hi\n#| export\nx = 1")))
    with pytest.raises(ValueError, match=r"must be line 1 of its cell.*'# hi'"):
        export.render(path)


def test_cells_that_were_not_run_or_not_saved_are_named(project):
    path = project / "notebooks" / "02_bigram.ipynb"
    run = export.code_cells(nbformat.read(path, as_version=4))
    assert export.unsaved(path, run) is None
    assert export.unsaved(path, []) is not None
    edited = [cell.replace("counts + add", "counts + 2 * add") for cell in run]
    assert export.unsaved(path, run + edited) == "pair_probabilities"  # not saved
    assert export.unsaved(path, edited) == "pair_probabilities"  # saved, not run
    broken = ["#| export\ndef pair_probabilities(:", "%time x = 1"]
    assert export.unsaved(path, run + broken) is None


def test_lessons_are_found_by_number_name_or_file():
    for name in ("02", "bigram", "02_bigram", "02_bigram.ipynb"):
        assert export.find_lesson(name).name == "02_bigram.ipynb"
    with pytest.raises(ValueError, match="no lesson '77'; the lessons are 00_device"):
        export.find_lesson("77")


TOY = """
from gpt_lib.course.export import export_lesson
export_lesson("99_toy").answer()
"""


def toy_project(project):
    """A lesson of three cells, quick to re-execute."""
    cells = [
        v4.new_markdown_cell("# Toy\n\n> A promise."),
        v4.new_code_cell("#| default_exp toy"),
        v4.new_code_cell("#| export\ndef answer():\n    return 42"),
        v4.new_code_cell("# NBVAL_CHECK_OUTPUT" + TOY),
    ]
    path = project / "notebooks" / "99_toy.ipynb"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def run_in(project, *command):
    environment = {**os.environ, "PYTHONPATH": str(project)}
    environment.pop("GPT_EXPORT")  # the folder's own conftest must set it
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_a_test_run_never_repairs_a_stale_module(project):
    path = toy_project(project)
    executed = run_in(project, "gpt_lib.course.execute", "99")
    assert executed.returncode == 0, executed.stderr
    nbval = ["pytest", str(path), "--nbval-lax", "--nbval-current-env", "-q"]
    assert run_in(project, *nbval).returncode == 0

    module = project / "gpt_lib" / "toy.py"
    stale = module.read_text().replace("42", "41")
    module.write_text(stale)
    done = run_in(project, *nbval)
    assert done.returncode == 1
    assert "gpt_lib/toy.py is not what 99_toy.ipynb exports" in done.stdout
    assert module.read_text() == stale, "the test run repaired the module"


def git_in(project, *command):
    who = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(
        ["git", "-C", project, *who, *command], check=True, capture_output=True
    )


def test_restore_brings_the_lesson_back_and_keeps_the_copy(project):
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        git_in(project, *command)
    path, module = (
        project / "notebooks" / "02_bigram.ipynb",
        project / "gpt_lib" / "bigram.py",
    )
    committed, library = path.read_bytes(), module.read_bytes()
    assert restore("02", project) is None
    changed_notebook(project)
    stale_module(project)
    mine = path.read_bytes()
    copy = restore("02", project)
    assert (path.read_bytes(), module.read_bytes()) == (committed, library)
    assert copy.read_bytes() == mine
    path.unlink()
    restore("bigram", project)
    assert path.read_bytes() == committed
    with pytest.raises(ValueError, match="no lesson '99'"):
        restore("99", project)


def test_restore_says_when_there_is_no_git(project):
    with pytest.raises(ValueError, match="only in a git checkout"):
        restore("02", project)
