"""From the model's probabilities to the token drawn: the bars and the settings."""

import re
import time

import numpy as np
import pytest
from ipywidgets import Button

from gpt_lib.views.controls import NEUTRAL, PRESETS, SETTINGS, Controls
from gpt_lib.views.picture import WIDGET_VIEW
from gpt_lib.views.tokens.next_token import (
    ChancesWidget,
    chances,
    landing,
    picture_of_chances,
)
from gpt_lib.views.tokens.sampling_explorer import shaper

NASTY = "<b>\"x\" & 'y'"
NAMES = ["a", " ", "c", "\n"]
BEFORE = [0.2, 0.4, 0.1, 0.3]
AFTER = [0.25, 0.75, 0.0, 0.0]


def softmax(scores):
    powers = np.exp(np.asarray(scores) - np.max(scores))
    return powers / powers.sum()


def shown(names=NAMES, before=BEFORE, after=AFTER, u=None):
    widget = ChancesWidget()
    widget.show(names, before, after, u)
    return widget


# The draw


@pytest.mark.parametrize(
    ("u", "winner"), [(0, 1), (0.49, 1), (0.5, 0), (0.74, 0), (0.75, 3), (0.999, 3)]
)
def test_u_lands_in_order_of_falling_chance(u, winner):
    assert landing([0.25, 0.5, 0, 0.25], u) == winner  # of equals the lower first


def test_of_equals_the_lower_comes_first():
    after = np.tile([0.25, 0.75], 30) / 30
    assert [landing(after, (place + 0.5) / 40) for place in range(30)] == [
        *range(1, 60, 2)
    ]


def test_u_is_a_share_of_the_sum_and_never_lands_on_a_cut_token():
    assert landing([1.0, 3.0], 0.74) == 1
    assert landing([1.0, 3.0], 0.76) == 0
    assert landing(np.float32([0.1] * 10 + [0]), np.nextafter(1, 0)) == 9


def test_u_lands_as_often_as_the_chances_say():
    after = softmax(np.random.default_rng(2).normal(size=9))
    draws = [landing(after, u) for u in (np.arange(20_000) + 0.5) / 20_000]
    shares = np.bincount(draws, minlength=9) / 20_000
    assert shares == pytest.approx(after, abs=2e-4)


# The page


def test_the_page_has_its_rows_in_order_of_the_models_chances():
    rows = shown(u=0.8).rows
    assert [row["name"] for row in rows] == ["␣", "↵", "a", "c"]
    assert [row["id"] for row in rows] == [1, 3, 0, 2]
    assert [row["told"] for row in rows] == [
        ["40.0 %", "75.0 %"],
        ["30.0 %", "cut"],
        ["20.0 %", "25.0 %"],
        ["10.0 %", "cut"],
    ]
    assert [row["after"] for row in rows] == [0.75, 0, 0.25, 0]


def test_the_page_has_its_segments_in_order_of_the_settings_chances():
    widget = shown(u=0.8)
    assert [(part["id"], part["start"], part["width"]) for part in widget.segments] == [
        (1, 0, 0.75),
        (0, 0.75, 0.25),
    ]
    assert (widget.u, widget.winner) == (0.8, 0)
    assert widget.sentence == (
        "u = 0.8 lands on “a”: the model gave it 20.0 %, the settings 25.0 %;"
        " 2 of 4 tokens are cut."
    )


def test_without_a_draw_nothing_wins():
    widget = shown(after=BEFORE)
    assert (widget.u, widget.winner, widget.u_told) == (None, -1, "")
    assert widget.sentence == (
        "The likeliest is “␣”: the model gave it 40.0 %, the settings 40.0 %;"
        " no token is cut."
    )


def test_tiny_chances_and_large_draws_are_not_rounded_away():
    rest = [0.9996, 0.0004]
    widget = shown(["E", "\tß"], rest, rest, 0.9998)
    assert widget.sentence.startswith("u = 0.999 lands on “⇥ß”: the model gave it <0.1")


def test_the_likeliest_and_the_winner_are_rows_and_the_others_are_summed():
    before = softmax(-np.arange(40) / 10)
    rows = shown(range_names(40), before, before, 0.9999).rows
    assert [row["id"] for row in rows] == [*range(11), 39, -1]
    assert rows[-1]["name"] == "28 others"
    assert sum(row["before"] for row in rows) == pytest.approx(1)
    assert sum(row["after"] for row in rows) == pytest.approx(1)
    thirteen = shown(range_names(13), [1 / 13] * 13, [1 / 13] * 13).rows
    assert thirteen[-1]["name"] == "1 other"
    assert len(shown(range_names(12), [1 / 12] * 12, [1 / 12] * 12).rows) == 12


