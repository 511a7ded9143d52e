"""What pages are made of: data that needs no widget, scripts that read only it."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import anywidget
import numpy as np
import pytest
from matplotlib import colormaps

from gpt_lib import views
from gpt_lib.views.accessible import AccessibilityWidget
from gpt_lib.views.attention.attention_map import AttentionMapWidget
from gpt_lib.views.attention.attention_map_data import attention_map_data
from gpt_lib.views.attention.attention_steps import AttentionStepsWidget
from gpt_lib.views.attention.attention_steps_data import attention_steps_data
from gpt_lib.views.attention.token_labels import token_labels
from gpt_lib.views.charts.training_scrubber import TrainingScrubberWidget
from gpt_lib.views.charts.training_scrubber_data import (
    Checkpoints,
    LossCurvePicture,
    training_scrubber_data,
)
from gpt_lib.views.page import FOLDER, encode_floats, load_page_files
from gpt_lib.views.tokens.bigram_table import BigramTableWidget
from gpt_lib.views.tokens.bigram_table_data import bigram_table_data
from gpt_lib.views.tokens.diff_explorer import DiffExplorerWidget
from gpt_lib.views.tokens.diff_explorer_data import diff_explorer_data
from gpt_lib.views.tokens.generated_text import GeneratedTextWidget
from gpt_lib.views.tokens.generated_text_data import SHADE_SCALE, generated_text_data
from gpt_lib.views.tokens.loss_heatmap import LossHeatmapWidget
from gpt_lib.views.tokens.loss_heatmap_data import loss_heatmap_data
from gpt_lib.views.tokens.merge_explorer import MergeExplorerWidget
from gpt_lib.views.tokens.merge_explorer_data import merge_explorer_data
from gpt_lib.views.tokens.next_token import NextTokenWidget
from gpt_lib.views.tokens.next_token_data import message_page_data, next_token_data
from gpt_lib.views.tokens.token_columns import TokenColumnsWidget
from gpt_lib.views.tokens.token_columns_data import token_columns_data
from gpt_lib.views.tokens.token_tree import TokenTreeWidget
from gpt_lib.views.tokens.token_tree_data import TreeNode, token_tree_data
from gpt_lib.views.visible_text import format_percent, visible_character, visible_text
from tests.views.page_data import decode_floats

NAN, EVEN = np.nan, np.full((1, 2, 2), 0.5)
MASKED = np.array([[[1.0, -np.inf], [0.5, -0.5]]])
PICTURE = LossCurvePicture("data:,", "A curve.", [(0.1, 0.2), (0.9, 0.8)], 0.1, 0.9)
PAGES = [
    (AttentionMapWidget, attention_map_data("a ", ["a", "␣"], {"now": EVEN})),
    (
        AttentionStepsWidget,
        attention_steps_data("a ", ["a", "␣"], {"1": {"score": MASKED, "w": EVEN}}),
    ),
    (BigramTableWidget, bigram_table_data(np.eye(2), ["a", "\n"])),
    (
        DiffExplorerWidget,
        diff_explorer_data("a", lambda text, _: ("b", {"b": 1}), {"b": "bs"}, ["b"]),
    ),
    (
        LossHeatmapWidget,
        loss_heatmap_data("ab", {"m": [NAN, 1]}, {"m": [[], [("b", 0.5)]]}),
    ),
    (NextTokenWidget, next_token_data(["a", "b"], [0.5, 0.5], [1, 0], 0.5)),
    (NextTokenWidget, message_page_data("Nothing yet.")),
    (
        GeneratedTextWidget,
        {**generated_text_data("a", ["b", "c"], [NAN, 0.5]), **SHADE_SCALE},
    ),
    (MergeExplorerWidget, merge_explorer_data([[0, 1]], [[0, 1]], ["a", "b", "ab"])),
    (TokenColumnsWidget, token_columns_data({"one": lambda t: [t.encode()]}, "a b")),
    (TokenTreeWidget, token_tree_data([TreeNode("a"), TreeNode("b", 0)], 1)),
    (
        TrainingScrubberWidget,
        training_scrubber_data(Checkpoints([0, 9], ["a", "b"], [4.0, 2.0]), PICTURE),
    ),
]
WIDGETS = sorted({widget for widget, _ in PAGES}, key=lambda widget: widget.__name__)


def data_modules():
    """The modules that compute what pages show, and all that they need."""
    others = FOLDER / "page.py", FOLDER / "attention" / "token_labels.py"
    paths = [*FOLDER.rglob("*_data.py"), *others]
    root = FOLDER.parent.parent
    return sorted(
        ".".join(path.relative_to(root).with_suffix("").parts) for path in paths
    )


def test_data_is_computed_without_widgets_and_without_matplotlib():
    assert len(data_modules()) == 13
    program = (
        "import sys\n"
        + "".join(f"import {module}\n" for module in data_modules())
        + "heavy = {'ipywidgets', 'anywidget', 'traitlets', 'IPython', 'matplotlib',"
        " 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def synced_traits(widget):
    """The names of the traits that a page can read, without those of every widget."""
    common = anywidget.AnyWidget.class_trait_names(sync=True)
    return {*widget.class_trait_names(sync=True)} - {*common}


@pytest.mark.parametrize(("widget", "data"), PAGES)
def test_the_data_is_json_and_fits_the_traits(widget, data):
    text = json.dumps(data, allow_nan=False)
    assert data.keys() <= synced_traits(widget)
    page = widget(title="Title", **json.loads(text))
    assert {name: getattr(page, name) for name in data} == data


@pytest.mark.parametrize("widget", WIDGETS)
def test_a_page_reads_only_traits_that_there_are(widget):
    pattern = r'(?:model\.get|model\.set|save|chosen|put)\((?:model, )?"(\w+)"'
    names = {*re.findall(pattern, str(widget._esm))}
    assert names
    assert names <= synced_traits(widget)


@pytest.mark.parametrize("widget", WIDGETS)
def test_every_page_has_the_shared_script_and_style_and_its_own(widget):
    assert "function addHeader(" in str(widget._esm)
    assert str(widget._esm).count("export default") == 1
    assert ".gpt-view .gpt-sentence" in str(widget._css)
    assert str(widget._css).startswith("/* What all pages share.")


def test_no_page_has_styles_in_its_script():
    for path in FOLDER.rglob("*.js"):
        assert "cssText" not in path.read_text(encoding="utf-8"), path.name


def test_a_page_has_the_classes_that_its_style_is_for():
    scripts = [path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.js")]
    classes = {*re.findall(r"gpt-[a-z-]+", "".join(scripts))} | COMPUTED_CLASSES
    for path in FOLDER.rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        assert {*re.findall(r"\.(gpt-[a-z-]+)", style)} <= classes, path.name


# Of a node's state, and of controls that are not the page's own.
COMPUTED_CLASSES = {"gpt-pruned", "gpt-best", "gpt-ended", "gpt-kept", "gpt-ask"}


def test_a_page_without_a_style_of_its_own_has_the_shared_one():
    script, style = load_page_files("accessible", extra_css=".mine { color: red }")
    assert script == AccessibilityWidget._esm
    assert style.startswith("/* What all pages share.")
    assert style.endswith(".mine { color: red }")


def test_the_colours_of_a_page_are_those_of_its_picture():
    script = (FOLDER / "cividis.js").read_text(encoding="utf-8")
    begin, end = script.index("bytesOf("), script.index(");")
    text = "".join(re.findall(r'"([^"]+)"', script[begin:end]))
    colors = np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(256, 3)
    assert (colors == colormaps["cividis"](np.arange(256), bytes=True)[:, :3]).all()


def test_floats_survive_encoding_with_nan_and_infinity():
    numbers = [0.1, NAN, -np.inf, 3]
    decoded = decode_floats(encode_floats(numbers))
    assert np.array_equal(decoded, np.float32(numbers), equal_nan=True)
    assert encode_floats([]) == ""


def test_every_public_name_is_imported_at_first_use():
    for name in views.__all__:
        assert getattr(views, name).__name__ == name
        assert name in dir(views)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        views.nothing  # noqa: B018
    assert sorted(views.MODULES) == views.__all__
    for module in views.MODULES.values():
        assert Path(FOLDER, *module.split(".")).with_suffix(".py").exists()


def test_labels_show_what_cannot_be_seen_and_are_as_many_as_a_page_holds():
    assert [visible_character(c) for c in " \n\ta"] == ["␣", "↵", "⇥", "a"]
    assert visible_text("a b\n") == "a␣b↵"
    assert token_labels(["a b", "\t"]) == ["a␣b", "⇥"]
    for labels in ([], ["a"] * 65):
        with pytest.raises(ValueError, match=f"{len(labels)} tokens given; .* 1 to 64"):
            token_labels(labels)


def test_a_percentage_is_never_rounded_down_to_nothing():
    assert [format_percent(p) for p in (0, 0.0004, 0.001, 0.5)] == [
        "0.0 %",
        "<0.1 %",
        "0.1 %",
        "50.0 %",
    ]
