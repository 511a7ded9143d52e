"""The library is what the notebooks export, and no way of cheating goes unseen."""

import os
import re
import subprocess
import sys

import nbformat
import pytest
from nbformat import v4

from gpt_lib.course import export, rules
from gpt_lib.course.execute import execute
from gpt_lib.course.restore import restore
from tests.kill_points import deaths


@pytest.mark.parametrize("rule", rules.EXPORT_RULES)
def test_this_project_keeps_the_rule(rule):
    assert rule(export.ROOT) == []


def edit(path, change):
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


def add_cell(path, source):
    edit(path, lambda notebook: notebook.cells.append(v4.new_code_cell(source)))


# Faults planted in a copy of this project

BIGRAM = "notebooks/02_bigram.ipynb"
PAIRS = "#| export pairs\ndef follow(a: int) -> int:\n    return a + 1"
PAIRS_QUOTE = "\n\n> `pairs`: What follows what."


def add_second_module(project, lesson=BIGRAM, quote=PAIRS_QUOTE):
    """The lesson exports gpt_lib/pairs.py, too."""

    def change(notebook):
        title, promise, rest = notebook.cells[0].source.split("\n\n", 2)
        notebook.cells[0].source = f"{title}\n\n{promise}{quote}\n\n{rest}"
        notebook.cells.append(v4.new_code_cell(PAIRS))

    path = project / lesson
    edit(path, change)
    if quote:
        export.export_notebook(path)
    return path


def stale_module(project):
    module = project / "gpt_lib" / "bigram.py"
    module.write_text(module.read_text().replace("bincount", "histogram"))


def changed_notebook(project):
    def change(notebook):
        for cell in notebook.cells:
            cell.source = cell.source.replace("add: float = 1.0", "add: float = 2.0")

    edit(project / BIGRAM, change)


def missing_module(project):
    (project / "gpt_lib" / "bigram.py").unlink()


def orphan_module(project):
    (project / "gpt_lib" / "orphan.py").write_text('"""By hand."""\n')


def raising_cell(project):
    path = project / BIGRAM
    add_cell(path, "#| export\n1 / 0")
    [target] = export.module_paths(path)
    target.write_text(export.render(path)["bigram"])  # as if it had been forced in


def two_for_one(project):
    copy = project / "notebooks" / "04_bigram.ipynb"
    copy.write_bytes((project / BIGRAM).read_bytes())


def no_module(project):
    def change(notebook):
        notebook.cells = [c for c in notebook.cells if "default_exp" not in c.source]

    edit(project / BIGRAM, change)


def stale_second_module(project):
    add_second_module(project)
    module = project / "gpt_lib" / "pairs.py"
    module.write_text(module.read_text().replace("a + 1", "a + 2"))


def missing_second_module(project):
    add_second_module(project)
    (project / "gpt_lib" / "pairs.py").unlink()


def second_module_without_a_quote(project):
    add_second_module(project, quote="")


def second_module_in_two_words(project):
    add_cell(project / BIGRAM, "#| export my pairs\nx = 1")


def second_module_of_two_lessons(project):
    add_second_module(project)
    add_second_module(project, lesson="notebooks/03_training.ipynb")


def second_module_without_tests(project):
    add_second_module(project)


def second_module_over_a_part_by_hand(project):
    path = project / BIGRAM
    add_cell(path, "#| export views\nx = 1")


def second_module_that_raises(project):
    path = add_second_module(project)
    add_cell(path, "#| export pairs\n1 / 0")
    module = project / "gpt_lib" / "pairs.py"
    module.write_text(export.render(path)["pairs"])


