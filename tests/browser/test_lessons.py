"""What a learner does in a lesson: run, stop, generate, try an exercise, save, export.

Four lessons run in the browser. nbval runs all of them, and every exercise is done in a
kernel by tests/lessons/test_exercises_in_a_kernel.py.
"""

import re

import nbformat
import pytest
from playwright.sync_api import expect

from gpt_lib.course.export import find_lesson
from tests.lessons.test_checks import check_calls, folded_solution

WRITTEN = re.compile(r"\S")
TRAINING = "await views.train_and_plot("


def playground(lesson):
    app = lesson.page.locator(".gpt-playground").last
    app.scroll_into_view_if_needed()
    return app


def status(app):
    return app.locator(".gpt-status")


def written(app):
    return app.locator(".gpt-text").inner_text()


@pytest.fixture(scope="module")
def training(open_in_module):
    """Lesson 03 up to its cell that trains while it draws."""
    lesson = open_in_module("03_training")
    lesson.cell(TRAINING).locator(".jp-InputPrompt").click()
    lesson.command("notebook:run-all-above")
    lesson.finish()
    yield lesson
    lesson.assert_clean()


def begin_training(lesson):
    """Start the cell that trains; returns its Stop button."""
    lesson.cell(TRAINING).locator(".jp-InputPrompt").click()
    lesson.command("notebook:run-cell")
    stop = lesson.page.get_by_role("button", name="Stop training")
    stop.wait_for(timeout=120_000)
    running = lesson.page.locator(".gpt-status", has_text="tokens/s").first
    expect(running).to_be_visible(timeout=60_000)
    return stop


def test_labs_own_stop_button_ends_training_cleanly(training):
    begin_training(training)
    training.page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
    ended = training.page.locator(".gpt-status", has_text="interrupted by you at step")
    expect(ended).to_be_visible(timeout=60_000)
    expect(training.page.get_by_text("KeyboardInterrupt")).to_have_count(0)
    expect(training.page.get_by_text("CancelledError")).to_have_count(0)
    training.finish()


def test_train_stop_generate_stop_continue_and_change_by_keyboard(training):
    lesson, page = training, training.page
    stop = begin_training(lesson)
    for theme in ("dark", "light"):
        lesson.use_theme(theme)
        lesson.look(stop, f"training-{theme}")
    stop.click()
    ended = page.locator(".gpt-status", has_text="stopped by you at step")
    expect(ended).to_be_visible(timeout=60_000)
    lesson.finish()
    lesson.look(ended, "stopped")

    lesson.select_and_run("Playground(\n")
    app = playground(lesson)
    length = app.get_by_role("spinbutton", name="Length")
    length.fill("10000")
    length.press("Tab")
    app.get_by_role("button", name="Generate").click()
    expect(app.locator(".gpt-text")).to_contain_text(WRITTEN, timeout=20_000)
    app.get_by_role("button", name="Stop").click()
    expect(status(app)).to_contain_text("stopped", timeout=20_000)
    text = written(app)
    assert text.startswith("HAMLET:")
    page.wait_for_timeout(700)
    assert written(app) == text, "text moved after Stop"

    length.fill("40")
    length.press("Tab")
    app.get_by_role("button", name="Continue").click()
    expect(status(app)).to_contain_text("done: 40 tokens", timeout=30_000)
    assert written(app).startswith(text)
    assert len(written(app)) > len(text)

    slider = app.get_by_role("slider", name="Temperature")
    slider.focus()
    expect(slider).to_have_attribute("aria-valuetext", "1")
    for _ in range(3):
        slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "1.15")
    box = app.get_by_role("spinbutton", name="Temperature")
    expect(box).to_have_value(re.compile(r"1\.15"))
    app.get_by_role("button", name="Generate").press("Enter")
    expect(status(app)).to_contain_text("done: 40 tokens", timeout=30_000)

    menu = app.get_by_label("Model")
    first = menu.input_value()
    menu.focus()
    page.keyboard.press("ArrowDown")
    expect(menu).not_to_have_value(first)
    expect(menu).to_be_focused()

    app.get_by_role("textbox").first.fill("café")
    app.get_by_role("button", name="Generate").click()
    expect(status(app)).to_contain_text("'é' at position 3 is not among the 65")
    for theme in ("dark", "light"):
        lesson.use_theme(theme)
        lesson.look(app, f"playground-{theme}")


def test_an_exercise_done_wrong_and_right(open_lesson):
    path = find_lesson("02")
    notebook = nbformat.read(path, as_version=4)
    lesson = open_lesson(path.stem)
    lesson.run_imports(notebook)
    for where, module, exercise, function in check_calls():
        if where != path:
            continue
        check, stub = f"check.{module}.{exercise}({function})", f"def {function}("
        lesson.select_and_run(stub)
        assert "not attempted yet" in lesson.select_and_run(check).inner_text()
        lesson.replace(stub, f"def {function}(*given):\n    return given[0]")
        assert "✗ " in lesson.select_and_run(check).inner_text()
        lesson.replace(stub, folded_solution(notebook, function)[1])
        assert "✓ " in lesson.select_and_run(check).inner_text()
        lesson.look(lesson.cell(check), f"exercise-{exercise}")
    lesson.assert_clean()


def test_a_lesson_saved_by_a_learner_opens_readable_without_its_kernel(open_lesson):
    lesson = open_lesson("00_device")
    lesson.run_all()
    lesson.command("docmanager:save")
    lesson.page.wait_for_function("window.done !== undefined")
    lesson.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    lesson.page.wait_for_timeout(1_000)
    lesson.page.reload()
    lesson.page.wait_for_function("window.jupyterapp?.restored", timeout=60_000)
    fallback = lesson.page.get_by_text("Playground for shakespeare, presidents")
    expect(fallback).to_be_visible(timeout=60_000)
    lesson.look(fallback, "reopened")
    lesson.assert_clean()


EDITED = '''#| export
def bigram_counts(ids: Tensor, vocab_size: int) -> Tensor:
    """Counted by a learner."""
    pairs = ids[:-1].long() * vocab_size + ids[1:].long()
    return pairs.bincount(minlength=vocab_size**2).view(vocab_size, vocab_size)'''


def test_an_edited_lesson_is_exported_only_after_saving(open_lesson, copy):
    lesson = open_lesson("02_bigram")
    lesson.run_all()
    module = copy / "gpt_lib" / "bigram.py"
    before = module.read_text()
    lesson.replace("def bigram_counts(ids: Tensor", EDITED)
    export = 'export_lesson("02_bigram")'
    output = lesson.select_and_run(export).inner_text()
    assert "disagree about `bigram_counts`" in output
    assert "save first (Ctrl+S)" in output
    assert module.read_text() == before
    lesson.page.keyboard.press("Control+s")
    lesson.page.wait_for_timeout(1_000)
    assert "is this lesson" in lesson.select_and_run(export).inner_text()
    assert '"""Counted by a learner."""' in module.read_text()
