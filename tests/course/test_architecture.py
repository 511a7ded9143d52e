"""Arrows point down, and README shows what is on disk."""

import pytest

from gpt_lib.course import rules
from gpt_lib.course.export import ROOT


@pytest.mark.parametrize("rule", rules.ARCHITECTURE_RULES)
def test_this_project_keeps_the_rule(rule):
    assert rule(ROOT) == []


def append(file, line):
    def plant(project):
        path = project / file
        path.write_text(path.read_text() + line + "\n")

    return plant


def replace(file, old, new):
    def plant(project):
        path = project / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return plant


def extra_file(project):
    (project / "notes.txt").write_text("what is this?")


def extra_part(project):
    (project / "gpt_lib" / "diary").mkdir()
    (project / "gpt_lib" / "diary" / "pages.py").touch()


def extra_lesson(project):
    source = (project / "notebooks" / "02_bigram.ipynb").read_bytes()
    (project / "notebooks" / "09_more.ipynb").write_bytes(source)


FAULTS = [
    (append("gpt_lib/text.py", "from .bigram import Bigram"),
     "gpt_lib/text.py imports bigram, which is not below it"),
    (append("gpt_lib/text.py", "import gpt_lib.training"),
     "gpt_lib/text.py imports training, which is not below it"),
    (append("gpt_lib/bigram.py", "from gpt_lib.course import export"),
     "gpt_lib/bigram.py imports course, which is not below it"),
    (append("gpt_lib/text.py", "from .views import bars"),
     "gpt_lib/text.py imports views, which is not below it"),
    (append("gpt_lib/views/picture.py", "from gpt_lib.training import train"),
     "gpt_lib/views/picture.py must not import training"),
    (append("gpt_lib/views/charts/loss_curve.py", "from ... import training"),
     "gpt_lib/views/charts/loss_curve.py must not import training"),
    (append("gpt_lib/views/picture.py", "from gpt_lib import playground"),
     "gpt_lib/views/picture.py must not import playground"),
    (append("gpt_lib/check/text.py", "from gpt_lib import text"),
     "gpt_lib/check/text.py must not import text"),
    (append("gpt_lib/check/text.py", "from gpt_lib.views import bars"),
     "gpt_lib/check/text.py must not import views"),
    (append("gpt_lib/catalog.py", "from gpt_lib.views import bars"),
     "gpt_lib/catalog.py must not import views"),
    (append("gpt_lib/playground/terminal/tui.py", "from gpt_lib import cli"),
     "gpt_lib/playground/terminal/tui.py must not import cli"),
    (append("gpt_lib/cli/train.py", "from gpt_lib.course import export"),
     "gpt_lib/cli/train.py must not import course"),
    (append("gpt_lib/course/fetch.py", "import gpt_lib.catalog"),
     "gpt_lib/course/fetch.py must not import catalog"),
    (append("gpt_lib/playground/session.py", "from gpt_lib.views import bars"),
     "gpt_lib/playground/session.py must show nothing, but imports gpt_lib.views"),
    (append("gpt_lib/playground/session.py", "import ipywidgets"),
     "gpt_lib/playground/session.py must show nothing, but imports ipywidgets"),
    (extra_file, "README's tree lacks notes.txt"),
    (extra_part, "README's tree lacks gpt_lib/diary/"),
    (extra_part, "gpt_lib/diary/ has no entry in MAY_IMPORT"),
    (extra_lesson, "README's lesson table lacks"),
    (replace("README.md", "  catalog.py ", "  models.py "),
     "README's tree names gpt_lib/models.py, which is not there"),
    (replace("README.md", "| `bigram.py` |", "| `pairs.py` |"),
     "README's lesson table has"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "complaint"), FAULTS)
def test_a_planted_fault_is_caught_in_one_line(project, plant, complaint):
    plant(project)
    found = [fault for rule in rules.ARCHITECTURE_RULES for fault in rule(project)]
    matching = [fault for fault in found if complaint in fault]
    assert matching, f"nobody noticed; found only {found}"
    assert "\n" not in matching[0]
