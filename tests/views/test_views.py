"""Pictures say what they show; the playground and the live curve never mix two runs."""

import asyncio
import re
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from nbformat import v4

from gpt_lib import views
from gpt_lib.course.jupyter_hook import keep_twins
from gpt_lib.playground.notebook import Playground
from gpt_lib.views.charts import basic
from gpt_lib.views.picture import WIDGET_VIEW


def bundle(view):
    return view._repr_mimebundle_()


@pytest.mark.parametrize(
    "picture",
    [
        views.bars(["a", "b"], [1, 2.5], "Counts", " %"),
        views.grid([[1.0, -2.0]], "Signed"),
        views.grid(np.eye(30), "Large"),
        views.curves(
            {"loss": ([0, 1], [4.0, 2.0])}, "Run", "step", "nats", {"ln V": 4}
        ),
        views.curves(
            {"time": ([1, 10], [4.0, 40.0])}, "Logs", "n", "ms", logarithmic="xy"
        ),
        views.roofline(1e11, 1e10, {"sum": (0.1, 5e8)}, "Machine"),
    ],
    ids=lambda picture: picture.words[:6],
)
def test_a_picture_has_words_in_the_page_and_in_plain_text(picture):
    shown = bundle(picture)
    [alt] = re.findall(r'<img alt="([^"]+)"', shown["text/html"])
    assert shown["text/plain"] == picture.words == repr(picture)
    assert len(alt) > 20
    assert picture.png.startswith(b"\x89PNG")


def test_a_roof_says_what_share_of_it_is_reached():
    work = {"sum": (1.0, 5e9), "product": (20.0, 1e11)}
    words = views.roofline(1e11, 1e10, work, "Mine").words
    assert "10 GB/s on the left of 10 operations a byte" in words
    assert "100 GFLOP/s on the right" in words
    assert "sum 5 GFLOP/s, 50% of its roof" in words
    assert "product 100 GFLOP/s, 100% of its roof" in words


def test_words_hold_the_numbers():
    assert "a 1 %, b 2.5 %" in views.bars(["a", "b"], [1, 2.5], "Counts", " %").words
    assert "1 -2; 0 3" in views.grid([[1, -2], [0, 3]], "Grid").words
    words = views.curves(
        {"loss": ([0, 1], [4, 2])}, "Run", "step", "nats", {"floor": 1}
    )
    assert "loss from 4 to 2; line floor at 1.000" in words.words


def test_descriptions_are_escaped():
    picture = views.bars(['"<b>&'], [1], 'a "quoted" <title>')
    assert "<title>" not in picture.html
    assert picture.html.count('"') == 8  # four attributes, nothing leaks out


def test_labels_and_values_must_match():
    with pytest.raises(ValueError, match="2 labels for 3 values"):
        views.bars(["a", "b"], [1, 2, 3], "Wrong")
    with pytest.raises(ValueError, match="does not fit 3 characters"):
        views.pair_table(np.eye(2), "abc", "Wrong")


def test_a_view_shows_its_widget_live_and_its_twin_elsewhere():
    view = views.pair_table(np.eye(3), "a b", "Pairs")
    shown = bundle(view)
    assert shown[WIDGET_VIEW]["model_id"] == view.widget.model_id
    assert "<img alt=" in shown["text/html"]
    assert "surest: after" in shown["text/plain"]
    assert view.widget.characters == ["a", "␣", "b"]


def test_questions_show_what_cannot_be_seen():
    panel = views.questions(["a", "a <"], [" ", "\n"])
    assert panel.words == "a → ␣\na␣< → ↵"
    assert "&lt;" in panel.html


def test_a_prediction_answers_and_needs_a_right_answer():
    view = views.predict("Why?", {"yes": "Well done.", "no": "Look <again>."}, "yes")
    _, choice, reply, _ = view.widget.children
    assert reply.value == ""
    choice.value = "no"
    assert "✗ Look &lt;again&gt;." in reply.value
    choice.value = "yes"
    assert "✓ Well done." in reply.value
    assert "<details>" in bundle(view)["text/html"]
    with pytest.raises(ValueError, match="answer='maybe' is not one of"):
        views.predict("Why?", {"yes": "", "no": ""}, "maybe")


# The playground