FAULTS = [
    (stale_module, "gpt_lib/bigram.py is not what 02_bigram.ipynb exports"),
    (changed_notebook, "gpt_lib/bigram.py is not what 02_bigram.ipynb exports"),
    (missing_module, "gpt_lib/bigram.py is missing"),
    (orphan_module, "no notebook exports gpt_lib/orphan.py"),
    (raising_cell, "gpt_lib.bigram fails on import: ZeroDivisionError"),
    (two_for_one, "two notebooks export gpt_lib/bigram.py"),
    (no_module, "no notebook exports gpt_lib/bigram.py"),
    (stale_second_module, "gpt_lib/pairs.py is not what 02_bigram.ipynb exports"),
    (missing_second_module, "gpt_lib/pairs.py is missing"),
    (second_module_without_a_quote, "`#| export pairs` needs a quote of its own"),
    (second_module_in_two_words, "one cell has '#| export my pairs'"),
    (second_module_of_two_lessons, "two notebooks export gpt_lib/pairs.py"),
    (second_module_without_tests, "tests/lessons/test_pairs.py is missing"),
    (second_module_over_a_part_by_hand, "views, which is written by hand"),
    (second_module_that_raises, "gpt_lib.pairs fails on import: ZeroDivisionError"),
]


@pytest.mark.parametrize(
    ("plant", "complaint"), FAULTS, ids=[plant.__name__ for plant, _ in FAULTS]
)
def test_a_planted_fault_is_caught_in_one_line(project, plant, complaint):
    plant(project)
    matching, faults = [], []
    for rule in rules.EXPORT_RULES:
        faults += rule(project)
        matching += [fault for fault in faults if complaint in fault]
        if matching:
            break
    assert matching, f"nobody noticed; found only {faults}"
    assert "\n" not in matching[0]


# A lesson's module


def test_export_keeps_the_old_module_if_the_new_one_does_not_import(project):
    path = project / BIGRAM
    [target] = export.module_paths(path)
    before = target.read_text()
    add_cell(path, "#| export\nfrom os import x")
    with pytest.raises(
        ImportError, match=r"02_bigram.ipynb was not exported.*ImportError"
    ):
        export.export_notebook(path)
    assert target.read_text() == before
    assert not list((project / "gpt_lib").glob(".*"))


def test_export_writes_only_what_changed(project):
    path = project / BIGRAM
    assert export.export_notebook(path) is False
    changed_notebook(project)
    assert export.export_notebook(path) is True
    assert export.first_module_difference(path) is None


@pytest.mark.parametrize(
    "lines",
    ["# hi\n#| export", "#| export my-pairs", "#| exports", "#export", "# export",
     "#| Export", "# | export", "#|EXPORT pairs", "x = 0\n    #| export",
     "#| export\n#| export pairs", "#| default_exp other", "#| default_exp my-pairs",
     "# default_exp bigram", "#| Default_Exp bigram"],
)  # fmt: skip
def test_a_misplaced_directive_cannot_be_exported(project, lines):
    path = project / BIGRAM
    add_cell(path, f"{lines}\nx = 1")
    directive = re.escape(repr(lines.splitlines()[-1].strip()))
    with pytest.raises(ValueError, match=rf"must be line 1 of its cell.*{directive}$"):
        export.render(path)


@pytest.mark.parametrize(
    "comment", ["# export the model", "# exported by hand", "print('#| export')"]
)
def test_a_comment_is_no_directive(project, comment):
    path = project / BIGRAM
    add_cell(path, f"{comment}\nx = 1")
    export.render(path)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("02_bigram-Copy1", "02_bigram-Copy1.ipynb is a copy, and is not exported"),
        ("02_bigram_mine", "02_bigram_mine.ipynb is a copy, and is not exported"),
        ("Untitled", "Untitled.ipynb is a copy, and is not exported"),
        ("04_bigram", "04_bigram.ipynb and 02_bigram.ipynb have the same number or n"),
    ],
)
def test_a_copy_is_never_written_over_the_library(project, name, complaint):
    saved = (project / BIGRAM).read_bytes()
    changed_notebook(project)
    copy = (project / BIGRAM).rename(project / "notebooks" / f"{name}.ipynb")
    (project / BIGRAM).write_bytes(saved)
    before = (project / "gpt_lib" / "bigram.py").read_text()
    with pytest.raises(ValueError, match=complaint):
        export.export_notebook(copy)
    assert (project / "gpt_lib" / "bigram.py").read_text() == before


