"""Arrows point down, names are the field's, and README shows what is on disk."""

import ast

import nbformat
import pytest
from nbformat import v4

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


def add_cell(file, source):
    def plant(project):
        path = project / "notebooks" / file
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.append(v4.new_code_cell(source))
        nbformat.write(notebook, path)

    return plant


def extra_file(project):
    (project / "notes.txt").write_text("what is this?")


def extra_part(project):
    (project / "gpt_lib" / "diary").mkdir()
    (project / "gpt_lib" / "diary" / "pages.py").touch()


def extra_lesson(project):
    source = (project / "notebooks" / "02_bigram.ipynb").read_bytes()
    (project / "notebooks" / "09c_more.ipynb").write_bytes(source)


FAULTS = [
    (append("gpt_lib/text.py", "from .bigram import Bigram"),
     "gpt_lib/text.py imports bigram, which is not below it"),
    (append("gpt_lib/text.py", "import gpt_lib.training"),
     "gpt_lib/text.py imports training, which is not below it"),
    (append("gpt_lib/bigram.py", "from gpt_lib.course import export"),
     "gpt_lib/bigram.py imports course, which is not below it"),
    (append("gpt_lib/text.py", "from .views import bar_chart"),
     "gpt_lib/text.py imports views, which is not below it"),
    (append("gpt_lib/views/picture.py", "from gpt_lib.training import train"),
     "gpt_lib/views/picture.py must not import training"),
    (append("gpt_lib/views/charts/loss_curve.py", "from ... import training"),
     "gpt_lib/views/charts/loss_curve.py must not import training"),
    (append("gpt_lib/views/picture.py", "from gpt_lib import playground"),
     "gpt_lib/views/picture.py must not import playground"),
    (append("gpt_lib/check/text.py", "from gpt_lib import text"),
     "gpt_lib/check/text.py must not import text"),
    (append("gpt_lib/check/text.py", "from gpt_lib.views import bar_chart"),
     "gpt_lib/check/text.py must not import views"),
    (append("gpt_lib/catalog.py", "from gpt_lib.views import bar_chart"),
     "gpt_lib/catalog.py must not import views"),
    (append("gpt_lib/playground/terminal/tui.py", "from gpt_lib import cli"),
     "gpt_lib/playground/terminal/tui.py must not import cli"),
    (append("gpt_lib/cli/train.py", "from gpt_lib.course import export"),
     "gpt_lib/cli/train.py must not import course"),
    (append("gpt_lib/course/fetch.py", "import gpt_lib.catalog"),
     "gpt_lib/course/fetch.py must not import catalog"),
    (append("gpt_lib/playground/session.py", "from gpt_lib.views import bar_chart"),
     "gpt_lib/playground/session.py must show nothing, but imports gpt_lib.views"),
    (append("gpt_lib/playground/session.py", "import ipywidgets"),
     "gpt_lib/playground/session.py must show nothing, but imports ipywidgets"),
    (append("gpt_lib/playground/settings.py", "import textual"),
     "gpt_lib/playground/settings.py must show nothing, but imports textual"),
    (append("gpt_lib/cli/train.py", "from gpt_lib.experiments import shipped"),
     "gpt_lib/cli/train.py must not import experiments"),
    (add_cell("02_bigram.ipynb", "from gpt_lib.training import train"),
     "02_bigram.ipynb must not import gpt_lib.training.train"),
    (add_cell("08_gpt.ipynb", "from gpt_lib import cli"),
     "08_gpt.ipynb must not import gpt_lib.cli"),
    (add_cell("09_generation.ipynb", "import gpt_lib.playground.terminal"),
     "09_generation.ipynb must not import gpt_lib.playground.terminal"),
    (append("gpt_lib/bigram.py", "def draw(dice): ..."),
     "dice: say generator, not dice"),
    (append("gpt_lib/catalog.py", "class Shelf: ..."),
     "Shelf: say CheckpointFolder, not Shelf"),
    (append("tests/lessons/test_text.py", "row = dict(next_chances=1)"),
     "next_chances: say probabilities, not chances"),
    (append("tests/lessons/test_text.py", "text.twin = ''"),
     "twin: say fallback, not twin"),
    (add_cell("02_bigram.ipynb", "%time\nawait generate(final_share=0.1)"),
     "final_share: say final_lr_fraction, not final_share"),
    (add_cell("02_bigram.ipynb", "import torch as MultiHead"),
     "MultiHead: say MultiHeadAttention, not MultiHead"),
    (extra_file, "README's tree lacks notes.txt"),
    (extra_part, "README's tree lacks gpt_lib/diary/"),
    (extra_part, "gpt_lib/diary/ has no entry in MAY_IMPORT"),
    (extra_lesson, "README's lesson table lacks"),
    (replace("README.md", "  catalog.py ", "  models.py "),
     "README's tree names gpt_lib/models.py, which is not there"),
    (replace("README.md", "| `bigram.py` |", "| `pairs.py` |"),
     "README's lesson table has"),
    (replace("gpt_lib/__init__.py", "`bigram` ", "`pairs` "),
     "gpt_lib/__init__.py lists ('02', 'pairs'), on disk there is ('02', 'bigram')"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "complaint"), FAULTS)
