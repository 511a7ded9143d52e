"""The times in a lesson's head, computed when it is executed, so that they hold."""

import re

from nbformat import NotebookNode

from gpt_lib.course.export import code_cell_sources

WORDS_A_MINUTE, CODE_LINES_A_MINUTE = 180, 15
MINUTES_A_PICTURE, MINUTES_AN_EXERCISE = 0.5, 10
# What a time is rounded up to, so that a slower hour changes few heads.
SECONDS = (5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 120, 150, 180, 240, 300, 400, 600)
TIMES_PATTERN = re.compile(
    r"\d+ min to read(?:, \d+ for the exercises)? · runs in (\d+) s"
)
FOLDED = re.compile(r"<details>.*?</details>", re.S)


def count_words(notebook: NotebookNode) -> int:
    """Words of the text cells, without hints and solutions."""
    texts = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    return sum(len(FOLDED.sub("", text).split()) for text in texts)


def reading_minutes(notebook: NotebookNode) -> int:
    """How long it takes to read words, code and pictures, to the nearest 5 minutes."""
    code = "\n".join(code_cell_sources(notebook)).splitlines()
    lines = sum(bool(line.strip()) for line in code)
    pictures = sum("<img" in str(cell.get("outputs")) for cell in notebook.cells)
    minutes = count_words(notebook) / WORDS_A_MINUTE + lines / CODE_LINES_A_MINUTE
    return 5 * round((minutes + pictures * MINUTES_A_PICTURE) / 5)


def exercise_minutes(notebook: NotebookNode) -> int:
    """How long the exercises take, at ten minutes each."""
    stubs = ["pass  # your code" in cell.source for cell in notebook.cells]
    return MINUTES_AN_EXERCISE * sum(stubs)


def describe_times(notebook: NotebookNode, seconds: float) -> str:
    """The times as a head states them, for a lesson that runs in `seconds`."""
    rounded = next((each for each in SECONDS if each >= seconds), round(seconds))
    return (
        f"{reading_minutes(notebook)} min to read, {exercise_minutes(notebook)} for the"
        f" exercises · runs in {rounded} s"
    )


def update_times(notebook: NotebookNode, seconds: float) -> None:
    """Write the times into the lesson's first cell."""
    head = notebook.cells[0]
    head.source = TIMES_PATTERN.sub(describe_times(notebook, seconds), head.source)