def test_two_lessons_with_one_number_are_both_refused(project):
    other = project / "notebooks" / "02_pairs.ipynb"
    source = (
        (project / BIGRAM)
        .read_text()
        .replace("default_exp bigram", "default_exp pairs")
    )
    other.write_text(source)
    for path in (project / BIGRAM, other):
        with pytest.raises(ValueError, match="have the same number or name"):
            export.export_notebook(path)


@pytest.mark.parametrize("lesson", ["09", "12", "13"])
def test_what_is_exported_does_not_depend_on_the_locale(lesson):
    """These have letters that are not ASCII; Windows' default is no UTF-8 either."""
    code = (
        "from gpt_lib.course import export;"
        f"assert export.first_module_difference(export.find_lesson({lesson!r})) is None"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**os.environ, **locale}, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="forks processes")
def test_an_export_may_end_at_any_change(project):
    """Each module is the old or the new one; the next export is as if nothing was."""
    path = project / "notebooks" / "10_checkpoints.ipynb"  # of two modules
    targets = export.module_paths(path)
    before = {target: target.read_text() for target in targets}
    add_cell(path, "#| export\nNEW = 1")
    add_cell(path, "#| export runs\nNEWER = 2")
    modules, points = export.render(path), 0
    for _ in deaths(lambda: export.export_notebook(path)):
        points += 1
        for target in targets:
            assert target.read_text() in (before[target], modules[target.stem])
        export.export_notebook(path)
        assert not list((project / "gpt_lib").glob(".*.py"))
        assert all(target.read_text() == modules[target.stem] for target in targets)
        for target in targets:
            target.write_text(before[target])
    assert points > 5


def test_a_copy_beside_a_lesson_is_named(project):
    copy = project / "notebooks" / "02_bigram-Copy1.ipynb"
    copy.write_bytes((project / BIGRAM).read_bytes())
    assert export.copies_of(project / BIGRAM) == [copy]
    assert export.export_notebook(project / BIGRAM) is False
    optional = project / "notebooks" / "09b_beam.ipynb"
    assert export.copies_of(project / "notebooks" / "09_generation.ipynb") == []
    assert optional.is_file()


def test_the_last_cell_of_a_copy_says_so(monkeypatch, capsys):
    monkeypatch.setenv("JPY_SESSION_NAME", "/here/notebooks/02_bigram-Copy1.ipynb")
    module = export.export_lesson("02_bigram")
    assert module.__name__ == "gpt_lib.bigram"
    said = (
        "02_bigram-Copy1.ipynb is a copy: the lesson is 02_bigram.ipynb; not exported"
    )
    assert capsys.readouterr().out == said + "\n"


def test_cells_that_were_not_run_or_not_saved_are_named(project):
    path = project / BIGRAM
    run = export.code_cell_sources(nbformat.read(path, as_version=4))
    assert export.find_unsaved_definition(path, run) is None
    assert export.find_unsaved_definition(path, []) is not None
    edited = [cell.replace("counts + add", "counts + 2 * add") for cell in run]
    not_saved, not_run = run + edited, edited
    assert export.find_unsaved_definition(path, not_saved) == "bigram_probabilities"
    assert export.find_unsaved_definition(path, not_run) == "bigram_probabilities"
    broken = ["#| export\ndef bigram_probabilities(:", "%time x = 1"]
    assert export.find_unsaved_definition(path, run + broken) is None


def test_lessons_are_found_by_number_name_or_file():
    for name in ("02", "bigram", "02_bigram", "02_bigram.ipynb"):
        assert export.find_lesson(name).name == "02_bigram.ipynb"
    with pytest.raises(ValueError, match="no lesson '77'; the lessons are 00_device"):
        export.find_lesson("77")