def test_a_planted_fault_is_caught_in_one_line(project, plant, complaint):
    plant(project)
    matching, faults = [], []
    for rule in rules.ARCHITECTURE_RULES:
        faults += rule(project)
        matching += [fault for fault in faults if complaint in fault]
        if matching:
            break
    assert matching, f"nobody noticed; found only {faults}"
    assert "\n" not in matching[0]


# What no file of a part may import; any lesson's module stands for all of them.
FORBIDDEN = {
    "check": "text views prepare pretrained_files catalog playground cli course"
    " experiments",
    "views": "text check prepare pretrained_files catalog playground cli course"
    " experiments",
    "prepare": "check views pretrained_files catalog playground cli course experiments",
    "pretrained_files": "check views prepare catalog playground cli course experiments",
    "catalog": "check views pretrained_files playground cli course experiments",
    "playground": "check prepare pretrained_files cli course experiments",
    "cli": "check course experiments",
    "course": "check prepare pretrained_files catalog playground cli experiments",
    "experiments": "",
}


def test_no_part_may_import_what_is_not_below_it(project):
    parts = ["text", *FORBIDDEN]
    lines = "".join(f"from gpt_lib import {part}\n" for part in parts)
    files = {}
    for part in FORBIDDEN:
        folder = project / "gpt_lib" / part
        path = folder / "new.py" if folder.is_dir() else folder.with_suffix(".py")
        path.write_text(lines)
        files[part] = path.relative_to(project)
    assert rules.modules_import_downwards(project) == [
        f"{files[part]} must not import {other}"
        for part in rules.MAY_IMPORT
        for other in sorted(FORBIDDEN[part].split())
    ]


def test_banned_words_are_found_in_names_and_not_in_strings():
    code = (
        'def told(a, *dice):\n    return lucky("the twins", a.kept[0], x_share=shown)'
    )
    names = [name for _, name in rules.identifiers(ast.parse(code))]
    words = {rules.find_banned_word(name) for name in names}
    assert words == {"told", "dice", "kept", "share", "shown", None}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("MultiHead", "MultiHead"),
        ("MultiHeadAttention", None),
        ("logChances", "chances"),
        ("twin_of", "twin"),
        ("RecipeBook", None),
        ("test_what_is_kept", None),
    ],
)
def test_a_banned_word_counts_in_other_names_and_a_banned_name_alone(name, word):
    assert rules.find_banned_word(name) == word


def test_the_terms_to_use_are_not_banned_themselves():
    terms = {**rules.BANNED_NAME_PARTS, **rules.BANNED_NAMES}.values()
    assert not [
        term for term in terms if rules.find_banned_word(term.replace(" ", "_"))
    ]
