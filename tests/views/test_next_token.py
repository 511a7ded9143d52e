"""From the model's probabilities to the token sampled: the page and the settings."""

import re
import time
from types import SimpleNamespace

import numpy as np
import pytest
from ipywidgets import Button

from gpt_lib.playground.settings import NEUTRAL, PRESETS, SAMPLING_SETTINGS
from gpt_lib.views.controls import SamplingControls
from gpt_lib.views.picture import WIDGET_VIEW
from gpt_lib.views.tokens.next_token import (
    NextTokenWidget,
    next_token,
    picture_of_probabilities,
)
from gpt_lib.views.tokens.next_token_data import sampled_id
from gpt_lib.views.tokens.sampling_explorer import sampling_explorer
from tests.views.page_data import softmax

NASTY = "<b>\"x\" & 'y'"
LABELS = ["a", " ", "c", "\n"]
BEFORE = [0.2, 0.4, 0.1, 0.3]
AFTER = [0.25, 0.75, 0.0, 0.0]


def widget_with(labels=LABELS, before=BEFORE, after=AFTER, u=None):
    widget = NextTokenWidget()
    widget.show(labels, before, after, u)
    return widget


# The sample


@pytest.mark.parametrize(
    ("u", "token"), [(0, 1), (0.49, 1), (0.5, 0), (0.74, 0), (0.75, 3), (0.999, 3)]
)
def test_u_samples_in_order_of_falling_probability(u, token):
    assert sampled_id([0.25, 0.5, 0, 0.25], u) == token  # of equals the lower first


def test_of_equals_the_lower_comes_first():
    after = np.tile([0.25, 0.75], 30) / 30
    assert [sampled_id(after, (rank + 0.5) / 40) for rank in range(30)] == [
        *range(1, 60, 2)
    ]


def test_u_is_a_fraction_of_the_sum_and_never_samples_a_cut_token():
    assert sampled_id([1.0, 3.0], 0.74) == 1
    assert sampled_id([1.0, 3.0], 0.76) == 0
    assert sampled_id(np.float32([0.1] * 10 + [0]), np.nextafter(1, 0)) == 9


def test_u_samples_as_often_as_the_probabilities_say():
    after = softmax(np.random.default_rng(2).normal(size=9))
    samples = [sampled_id(after, u) for u in (np.arange(20_000) + 0.5) / 20_000]
    frequencies = np.bincount(samples, minlength=9) / 20_000
    assert frequencies == pytest.approx(after, abs=2e-4)


# The page


def test_the_page_has_its_rows_in_order_of_the_models_probabilities():
    rows = widget_with(u=0.8).rows
    assert [row["label"] for row in rows] == ["␣", "↵", "a", "c"]
    assert [row["id"] for row in rows] == [1, 3, 0, 2]
    assert [row["texts"] for row in rows] == [
        ["40.0 %", "75.0 %"],
        ["30.0 %", "cut"],
        ["20.0 %", "25.0 %"],
        ["10.0 %", "cut"],
    ]
    assert [row["after"] for row in rows] == [0.75, 0, 0.25, 0]


def test_the_page_has_its_segments_in_order_of_the_settings_probabilities():
    widget = widget_with(u=0.8)
    assert [(part["id"], part["start"], part["width"]) for part in widget.segments] == [
        (1, 0, 0.75),
        (0, 0.75, 0.25),
    ]
    assert (widget.u, widget.sampled_id) == (0.8, 0)
    assert widget.sentence == (
        "u = 0.8 lands on “a”: the model gave it 20.0 %, the settings 25.0 %;"
        " 2 of 4 tokens are cut."
    )


def test_without_u_nothing_is_sampled():
    widget = widget_with(after=BEFORE)
    assert (widget.u, widget.sampled_id, widget.u_text) == (None, -1, "")
    assert widget.sentence == (
        "The likeliest is “␣”: the model gave it 40.0 %, the settings 40.0 %;"
        " no token is cut."
    )


def test_tiny_probabilities_and_a_large_u_are_not_rounded_away():
    rest = [0.9996, 0.0004]
    widget = widget_with(["E", "\tß"], rest, rest, 0.9998)
    assert widget.sentence.startswith("u = 0.999 lands on “⇥ß”: the model gave it <0.1")