def test_an_optional_lesson_has_a_letter_and_follows_its_number(tmp_path):
    names = ["09_generation", "09b_beam", "10_checkpoints"]
    (tmp_path / "notebooks").mkdir()
    for name in ["draft", "9_short", "09bb_long", *reversed(names)]:
        (tmp_path / "notebooks" / f"{name}.ipynb").touch()
    assert [path.stem for path in export.lessons(tmp_path)] == names
    assert export.find_lesson("09", tmp_path).stem == "09_generation"
    assert export.find_lesson("09b", tmp_path).stem == "09b_beam"
    assert export.find_lesson("beam", tmp_path).stem == "09b_beam"


# A lesson with two modules

LETTERS = '''#| export
import gzip
import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

LIMIT = 10


def letters(text: str) -> set[str]:
    """The letters of a text."""
    return set(text)'''
USED_BY_PAIRS = '''#| export pairs
import json


def pairs(text: str, most: int = LIMIT) -> Iterator[tuple[str, str]]:
    """Neighbours in a text, as letters."""
    gzip = "not the module"
    yield from ((a, b) for a in letters(text) for b in gzip[:most])


def total(x: Tensor) -> float:
    """The sum of x."""
    return torch.sum(x).item() + len(json.dumps(""))'''
PAIRS_MODULE = '''"""Neighbours in a text,
two by two."""

# AUTOGENERATED! DO NOT EDIT! File to edit: ../notebooks/98_letters.ipynb.

import json
from collections.abc import Iterator

import torch
from torch import Tensor

from .letters import LIMIT, letters


def pairs('''


def two_modules(root, *sources, name="98_letters"):
    """A lesson of two modules in an otherwise empty project."""
    quotes = "> Letters of a text.\n\n> `pairs`: Neighbours in a text,\n> two by two."
    cells = [
        v4.new_markdown_cell(f"# Letters\n\n{quotes}\n\n| goal |"),
        v4.new_code_cell("#| default_exp letters"),
        *map(v4.new_code_cell, sources or (LETTERS, USED_BY_PAIRS)),
    ]
    path = root / "notebooks" / f"{name}.ipynb"
    for folder in (path.parent, root / "gpt_lib"):
        folder.mkdir(exist_ok=True)
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


def test_a_second_module_reads_as_if_written_by_hand(tmp_path):
    """It has its docstring, and imports what it uses of the first, nothing else."""
    modules = export.render(two_modules(tmp_path))
    assert list(modules) == ["letters", "pairs"]
    assert modules["letters"].startswith('"""Letters of a text."""\n\n# AUTOGENERATED!')
    assert "pairs" not in modules["letters"]
    assert modules["pairs"].startswith(PAIRS_MODULE)


def test_the_first_module_comes_first_wherever_its_cells_stand(tmp_path):
    path = two_modules(tmp_path, USED_BY_PAIRS, LETTERS)
    assert [target.stem for target in export.module_paths(path)] == ["letters", "pairs"]
    assert export.export_notebook(path)
    assert export.first_module_difference(path) is None


def test_all_new_modules_import_before_one_is_replaced(tmp_path):
    path = two_modules(tmp_path)
    assert export.export_notebook(path)
    before = [target.read_text() for target in export.module_paths(path)]
    two_modules(tmp_path, LETTERS.replace("10", "11"), USED_BY_PAIRS + "\n\n\n1 / 0")
    with pytest.raises(ImportError, match=r"gpt_lib/pairs.py is unchanged: .*ZeroDiv"):
        export.export_notebook(path)
    assert [target.read_text() for target in export.module_paths(path)] == before
    assert sorted(path.name for path in (tmp_path / "gpt_lib").iterdir()) == [
        "letters.py",
        "pairs.py",
    ]
    assert "gpt_lib.letters" not in sys.modules


def test_a_second_module_is_tried_with_the_new_first_one(tmp_path):
    path = two_modules(tmp_path)
    assert export.export_notebook(path)
    renamed = [cell.replace("LIMIT", "MOST") for cell in (LETTERS, USED_BY_PAIRS)]
    two_modules(tmp_path, *renamed)
    assert export.export_notebook(path)
    assert "from .letters import MOST, letters" in export.render(path)["pairs"]


