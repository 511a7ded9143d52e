"""A notebook that a learner saves keeps the fallbacks of its views."""

import nbformat
import pytest
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from nbformat import v4

from gpt_lib.course import jupyter_hook
from gpt_lib.course.jupyter_hook import WIDGET_VIEW, keep_only_fallbacks
from gpt_lib.views import picture


def output(**data):
    live = {WIDGET_VIEW: {"model_id": "1"}}
    return v4.new_output("display_data", data={**live, **data})


def test_the_fallback_stays_and_the_live_view_goes():
    fallback = {"text/html": "<p>fallback</p>", "text/plain": "fallback"}
    foreign = {"text/plain": "IntSlider(value=1)"}  # a widget of the learner's own
    outputs = [output(**fallback), output(**foreign)]
    cells = [v4.new_code_cell("x", outputs=outputs), v4.new_markdown_cell("text")]
    notebook = v4.new_notebook(cells=cells)
    keep_only_fallbacks({"type": "notebook", "content": notebook}, path="x.ipynb")
    assert notebook.cells[0].outputs[0].data == fallback
    assert WIDGET_VIEW in notebook.cells[0].outputs[1].data
    nbformat.validate(notebook)


def test_other_files_are_left_alone():
    keep_only_fallbacks({"type": "file", "content": "text"})
    keep_only_fallbacks({"type": "notebook", "content": None})


@pytest.mark.parametrize("replaced", [False, True])
def test_a_save_keeps_fallbacks_though_another_extension_brings_its_manager(replaced):
    server = ServerApp()
    server.contents_manager = LargeFileManager(parent=server)
    jupyter_hook._load_jupyter_server_extension(server)
    if replaced:  # as jupytext does
        server.contents_manager = LargeFileManager(parent=server)
    fallback = {"text/html": "<p>fallback</p>"}
    notebook = v4.new_notebook(
        cells=[v4.new_code_cell("x", outputs=[output(**fallback)])]
    )
    model = {"type": "notebook", "content": notebook}
    server.contents_manager.run_pre_save_hooks(model, "x.ipynb")
    assert notebook.cells[0].outputs[0].data == fallback


def test_both_halves_mean_the_same_view():
    assert picture.WIDGET_VIEW == WIDGET_VIEW