def letters(model, prompt, length, temperature, seed):
    """Writes the model's letter; the model may wait for a permission for each."""
    if "?" in prompt:
        raise ValueError("'?' at position 0 is not known")
    letter, gate = model
    for _ in range(length):
        if gate:
            assert gate.acquire(timeout=5)
        yield letter


def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def make(prompt="x", **models):
    play = Playground(models or {"a": ("a", None)}, letters, prompt)
    play.length.value = 5
    return play


def settled(play, word="done"):
    wait_until(lambda: word in play.status.value)


def test_construction_does_no_work():
    started = threading.active_count()
    play = make()
    assert threading.active_count() == started
    assert play.status.value == "ready"
    assert play.stop_button.disabled
    assert play.continue_button.disabled


def test_generate_writes_and_continue_goes_on():
    play = make()
    play.generate_button.click()
    settled(play)
    assert "x</span>aaaaa<" in play.output.value
    assert play.status.value.startswith("done: 5 tokens")
    play.continue_button.click()
    wait_until(lambda: "aaaaaaaaaa<" in play.output.value)
    play.generate_button.click()
    wait_until(lambda: "x</span>aaaaa<" in play.output.value)


def test_stop_stops_within_one_token_and_text_stays():
    gate = threading.Semaphore(0)
    play = make(a=("a", gate))
    play.generate_button.click()
    gate.release(2)
    wait_until(lambda: len(play.run.pieces) == 2)
    play.stop_button.click()
    gate.release(3)
    settled(play, "stopped")
    assert play.status.value.startswith("stopped: 2 tokens")
    assert "x</span>aa<" in play.output.value
    play.stop_button.click()  # after the end: nothing happens
    assert play.status.value.startswith("stopped: 2 tokens")


def test_a_second_click_replaces_the_first_run_and_nothing_mixes():
    gate = threading.Semaphore(0)
    play = make(slow=("s", gate), fast=("f", None))
    play.generate_button.click()
    gate.release(1)
    wait_until(lambda: len(play.run.pieces) == 1)
    first = play.run
    play.model.value = "fast"
    play.generate_button.click()
    settled(play)
    gate.release(10)  # the old run wakes up, late
    wait_until(lambda: len(first.pieces) == 1 and first.stop.is_set())
    time.sleep(0.05)
    assert "x</span>fffff<" in play.output.value
    assert "s" not in re.sub(r"<[^>]*>", "", play.output.value)


def test_an_unknown_character_is_named_without_a_traceback():
    play = make(prompt="?")
    play.generate_button.click()
    settled(play, "&#x27;?&#x27; at position 0 is not known")
    play.prompt.value = "x"
    play.generate_button.click()
    settled(play)


def test_any_other_error_is_shown_by_its_name():
    play = Playground({"broken": None}, letters, "x")
    play.generate_button.click()
    settled(play, "TypeError")


def test_text_is_escaped():
    play = make(prompt="<b>", a=("<i>", None))
    play.generate_button.click()
    settled(play)
    assert "<b>" not in play.output.value
    assert "&lt;i&gt;" in play.output.value


def test_a_playground_needs_a_model_and_its_twin_shows_a_sample():
    with pytest.raises(ValueError, match="at least one model"):
        Playground({}, letters)
    play = Playground({"a": ("a", None)}, letters, "x", sample="yz <")
    assert "yz &lt;" in bundle(play)["text/html"]
    assert "A sample: xyz <" in repr(play)


def test_a_playgrounds_twin_can_show_a_picture_below_its_sample():
    picture = views.bars(["b"], [1], "Chances")
    play = Playground({"a": ("a", None)}, letters, "x", sample="yz", picture=picture)
    page = bundle(play)["text/html"]
    assert page.index("yz") < page.index("<img alt=")
    assert repr(play).endswith(f"A sample: xyz\n{picture.words}")


def test_a_box_shows_a_sliders_value_without_rounding_errors():
    play = make()
    play.temperature.value = 1.1500000000000001
    assert play.temperature_box.value == 1.15
    play.temperature_box.value = 0.9
    assert play.temperature.value == 0.9
    play.length_box.value = 7
    assert play.length.value == 7
    play.length.value = 9
    assert play.length_box.value == 9


