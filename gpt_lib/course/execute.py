"""Re-execute lessons and save them as the course commits them: `make notebooks`.

The time that a lesson took stands in its head, so nothing else may run beside it."""

import argparse
import os
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from gpt_lib.course import export
from gpt_lib.course.jupyter_hook import keep_only_fallbacks
from gpt_lib.course.lesson_times import update_times

SECONDS_PER_CELL = 300


def execute(path: Path) -> None:
    """Run the notebook at `path` on a fresh kernel and save it with its outputs.

    The modules are exported first, because the last cell of the lesson compares them.
    """
    export.export_notebook(path)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        store_widget_state=False,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    start = time.perf_counter()
    client.execute()
    update_times(notebook, time.perf_counter() - start)
    keep_only_fallbacks({"type": "notebook", "content": notebook})
    leave_out_machine(notebook)
    nbformat.write(notebook, path)


def leave_out_machine(notebook: NotebookNode) -> None:
    """Drop what depends on the machine that ran the lesson."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata = {
        "kernelspec": {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        },
        "language_info": {"name": "python", "file_extension": ".py"},
    }


def main() -> None:
    """Re-execute and save the lessons named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("lesson", nargs="*", help="such as 02 or bigram")
    names = parser.parse_args().lesson
    os.environ["GPT_EXPORT"] = "check"
    for path in [export.find_lesson(name) for name in names] or export.lessons():
        print(f"running {path.name}", flush=True)
        execute(path)


if __name__ == "__main__":
    main()