def test_the_likeliest_and_the_sampled_are_rows_and_the_others_are_summed():
    before = softmax(-np.arange(40) / 10)
    rows = widget_with(numbered_labels(40), before, before, 0.9999).rows
    assert [row["id"] for row in rows] == [*range(11), 39, -1]
    assert rows[-1]["label"] == "28 others"
    assert sum(row["before"] for row in rows) == pytest.approx(1)
    assert sum(row["after"] for row in rows) == pytest.approx(1)
    thirteen = widget_with(numbered_labels(13), [1 / 13] * 13, [1 / 13] * 13).rows
    assert thirteen[-1]["label"] == "1 other"
    assert (
        len(widget_with(numbered_labels(12), [1 / 12] * 12, [1 / 12] * 12).rows) == 12
    )


def numbered_labels(count):
    return [f"t{number}" for number in range(count)]


def test_narrow_segments_are_one_but_the_sampled_is_its_own():
    after = np.array([0.5, 0.495, *[0.001] * 5])
    parts = widget_with(numbered_labels(7), after, after, 0.9975).segments
    assert [part["label"] for part in parts] == ["t0", "t1", "2 more", "t4", "2 more"]
    assert [part["id"] for part in parts] == [0, 1, -1, 4, -1]
    ends = [part["start"] + part["width"] for part in parts]
    assert ends == pytest.approx([0.5, 0.995, 0.997, 0.998, 1])


def test_a_large_vocabulary_sends_little_and_stays_fast():
    labels = [f"token {number}" for number in range(50_000)]
    before = softmax(np.random.default_rng(1).normal(size=50_000) * 3)
    widget = widget_with(labels, before, before, 0.9)
    assert len(widget.rows) == 13
    assert len(widget.segments) < 500
    assert widget.sampled_id in [part["id"] for part in widget.segments]
    assert best_time(lambda: widget.show(labels, before, before, 0.3)) < 0.15


def test_a_small_vocabulary_is_shown_within_milliseconds():
    before = softmax(np.random.default_rng(1).normal(size=65))
    widget, numbers = NextTokenWidget(), iter(np.arange(20) / 20)
    labels = numbered_labels(65)
    assert best_time(lambda: widget.show(labels, before, before, next(numbers))) < 0.003


def best_time(action):
    times = []
    for _ in range(5):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def test_all_is_sent_in_one_message(monkeypatch):
    sent, widget = [], NextTokenWidget()
    monkeypatch.setattr(
        NextTokenWidget, "send_state", lambda _, key: sent.append(set(key))
    )
    widget.show(LABELS, BEFORE, AFTER, 0.8, "New")
    [keys] = sent
    assert keys == {
        "rows",
        "segments",
        "u",
        "u_text",
        "sampled_id",
        "sentence",
        "title",
    }


def test_the_title_stays_unless_given():
    widget = NextTokenWidget(title="Old")
    widget.show(LABELS, BEFORE, AFTER, None)
    assert widget.title == "Old"
    widget.show(LABELS, BEFORE, AFTER, None, "")
    assert widget.title == ""


def test_a_cleared_page_shows_a_sentence_only():
    widget = widget_with(u=0.8)
    widget.clear("Nothing yet.")
    assert widget.sentence == "Nothing yet."
    assert (widget.rows, widget.segments, widget.u, widget.sampled_id) == (
        [],
        [],
        None,
        -1,
    )


def receive(widget, message):
    widget._handle_custom_msg(message, [])


def test_a_pick_calls_back_with_the_index_even_of_a_cut_token():
    widget, picks = widget_with(), []
    widget.on_pick(picks.append)
    for index in (1, 2):
        receive(widget, {"type": "pick", "index": index})
    assert picks == [1, 2]


@pytest.mark.parametrize("index", [-1, 4, None, "1", 0.5])
def test_a_pick_of_no_token_is_ignored(index):
    widget, picks = widget_with(), []
    widget.on_pick(picks.append)
    receive(widget, {"type": "pick", "index": index})
    receive(widget, {"type": "other", "index": 1})
    widget.clear("")
    receive(widget, {"type": "pick", "index": 1})
    assert picks == []