def test_a_run_takes_the_temperature_that_the_box_shows():
    play = make()
    play.temperature.value = 0.1 + 0.2
    play.generate_button.click()
    settled(play)
    assert play.run.temperature == play.temperature_box.value == 0.3


# The live curve


def record(step, loss):
    return SimpleNamespace(
        step=step,
        batch_loss=loss,
        train_estimate=loss if step % 2 == 0 else None,
        validation_estimate=loss + 0.1 if step % 2 == 0 else None,
        tokens_per_second=1000.0,
        seconds_left=3.0,
    )


class Run:
    """A trainer that knows whether it was closed."""

    def __init__(self, steps, fail_at=None, error=None):
        self.closed, self.steps = False, steps
        self.fail_at, self.error = fail_at, error

    def __iter__(self):
        for step in range(self.steps):
            if step == self.fail_at:
                raise self.error
            yield record(step, 4 - step / self.steps)

    def close(self):
        self.closed = True


@pytest.fixture
def shown(monkeypatch):
    """What `watch` displays, and its button."""
    seen = SimpleNamespace(final=None, box=None, first=None)

    class Handle:
        def update(self, panel):
            seen.final = panel

    def display(view, display_id):
        seen.first, seen.box = view._repr_mimebundle_(), view.widget
        return Handle()

    monkeypatch.setattr("gpt_lib.views.charts.loss_curve.display", display)
    monkeypatch.setattr("gpt_lib.views.charts.loss_curve.SECONDS_BETWEEN_DRAWINGS", 0)
    return seen


def test_watching_returns_every_record_and_ends_in_a_picture(shown):
    run = Run(6)
    history = asyncio.run(views.watch(run, {"ln V": 4.0}))
    assert [r.step for r in history] == list(range(6))
    assert shown.final.words.startswith("finished at step 5 · loss")
    assert "validation, estimated from 4.1" in shown.final.words
    assert '<img alt="' in shown.final.html
    assert run.closed


def test_bars_say_large_numbers_without_an_exponent():
    assert views.bars(["a", "b"], [10_569.4, 0.00123], "Two").words.endswith(
        "Bars: a 10,569, b 0.00123."
    )


def test_the_number_of_a_negative_bar_does_not_cover_its_name(monkeypatch):
    drawn = []
    picture = basic.Picture
    monkeypatch.setattr(
        basic,
        "Picture",
        lambda *given: drawn.append(given[0]) or picture(*given),
    )
    views.bars(["gain", "loss"], [2, -1], "Two")
    [axes] = drawn[0].axes
    assert [(each.get_text(), each.xy) for each in axes.texts] == [
        ("2", (2, 0)),
        ("-1", (0, 1)),
    ]


def test_a_lesson_saved_while_it_trains_opens_with_words_not_with_an_error(shown):
    asyncio.run(views.watch(Run(2)))
    output = v4.new_output("display_data", data=shown.first)
    cell = v4.new_code_cell("x", outputs=[output])
    notebook = v4.new_notebook(cells=[cell])
    keep_twins({"type": "notebook", "content": notebook})
    assert WIDGET_VIEW in shown.first
    assert WIDGET_VIEW not in output.data
    assert "in progress when this was saved" in output.data["text/html"]


def test_the_stop_button_ends_the_run_and_keeps_its_history(shown):
    async def clicked():
        task = asyncio.create_task(views.watch(Run(10_000)))
        while shown.box is None:
            await asyncio.sleep(0)
        shown.box.children[0].click()
        return await task

    history = asyncio.run(clicked())
    assert 0 < len(history) < 10_000
    assert shown.final.words.startswith("stopped by you at step")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_labs_interrupt_ends_the_run_and_keeps_its_history(shown, error):
    run = Run(10, fail_at=4, error=error)
    history = asyncio.run(views.watch(run))
    assert len(history) == 4
    assert shown.final.words.startswith("interrupted by you at step 3")
    assert run.closed


def test_a_run_that_fails_still_shows_what_there_was(shown):
    with pytest.raises(ZeroDivisionError):
        asyncio.run(views.watch(Run(10, fail_at=0, error=ZeroDivisionError())))
    assert "before the first step" in shown.final.words


def test_a_curve_needs_no_estimates():
    assert "this batch from 4 to 4" in views.loss_curve([record(1, 4.0)]).words