def range_names(count):
    return [f"t{number}" for number in range(count)]


def test_narrow_segments_are_one_but_the_winners_is_its_own():
    after = np.array([0.5, 0.495, *[0.001] * 5])
    parts = shown(range_names(7), after, after, 0.9975).segments
    assert [part["name"] for part in parts] == ["t0", "t1", "2 more", "t4", "2 more"]
    assert [part["id"] for part in parts] == [0, 1, -1, 4, -1]
    ends = [part["start"] + part["width"] for part in parts]
    assert ends == pytest.approx([0.5, 0.995, 0.997, 0.998, 1])


def test_a_large_vocabulary_sends_little_and_stays_fast():
    names = [f"token {number}" for number in range(50_000)]
    before = softmax(np.random.default_rng(1).normal(size=50_000) * 3)
    widget = shown(names, before, before, 0.9)
    assert len(widget.rows) == 13
    assert len(widget.segments) < 500
    assert widget.winner in [part["id"] for part in widget.segments]
    assert best_time(lambda: widget.show(names, before, before, 0.3)) < 0.15


def test_a_small_vocabulary_is_shown_within_milliseconds():
    before = softmax(np.random.default_rng(1).normal(size=65))
    widget, draws = ChancesWidget(), iter(np.arange(20) / 20)
    names = range_names(65)
    assert best_time(lambda: widget.show(names, before, before, next(draws))) < 0.003


def best_time(action):
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return min(times)


def test_all_is_sent_in_one_message(monkeypatch):
    sent, widget = [], ChancesWidget()
    monkeypatch.setattr(
        ChancesWidget, "send_state", lambda _, key: sent.append(set(key))
    )
    widget.show(NAMES, BEFORE, AFTER, 0.8, "New")
    [keys] = sent
    assert keys == {"rows", "segments", "u", "u_told", "winner", "sentence", "title"}


def test_the_title_stays_unless_given():
    widget = ChancesWidget(title="Old")
    widget.show(NAMES, BEFORE, AFTER, None)
    assert widget.title == "Old"
    widget.show(NAMES, BEFORE, AFTER, None, "")
    assert widget.title == ""


def test_a_cleared_page_shows_a_sentence_only():
    widget = shown(u=0.8)
    widget.clear("Nothing yet.")
    assert widget.sentence == "Nothing yet."
    assert (widget.rows, widget.segments, widget.u, widget.winner) == ([], [], None, -1)


def receive(widget, message):
    widget._handle_custom_msg(message, [])


def test_a_pick_calls_back_with_the_index_even_of_a_cut_token():
    widget, picked = shown(), []
    widget.on_pick(picked.append)
    for index in (1, 2):
        receive(widget, {"type": "pick", "id": index})
    assert picked == [1, 2]


@pytest.mark.parametrize("index", [-1, 4, None, "1", 0.5])
def test_a_pick_of_no_token_is_ignored(index):
    widget, picked = shown(), []
    widget.on_pick(picked.append)
    receive(widget, {"type": "pick", "id": index})
    receive(widget, {"type": "other", "id": 1})
    widget.clear("")
    receive(widget, {"type": "pick", "id": 1})
    assert picked == []


@pytest.mark.parametrize(
    ("before", "after", "u", "complaint"),
    [
        ([1], AFTER, None, r"before has shape \(1,\); 4 names need \(4,\)"),
        (BEFORE, [AFTER], None, r"after has shape \(1, 4\); 4 names need"),
        (BEFORE, [-1, 2, 0, 0], None, "after runs from -1 to 2 and sums to 1;"),
        (BEFORE, [0.2, 0.4, 0, 0], None, "after .* sums to 0.6; .* sum to 1"),
        ([np.nan, 0, 0, 1], AFTER, None, "before runs from nan"),
        (BEFORE, AFTER, 1, "u=1 is not a draw: 0 <= u < 1"),
        (BEFORE, AFTER, np.nan, "u=nan is not a draw"),
    ],
)
def test_chances_say_what_does_not_fit(before, after, u, complaint):
    with pytest.raises(ValueError, match=complaint):
        chances(NAMES, before, after, "Wrong", u)


