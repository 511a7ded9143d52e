"""Every exercise done as a learner does it, in one kernel a lesson.

Untouched, wrong, right: the same cells as in the browser, without a page.
"""

import os
import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import v4

from gpt_lib.course.export import code_cell_sources, lessons
from tests.lessons.test_checks import check_calls, folded_solution

IMPORT = re.compile(r"(#\| export\b.*\n)?(import|from) ")
CHECKS_IMPORTED = re.compile(r"from gpt_lib import .*\bcheck\b")


def import_cells(notebook):
    """The cells that import, up to the one that imports the checks.

    An exercise needs no more than these and its own two cells.
    """
    cells = []
    for source in code_cell_sources(notebook):
        if IMPORT.match(source):
            cells.append(source)
            if CHECKS_IMPORTED.search(source):
                break
    return cells


def cell_with_line(notebook, beginning):
    """The code cell in which a line begins like this."""
    cells = code_cell_sources(notebook)
    [source] = [cell for cell in cells if f"\n{beginning}" in f"\n{cell}"]
    return source


@pytest.mark.slow
@pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)
def test_every_exercise_done_wrong_and_right(path):
    notebook = nbformat.read(path, as_version=4)
    cells, verdicts = import_cells(notebook), []
    for where, module, exercise, function in check_calls():
        if where != path:
            continue
        check = cell_with_line(notebook, f"check.{module}.{exercise}({function})")
        attempts = {
            "not attempted yet": cell_with_line(notebook, f"def {function}("),
            "✗ ": f"def {function}(*given):\n    return given[0]",
            "✓ ": folded_solution(notebook, function)[1],
        }
        for verdict, attempt in attempts.items():
            verdicts.append((len(cells) + 1, verdict, function))
            cells += [attempt, check]
    scratch = v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells])
    scratch.metadata["kernelspec"] = notebook.metadata["kernelspec"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    NotebookClient(
        scratch,
        timeout=120,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute(env=environment)
    assert verdicts
    for index, verdict, function in verdicts:
        assert verdict in output_of(scratch.cells[index]), function


def output_of(cell):
    """What the page shows below a cell, as text."""
    texts = [
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    ]
    return "".join(texts)
