"""Every lesson is executed, clean, readable; and each rule can catch its fault."""

import nbformat
import pytest
from nbformat import v4

from gpt_lib.course import rules
from gpt_lib.course.export import ROOT, lessons
from gpt_lib.views.picture import WIDGET_VIEW


@pytest.mark.parametrize("rule", rules.NOTEBOOK_RULES)
def test_this_project_keeps_the_rule(rule):
    assert rule(ROOT) == []


def display(**data):
    return v4.new_output("display_data", data=data)


def unordered(notebook):
    notebook.cells[-2].execution_count = 999


def never_executed(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = None


def widget_state(notebook):
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}


def add_output(output):
    def plant(notebook):
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        code[-1].outputs.append(output)

    return plant


def add_cell(source):
    def plant(notebook):
        count = sum(cell.cell_type == "code" for cell in notebook.cells) + 1
        notebook.cells.append(v4.new_code_cell(source, execution_count=count))

    return plant


def add_words(words):
    return lambda notebook: notebook.cells.append(v4.new_markdown_cell(words))


def another_kernel(notebook):
    notebook.metadata.kernelspec.name = "my-kernel"


def nothing_compared(notebook):
    for cell in notebook.cells:
        cell.source = cell.source.replace("# NBVAL_CHECK_OUTPUT\n", "")


def compared_without_output(notebook):
    for cell in notebook.cells:
        if cell.source.startswith("# NBVAL_CHECK_OUTPUT"):
            cell.outputs = []


def fat(notebook):
    notebook.cells.append(v4.new_raw_cell("x" * 1_000_000))


def longer_to_read(notebook):
    notebook.cells.append(v4.new_markdown_cell("word " * 5_000))


FIGURE = {"text/plain": "<Figure size 640x480 with 1 Axes>"}
FAULTS = [
    (unordered, "not executed top to bottom"),
    (never_executed, "not executed top to bottom"),
    (widget_state, "saved widget state"),
    (add_output(display(**{WIDGET_VIEW: {"model_id": "1"}})), "saved widget view"),
    (add_output(v4.new_output("error", ename="KeyError", evalue="", traceback=[])),
     "error output KeyError"),
    (add_output(v4.new_output("stream", text="saved to /home/ann/run.pt")),
     "absolute path"),
    (add_cell("x = open('/root/file')"), "absolute path"),
    (add_cell("\n".join(["x = 1"] * 41)), "has 41 lines"),
    (add_words("![](curve.png)"), "picture without alt text"),
    (add_output(display(**{"image/png": "aaaa", **FIGURE})),
     "image/png without <img alt>"),
    (add_output(display(**FIGURE)), "picture without words"),
    (add_output(display(**{"text/html": '<img src="data:">', "text/plain": "a curve"})),
     "<img> without alt text"),
    (fat, "more than 1,000,000"),
    (another_kernel, "kernelspec is not python3"),
    (add_cell("# a comment\n#| export\nx = 1"), "is not on line 1"),
    (nothing_compared, "only 0 compared outputs"),
    (compared_without_output, "only 0 compared outputs"),
    (add_cell("#| export\n# NBVAL_CHECK_OUTPUT\nx = 1"), "also a compared one"),
    (add_words("It gains 0.137 nats."), "states 0.137, which no output above has"),
    (add_cell("views.prediction('Which?', {'7.31 ms': 'so'}, answer='7.31 ms')"),
     "states 7.31, which no output above has"),
    (longer_to_read, "min to read"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "complaint"), FAULTS, ids=[f[1] for f in FAULTS])
def test_a_planted_fault_is_caught_in_one_line(project, plant, complaint):
    path = lessons(project)[1]
    notebook = nbformat.read(path, as_version=4)
    plant(notebook)
    nbformat.write(notebook, path)
    matching, faults = [], []
    for rule in rules.NOTEBOOK_RULES:
        faults += rule(project)
        matching += [fault for fault in faults if complaint in fault]
        if matching:
            break
    assert matching, f"nobody noticed; found only {faults}"
    assert all("\n" not in fault and path.name in fault for fault in matching)


@pytest.mark.parametrize(("name", "count"), [("09_toy", 5), ("09b_toy", 3)])
def test_an_optional_lesson_compares_fewer_outputs(tmp_path, name, count):
    (tmp_path / "notebooks").mkdir()
    for number, is_enough in ((count - 1, False), (count, True)):
        source = "# NBVAL_CHECK_OUTPUT\n1"
        cells = [v4.new_code_cell(source, outputs=[display()]) for _ in range(number)]
        notebook = v4.new_notebook(cells=cells)
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
        assert (rules.enough_compared_outputs(tmp_path) == []) == is_enough


@pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)
def test_predictions_hide_their_source_which_holds_the_answers(path):
    visible = [
        cell.source.splitlines()[1]
        for cell in nbformat.read(path, as_version=4).cells
        if cell.source.startswith("views.prediction(")
        and not cell.metadata.get("jupyter", {}).get("source_hidden")
    ]
    assert visible == []