def test_a_failed_show_changes_nothing():
    widget = shown(u=0.8)
    with pytest.raises(ValueError, match="4 names need"):
        widget.show(NAMES, BEFORE, [1], 0.1)
    assert (widget.u, widget.winner) == (0.8, 0)


# The twin


def test_the_twin_tells_the_numbers_and_is_escaped():
    view = chances([NASTY, "$", "$x$"], [0.5, 0.3, 0.2], [0.6, 0.4, 0], NASTY, 0.7)
    sign = NASTY.replace(" ", "␣")
    assert view.twin.words == (
        f"{NASTY}. Chances by the model → with the settings: {sign} 50.0 % → 60.0 %,"
        f" $ 30.0 % → 40.0 %, $x$ 20.0 % → cut. u = 0.7 lands on “$”: the model gave it"
        f" 30.0 %, the settings 40.0 %; 1 of 3 tokens is cut."
    )
    page = view._repr_mimebundle_()
    assert page[WIDGET_VIEW]["model_id"] == view.widget.model_id
    assert NASTY not in page["text/html"]
    assert re.search("alt=.&lt;b&gt;", page["text/html"])


def test_the_picture_takes_any_name_as_it_is():
    formula = r"$\no$"  # would be an error in a formula
    picture = picture_of_chances([formula, "a"], [1, 0], [1, 0], formula, 0.5)
    assert picture.words.startswith(f"{formula}. ")


def test_the_picture_changes_with_the_settings_and_the_draw():
    pictures = [
        picture_of_chances(NAMES, BEFORE, BEFORE, "Same").png,
        picture_of_chances(NAMES, BEFORE, AFTER, "Same").png,
        picture_of_chances(NAMES, BEFORE, AFTER, "Same", 0.1).png,
        picture_of_chances(NAMES, BEFORE, AFTER, "Same", 0.9).png,
    ]
    assert len(set(pictures)) == 4
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)


# The settings


def test_controls_begin_neutral_and_within_their_ranges():
    controls = Controls(65)
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
    _, *rows = Controls(65).box.children
    assert len(rows) == len(SETTINGS)
    for row, setting in zip(rows, SETTINGS):
        slider, box = row.children
        assert slider.description == box.description == setting.label
        assert slider.continuous_update
        assert f"neutral: {setting.neutral:g}" in slider.tooltip
        assert (slider.min, slider.max) == (box.min, box.max)


def test_a_slider_and_its_box_follow_each_other():
    controls, calls = Controls(65), []
    controls.on_change(lambda: calls.append(controls.settings["top_p"]))
    slider, box = controls.box.children[3].children
    slider.value = 0.9000000000000001
    assert box.value == 0.9
    assert slider.value != 0.9  # a correction would make the page correct it in turn
    box.value = 0.123
    assert slider.value == 0.123
    assert calls == [0.9, 0.123]


def test_moving_one_slider_notifies_once():
    controls, calls = Controls(65), []
    controls.on_change(lambda: calls.append(controls.settings))
    controls.sliders["temperature"].value = 0.7000000000000001
    assert calls == [{**NEUTRAL, "temperature": 0.7}]


def test_set_changes_all_and_notifies_once():
    controls, calls = Controls(65), []
    controls.sliders["min_p"].value = 0.3
    controls.on_change(lambda: calls.append(controls.settings))
    controls.set({"temperature": 0.5, "top_k": 7, "top_p": 0.8})
    assert calls == [{**NEUTRAL, "temperature": 0.5, "top_k": 7, "top_p": 0.8}]
    controls.set({"temperature": 0.5, "top_k": 7, "top_p": 0.8})
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"heat": 1}, r"settings has 'heat'; known are \['temperature', 'top_k'"),
        ({"temperature": 3}, "temperature=3; it must be a number from 0 to 2"),
        ({"min_p": np.nan}, "min_p=nan; it must be a number from 0 to 0.5"),
        ({"top_k": 66}, "top_k=66; it must be a whole number from 0 to 65"),
        ({"top_k": 1.5}, "top_k=1.5; it must be a whole number"),
    ],
)
def test_set_says_what_it_cannot_take_and_changes_nothing(settings, complaint):
    controls = Controls(65)
    controls.set({"top_p": 0.5})
    with pytest.raises(ValueError, match=complaint):
        controls.set({"temperature": 0.1, **settings})
    assert controls.settings == {**NEUTRAL, "top_p": 0.5}


def test_controls_need_a_token():
    with pytest.raises(ValueError, match="vocab_size=0; it must be at least 1"):
        Controls(0)