def test_an_unsaved_cell_of_a_second_module_is_named(tmp_path):
    path = two_modules(tmp_path)
    assert export.find_unsaved_definition(path, [LETTERS, USED_BY_PAIRS]) is None
    edited = USED_BY_PAIRS.replace("sum of x", "sum")
    assert (
        export.find_unsaved_definition(path, [LETTERS, USED_BY_PAIRS, edited]) == "json"
    )
    moved = USED_BY_PAIRS.replace("export pairs", "export")
    assert export.find_unsaved_definition(path, [LETTERS, moved]) is not None
    # The same name in both modules is two things.
    again = "#| export pairs\nimport torch"
    two_modules(tmp_path, LETTERS, again)
    assert export.find_unsaved_definition(path, [LETTERS, again]) is None


# A whole lesson, re-executed

TOY = """
from gpt_lib.course.export import export_lesson
export_lesson("99_toy").answer()
"""


def toy_project(project, *more):
    """A lesson of three cells, quick to re-execute."""
    cells = [
        v4.new_markdown_cell("# Toy\n\n> A promise.\n\n> `toys`: Another."),
        v4.new_code_cell("#| default_exp toy"),
        v4.new_code_cell("#| export\ndef answer():\n    return 42"),
        *map(v4.new_code_cell, more),
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


TOYS = "#| export toys\ndef answers():\n    return [answer()] * 2"


@pytest.mark.slow
def test_a_test_run_never_repairs_a_stale_module(project):
    path = toy_project(project, TOYS)
    executed = run_in(project, "gpt_lib.course.execute", "99")
    assert executed.returncode == 0, executed.stderr
    nbval = ["pytest", str(path), "--nbval-lax", "--nbval-current-env", "-q"]
    assert run_in(project, *nbval).returncode == 0
    for name, right, wrong in (("toy", "42", "41"), ("toys", "* 2", "* 3")):
        module = project / "gpt_lib" / f"{name}.py"
        exported = module.read_text()
        stale = exported.replace(right, wrong)
        assert stale != exported
        module.write_text(stale)
        done = run_in(project, *nbval)
        assert done.returncode == 1
        assert f"gpt_lib/{name}.py is not what 99_toy.ipynb exports" in done.stdout
        assert module.read_text() == stale, "the test run repaired the module"
        module.write_text(exported)


def test_an_executed_lesson_says_nothing_of_the_machine(tmp_path):
    path = two_modules(tmp_path, "#| export\nx = 1", name="98_letters")
    execute(path)
    notebook = nbformat.read(path, as_version=4)
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    language = {"name": "python", "file_extension": ".py"}
    assert notebook.metadata == {"kernelspec": python, "language_info": language}
    assert all("execution" not in cell.metadata for cell in notebook.cells)
    assert notebook.cells[-1].execution_count == 2


# Restore


def git_in(project, *command):
    author = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(
        ["git", "-C", project, *author, *command], check=True, capture_output=True
    )


def commit_all(project):
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        git_in(project, *command)


def test_restore_brings_the_lesson_back_and_keeps_the_copy(project):
    commit_all(project)
    path, module = project / BIGRAM, project / "gpt_lib" / "bigram.py"
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


def test_restore_brings_back_a_second_module(tmp_path):
    path = two_modules(tmp_path, name="98b_letters")
    export.export_notebook(path)
    commit_all(tmp_path)
    before = [target.read_text() for target in export.module_paths(path)]
    two_modules(tmp_path, LETTERS, name="98b_letters")  # the second module is gone
    for target in (tmp_path / "gpt_lib").glob("*.py"):
        target.write_text("x = 1\n")
    assert restore("98b", tmp_path)
    assert [target.read_text() for target in export.module_paths(path)] == before


def test_restore_says_when_there_is_no_git(project):
    with pytest.raises(ValueError, match="only in a git checkout"):
        restore("02", project)