@pytest.mark.parametrize(
    ("before", "after", "u", "complaint"),
    [
        ([1], AFTER, None, r"before has shape \(1,\); 4 labels need \(4,\)"),
        (BEFORE, [AFTER], None, r"after has shape \(1, 4\); 4 labels need"),
        (BEFORE, [-1, 2, 0, 0], None, "after runs from -1 to 2 and sums to 1;"),
        (BEFORE, [0.2, 0.4, 0, 0], None, "after .* sums to 0.6; .* sum to 1"),
        ([np.nan, 0, 0, 1], AFTER, None, "before runs from nan"),
        (BEFORE, AFTER, 1, "u=1 is not a random number: 0 <= u < 1"),
        (BEFORE, AFTER, np.nan, "u=nan is not a random number"),
    ],
)
def test_probabilities_say_what_does_not_fit(before, after, u, complaint):
    with pytest.raises(ValueError, match=complaint):
        next_token(LABELS, before, after, "Wrong", u)


def test_a_failed_show_changes_nothing():
    widget = widget_with(u=0.8)
    with pytest.raises(ValueError, match="4 labels need"):
        widget.show(LABELS, BEFORE, [1], 0.1)
    assert (widget.u, widget.sampled_id) == (0.8, 0)


# The fallback


def test_the_fallback_describes_the_numbers_and_is_escaped():
    view = next_token([NASTY, "$", "$x$"], [0.5, 0.3, 0.2], [0.6, 0.4, 0], NASTY, 0.7)
    label = NASTY.replace(" ", "␣")
    assert view.fallback.description == (
        f"{NASTY}. Probabilities by the model → with the settings: {label} 50.0 % →"
        f" 60.0 %, $ 30.0 % → 40.0 %, $x$ 20.0 % → cut. u = 0.7 lands on “$”: the"
        f" model gave it 30.0 %, the settings 40.0 %; 1 of 3 tokens is cut."
    )
    page = view._repr_mimebundle_()
    assert page[WIDGET_VIEW]["model_id"] == view.widget.model_id
    assert NASTY not in page["text/html"]
    assert re.search("alt=.&lt;b&gt;", page["text/html"])


def test_the_picture_takes_any_label_as_it_is():
    formula = r"$\no$"  # would be an error in a formula
    picture = picture_of_probabilities([formula, "a"], [1, 0], [1, 0], formula, 0.5)
    assert picture.description.startswith(f"{formula}. ")


def test_the_picture_changes_with_the_settings_and_u():
    pictures = [
        picture_of_probabilities(LABELS, BEFORE, BEFORE, "Same").png,
        picture_of_probabilities(LABELS, BEFORE, AFTER, "Same").png,
        picture_of_probabilities(LABELS, BEFORE, AFTER, "Same", 0.1).png,
        picture_of_probabilities(LABELS, BEFORE, AFTER, "Same", 0.9).png,
    ]
    assert len(set(pictures)) == 4
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)


# The settings


def make_controls(vocab_size=65):
    return SamplingControls(SAMPLING_SETTINGS, PRESETS, vocab_size)


def test_controls_begin_neutral_and_within_their_ranges():
    controls = make_controls()
    assert controls.settings == NEUTRAL
    assert list(controls.settings) == [
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "repetition_penalty",
    ]
    assert controls.sliders["top_k"].max == 65
    assert isinstance(controls.settings["top_k"], int)


def test_every_control_has_a_name_and_a_linked_box():
    _, *rows = make_controls().box.children
    assert len(rows) == len(SAMPLING_SETTINGS)
    for row, setting in zip(rows, SAMPLING_SETTINGS):
        slider, box = row.children
        assert slider.description == box.description == setting.label
        assert slider.continuous_update
        assert f"neutral: {setting.neutral:g}" in slider.tooltip
        assert (slider.min, slider.max) == (box.min, box.max)


def test_a_slider_and_its_box_follow_each_other():
    controls, calls = make_controls(), []
    controls.on_change(lambda: calls.append(controls.settings["top_p"]))
    slider, box = controls.box.children[3].children
    slider.value = 0.9000000000000001
    assert box.value == 0.9
    assert slider.value != 0.9  # a correction would make the page correct it in turn
    box.value = 0.123
    assert slider.value == 0.123
    assert calls == [0.9, 0.123]