def ticked(controls):
    return [
        name for name, button in controls.buttons.items() if "✓" in button.description
    ]


def test_the_preset_that_fits_is_ticked():
    controls = Controls(65)
    assert ticked(controls) == ["Neutral"]
    for name, button in controls.buttons.items():
        button.click()
        assert controls.settings == PRESETS[name]
        assert ticked(controls) == [name]
        assert button.button_style == "info"
    controls.set({"temperature": 0.7, "top_p": 0.91})
    assert ticked(controls) == []
    controls.sliders["top_p"].value = 0.9
    assert ticked(controls) == ["Careful"]


# The shaper

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


def parts_of(view):
    left, page = view.widget.children
    *menu, draw_row, controls, status, _ = left.children
    presets, *rows = controls.children
    sliders = [row.children[0] for row in rows]
    return menu, draw_row.children[0], presets.children, sliders, status, page


def test_a_shaper_redraws_with_each_control():
    contexts = {"ROM": (NAMES, LOGITS), "JUL": (NAMES[:3], LOGITS[:3])}
    view = shaper(contexts, reshape, "Shape", settings={"top_k": 2})
    [menu], draw, presets, (temperature, *_), status, page = parts_of(view)
    assert page.title == "Shape"
    assert [row["told"] for row in page.rows] == [
        ["40.0 %", "57.1 %"],
        ["30.0 %", "42.9 %"],
        ["20.0 %", "cut"],
        ["10.0 %", "cut"],
    ]
    assert page.winner == 1
    draw.value = 0.9
    assert page.winner == 3
    temperature.value = 0.5
    assert page.rows[0]["after"] == pytest.approx(16 / 25)
    assert isinstance(presets[0], Button)
    presets[0].click()
    assert [row["after"] for row in page.rows] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    menu.value = "JUL"
    assert len(page.rows) == 3
    assert page.rows[0]["before"] == pytest.approx(4 / 7)
    assert status.value == ""


def test_a_shaper_shows_what_its_function_says_and_keeps_the_picture():
    view = shaper({"ROM": (NAMES, LOGITS)}, reshape, "Shape")
    menu, _, _, (temperature, *_), status, page = parts_of(view)
    assert menu == []  # one context needs no menu
    temperature.value = 1.5
    kept = page.rows
    temperature.value = 2
    assert status.value == "too &lt;hot&gt;"
    assert page.rows == kept
    temperature.value = 1.9
    assert status.value == "ZeroDivisionError: oh"
    temperature.value = 1
    assert status.value == ""
    assert page.rows != kept


def test_a_shapers_twin_has_the_first_context_and_settings():
    contexts = {"ROM": (NAMES, LOGITS), "JUL": (NAMES[:3], LOGITS[:3])}
    words = shaper(contexts, reshape, "Shape", 0.9, {"top_k": 2}).twin.words
    assert words.startswith(
        "Shape: ROM. Chances by the model → with the settings: ␣ 40"
    )
    assert words.endswith(
        "u = 0.9 lands on “↵”: the model gave it 30.0 %, the settings 42.9 %;"
        " 2 of 4 tokens are cut."
    )
    alone = shaper({"ROM": (NAMES, LOGITS)}, reshape, "Shape").twin.words
    assert alone.startswith("Shape. ")


@pytest.mark.parametrize(
    ("contexts", "options", "complaint"),
    [
        ({}, {}, "at least one context"),
        ({"x": (NAMES, [1, 2])}, {}, r"'x' have shape \(2,\); 4 names need \(4,\)"),
        ({"x": (NAMES, LOGITS)}, {"u": 1.5}, "u=1.5 is not a draw"),
        ({"x": (NAMES, LOGITS)}, {"settings": {"heat": 1}}, "settings has 'heat'"),
        ({"x": (NAMES, LOGITS)}, {"settings": {"temperature": 2}}, "too <hot>"),
    ],
)
def test_a_shaper_says_what_does_not_fit(contexts, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        shaper(contexts, reshape, "Wrong", **options)


def test_a_setting_can_be_left_out():
    controls = Controls(9, left_out=["repetition_penalty"])
    assert "repetition_penalty" not in controls.settings
    controls.buttons["Careful"].click()
    assert controls.settings["top_p"] == 0.9
    assert controls.buttons["Careful"].description == "✓ Careful"
    with pytest.raises(ValueError, match="repetition_penalty"):
        controls.set({"repetition_penalty": 1.5})
