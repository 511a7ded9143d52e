"""Pictures describe what they show; the live curve ends in one of the whole run."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from nbformat import v4

from gpt_lib import views
from gpt_lib.course.jupyter_hook import keep_only_fallbacks
from gpt_lib.views.charts import basic
from gpt_lib.views.picture import WIDGET_VIEW
from tests.views.page_data import alt_of, bundle


@pytest.mark.parametrize(
    "picture",
    [
        views.bar_chart(["a", "b"], [1, 2.5], "Counts", " %"),
        views.heatmap([[1.0, -2.0]], "Signed"),
        views.heatmap(np.eye(30), "Large"),
        views.line_chart(
            {"loss": ([0, 1], [4.0, 2.0])}, "Run", "step", "nats", {"ln V": 4}
        ),
        views.line_chart(
            {"time": ([1, 10], [4.0, 40.0])}, "Logs", "n", "ms", logarithmic="xy"
        ),
        views.roofline_chart(1e11, 1e10, {"sum": (0.1, 5e8)}, "Machine"),
    ],
    ids=lambda picture: picture.description[:6],
)
def test_a_picture_has_a_description_in_the_page_and_in_plain_text(picture):
    assert bundle(picture)["text/plain"] == picture.description == repr(picture)
    assert len(alt_of(picture)) > 20
    assert picture.source in picture.html
    assert picture.png.startswith(b"\x89PNG")


def test_a_roofline_says_what_fraction_of_it_is_reached():
    work = {"sum": (1.0, 5e9), "product": (20.0, 1e11)}
    description = views.roofline_chart(1e11, 1e10, work, "Mine").description
    assert "10 GB/s on the left of 10 operations a byte" in description
    assert "100 GFLOP/s on the right" in description
    assert "sum 5 GFLOP/s, 50% of its roof" in description
    assert "product 100 GFLOP/s, 100% of its roof" in description


def test_descriptions_hold_the_numbers():
    assert (
        "a 1 %, b 2.5 %"
        in views.bar_chart(["a", "b"], [1, 2.5], "Counts", " %").description
    )
    assert "1 -2; 0 3" in views.heatmap([[1, -2], [0, 3]], "Grid").description
    picture = views.line_chart(
        {"loss": ([0, 1], [4, 2])}, "Run", "step", "nats", {"floor": 1}
    )
    assert "loss from 4 to 2; line floor at 1.000" in picture.description


def test_descriptions_are_escaped():
    picture = views.bar_chart(['"<b>&'], [1], 'a "quoted" <title>')
    assert "<title>" not in picture.html
    assert picture.html.count('"') == 8  # four attributes, nothing leaks out


def test_labels_and_values_must_match():
    with pytest.raises(ValueError, match="2 labels for 3 values"):
        views.bar_chart(["a", "b"], [1, 2, 3], "Wrong")
    with pytest.raises(ValueError, match="does not fit 3 labels"):
        views.bigram_table(np.eye(2), "abc", "Wrong")


def test_a_view_shows_its_widget_live_and_its_fallback_elsewhere():
    view = views.bigram_table(np.eye(3), "a b", "Pairs")
    data = bundle(view)
    assert data[WIDGET_VIEW]["model_id"] == view.widget.model_id
    assert "<img alt=" in data["text/html"]
    assert "surest: after" in data["text/plain"]
    assert view.widget.labels == ["a", "␣", "b"]


def test_questions_show_what_cannot_be_seen():
    panel = views.context_target_table(["a", "a <"], [" ", "\n"])
    assert panel.description == "a → ␣\na␣< → ↵"
    assert "&lt;" in panel.html


def test_a_prediction_answers_and_needs_a_right_answer():
    view = views.prediction("Why?", {"yes": "Well done.", "no": "Look <again>."}, "yes")
    _, choice, reply, _ = view.widget.children
    assert reply.value == ""
    choice.value = "no"
    assert "✗ Look &lt;again&gt;." in reply.value
    choice.value = "yes"
    assert "✓ Well done." in reply.value
    assert "<details>" in bundle(view)["text/html"]
    with pytest.raises(ValueError, match="answer='maybe' is not one of"):
        views.prediction("Why?", {"yes": "", "no": ""}, "maybe")


def test_bars_say_large_numbers_without_an_exponent():
    assert views.bar_chart(["a", "b"], [10_569.4, 0.00123], "Two").description.endswith(
        "Bars: a 10,569, b 0.00123."
    )


def test_the_number_of_a_negative_bar_does_not_cover_its_name(monkeypatch):
    figures = []
    picture = basic.Picture
    monkeypatch.setattr(
        basic,
        "Picture",
        lambda figure, text: figures.append(figure) or picture(figure, text),
    )
    views.bar_chart(["gain", "loss"], [2, -1], "Two")
    [axes] = figures[0].axes
    assert [(each.get_text(), each.xy) for each in axes.texts] == [
        ("2", (2, 0)),
        ("-1", (0, 1)),
    ]


# The live curve


def make_record(step, loss):
    return SimpleNamespace(
        step=step,
        batch_loss=loss,
        train_estimate=loss if step % 2 == 0 else None,
        validation_estimate=loss + 0.1 if step % 2 == 0 else None,
        tokens_per_second=1000.0,
        seconds_left=3.0,
    )


class FakeTrainer:
    """A generator of records that knows whether it was closed."""

    def __init__(self, steps, fail_at=None, error=None):
        self.closed, self.steps = False, steps
        self.fail_at, self.error = fail_at, error

    def __iter__(self):
        for step in range(self.steps):
            if step == self.fail_at:
                raise self.error
            yield make_record(step, 4 - step / self.steps)

    def close(self):
        self.closed = True


@pytest.fixture
def displayed(monkeypatch):
    """What `train_and_plot` displays: first, at the end, and its box."""
    state = SimpleNamespace(first=None, final=None, box=None)

    class Handle:
        def update(self, panel):
            state.final = panel

    def display(view, display_id):
        state.first, state.box = view._repr_mimebundle_(), view.widget
        return Handle()

    monkeypatch.setattr("gpt_lib.views.charts.loss_curve.display", display)
    monkeypatch.setattr("gpt_lib.views.charts.loss_curve.SECONDS_BETWEEN_DRAWINGS", 0)
    return state


def test_training_returns_every_record_and_ends_in_a_picture(displayed):
    run = FakeTrainer(6)
    history = asyncio.run(views.train_and_plot(run, {"ln V": 4.0}))
    assert [r.step for r in history] == list(range(6))
    assert displayed.final.description.startswith("finished at step 5 · loss")
    assert "validation, estimated from 4.1" in displayed.final.description
    assert '<img alt="' in displayed.final.html
    assert run.closed


def test_a_lesson_saved_while_it_trains_opens_with_a_sentence_not_with_an_error(
    displayed,
):
    asyncio.run(views.train_and_plot(FakeTrainer(2)))
    output = v4.new_output("display_data", data=displayed.first)
    cell = v4.new_code_cell("x", outputs=[output])
    notebook = v4.new_notebook(cells=[cell])
    keep_only_fallbacks({"type": "notebook", "content": notebook})
    assert WIDGET_VIEW in displayed.first
    assert WIDGET_VIEW not in output.data
    assert "in progress when this was saved" in output.data["text/html"]


def test_the_stop_button_ends_the_run_and_keeps_its_history(displayed):
    async def train_and_click():
        task = asyncio.create_task(views.train_and_plot(FakeTrainer(10_000)))
        while displayed.box is None:
            await asyncio.sleep(0)
        displayed.box.children[0].click()
        return await task

    history = asyncio.run(train_and_click())
    assert 0 < len(history) < 10_000
    assert displayed.final.description.startswith("stopped by you at step")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_labs_interrupt_ends_the_run_and_keeps_its_history(displayed, error):
    run = FakeTrainer(10, fail_at=4, error=error)
    history = asyncio.run(views.train_and_plot(run))
    assert len(history) == 4
    assert displayed.final.description.startswith("interrupted by you at step 3")
    assert run.closed


def test_a_run_that_fails_still_shows_what_there_was(displayed):
    with pytest.raises(ZeroDivisionError):
        asyncio.run(
            views.train_and_plot(FakeTrainer(10, fail_at=0, error=ZeroDivisionError()))
        )
    assert "before the first step" in displayed.final.description


def test_a_curve_needs_no_estimates():
    assert (
        "this batch from 4 to 4" in views.loss_curve([make_record(1, 4.0)]).description
    )