def test_moving_one_slider_notifies_once():
    controls, calls = make_controls(), []
    controls.on_change(lambda: calls.append(controls.settings))
    controls.sliders["temperature"].value = 0.7000000000000001
    assert calls == [{**NEUTRAL, "temperature": 0.7}]


def test_set_changes_all_and_notifies_once():
    controls, calls = make_controls(), []
    controls.sliders["min_p"].value = 0.3
    controls.on_change(lambda: calls.append(controls.settings))
    controls.set_all({"temperature": 0.5, "top_k": 7, "top_p": 0.8})
    assert calls == [{**NEUTRAL, "temperature": 0.5, "top_k": 7, "top_p": 0.8}]
    controls.set_all({"temperature": 0.5, "top_k": 7, "top_p": 0.8})
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"heat": 1}, r"settings has 'heat'; known are \['temperature', 'top_k'"),
        ({"temperature": 3}, "temperature=3; it must be a number from 0 to 2"),
        ({"min_p": np.nan}, "min_p=nan; it must be a number from 0 to 0.5"),
        ({"top_k": 66}, "top_k=66; it must be a whole number from 0 to 65"),
        ({"top_k": 1.5}, "top_k=1.5; it must be a whole number"),
    ],
)
def test_set_says_what_it_cannot_take_and_changes_nothing(values, complaint):
    controls = make_controls()
    controls.set_all({"top_p": 0.5})
    with pytest.raises(ValueError, match=complaint):
        controls.set_all({"temperature": 0.1, **values})
    assert controls.settings == {**NEUTRAL, "top_p": 0.5}


def test_controls_need_a_token():
    with pytest.raises(ValueError, match="vocab_size=0; it must be at least 1"):
        make_controls(0)


def test_another_vocabulary_moves_the_end_of_top_k():
    controls, calls = make_controls(), []
    slider, box = controls.box.children[2].children
    controls.on_change(lambda: calls.append(controls.settings["top_k"]))
    controls.set_vocab_size(2048)
    controls.set_all({"top_k": 2000})
    assert (slider.max, box.max, box.value) == (2048, 2048, 2000)
    controls.set_vocab_size(65)
    assert (slider.max, box.max, slider.value, box.value) == (65, 65, 65, 65)
    assert calls == [2000, 65]
    with pytest.raises(ValueError, match=r"top_k=66; it must be a whole .* 0 to 65"):
        controls.set_all({"top_k": 66})
    with pytest.raises(ValueError, match="vocab_size=0; it must be at least 1"):
        controls.set_vocab_size(0)


def ticked_presets(controls):
    return [
        name for name, button in controls.buttons.items() if "✓" in button.description
    ]


def test_the_preset_that_fits_is_ticked():
    controls = make_controls()
    assert ticked_presets(controls) == ["Neutral"]
    for name, button in controls.buttons.items():
        button.click()
        assert controls.settings == PRESETS[name]
        assert ticked_presets(controls) == [name]
        assert button.button_style == "info"
    controls.set_all({"temperature": 0.7, "top_p": 0.91})
    assert ticked_presets(controls) == []
    controls.sliders["top_p"].value = 0.9
    assert ticked_presets(controls) == ["Careful"]


# The sampling explorer

LOGITS = np.log(BEFORE)


def reshape(logits, settings):
    """Temperature and top-k only; it complains about the temperature 2."""
    if settings["temperature"] == 2:
        raise ValueError("too <hot>")
    if settings["temperature"] == 1.9:
        raise ZeroDivisionError("oh")
    scores = logits / max(settings["temperature"], 1e-3)
    after = softmax(scores)
    after[np.argsort(-after)[settings["top_k"] or len(after) :]] = 0
    return after / after.sum()


def explore(contexts, title="Shape", reshape=reshape, **options):
    return sampling_explorer(
        contexts, reshape, title, SAMPLING_SETTINGS, PRESETS, **options
    )


def parts_of(view):
    form, page = view.widget.children
    *menu, u_row, controls, status, _ = form.children
    presets, *rows = controls.children
    sliders = [row.children[0] for row in rows]
    return menu, u_row.children[0], presets.children, sliders, status, page


def test_an_explorer_redraws_with_each_control():
    contexts = {"ROM": (LABELS, LOGITS), "JUL": (LABELS[:3], LOGITS[:3])}
    view = explore(contexts, start={"top_k": 2})
    [menu], u_slider, presets, (temperature, *_), status, page = parts_of(view)
    assert page.title == "Shape"
    assert [row["texts"] for row in page.rows] == [
        ["40.0 %", "57.1 %"],
        ["30.0 %", "42.9 %"],
        ["20.0 %", "cut"],
        ["10.0 %", "cut"],
    ]
    assert page.sampled_id == 1
    u_slider.value = 0.9
    assert page.sampled_id == 3
    temperature.value = 0.5
    assert page.rows[0]["after"] == pytest.approx(16 / 25)
    assert isinstance(presets[0], Button)
    presets[0].click()
    assert [row["after"] for row in page.rows] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    menu.value = "JUL"
    assert len(page.rows) == 3
    assert page.rows[0]["before"] == pytest.approx(4 / 7)
    assert status.value == ""


def test_an_explorer_shows_what_its_function_says_and_keeps_the_picture():
    view = explore({"ROM": (LABELS, LOGITS)})
    menu, _, _, (temperature, *_), status, page = parts_of(view)
    assert menu == []  # one context needs no menu
    temperature.value = 1.5
    rows = page.rows
    temperature.value = 2
    assert status.value == "too &lt;hot&gt;"
    assert page.rows == rows
    temperature.value = 1.9
    assert status.value == "ZeroDivisionError: oh"
    temperature.value = 1
    assert status.value == ""
    assert page.rows != rows


def test_an_explorers_fallback_has_the_first_context_and_settings():
    contexts = {"ROM": (LABELS, LOGITS), "JUL": (LABELS[:3], LOGITS[:3])}
    view = explore(contexts, u=0.9, start={"top_k": 2})
    description = view.fallback.description
    assert description.startswith(
        "Shape: ROM. Probabilities by the model → with the settings: ␣ 40"
    )
    assert description.endswith(
        "u = 0.9 lands on “↵”: the model gave it 30.0 %, the settings 42.9 %;"
        " 2 of 4 tokens are cut."
    )
    alone = explore({"ROM": (LABELS, LOGITS)}).fallback.description
    assert alone.startswith("Shape. ")


@pytest.mark.parametrize(
    ("contexts", "options", "complaint"),
    [
        ({}, {}, "at least one context"),
        ({"x": (LABELS, [1, 2])}, {}, r"'x' have shape \(2,\); 4 labels need \(4,\)"),
        ({"x": (LABELS, LOGITS)}, {"u": 1.5}, "u=1.5 is not a random number"),
        ({"x": (LABELS, LOGITS)}, {"start": {"heat": 1}}, "settings has 'heat'"),
        ({"x": (LABELS, LOGITS)}, {"start": {"temperature": 2}}, "too <hot>"),
    ],
)
def test_an_explorer_says_what_does_not_fit(contexts, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        explore(contexts, "Wrong", **options)


def test_a_setting_can_be_left_out():
    controls = SamplingControls(
        SAMPLING_SETTINGS, PRESETS, 9, left_out=["repetition_penalty"]
    )
    assert "repetition_penalty" not in controls.settings
    controls.buttons["Careful"].click()
    assert controls.settings["top_p"] == 0.9
    assert controls.buttons["Careful"].description == "✓ Careful"
    with pytest.raises(ValueError, match="repetition_penalty"):
        controls.set_all({"repetition_penalty": 1.5})


def test_controls_take_any_settings():
    tip = "How much heat; neutral: 2."
    heat = SimpleNamespace(
        key="heat", label="Heat", low=0, high=0, step=1, neutral=2, tip=tip
    )
    controls = SamplingControls([heat], {"Hot": {"heat": 9, "other": 1}}, vocab_size=9)
    assert controls.settings == {"heat": 2}
    assert controls.sliders["heat"].max == 9  # high=0: the size of the vocabulary
    assert controls.buttons["Hot"].tooltip == "heat 9"
    controls.buttons["Hot"].click()
    assert controls.settings == {"heat": 9}
