"""What a learner does: run, stop, generate, predict, explore, try, export."""

import re

import nbformat
import pytest
from playwright.sync_api import expect

from gpt_lib.course.export import lessons
from tests.lessons.test_exercise import calls, folded_solution

WRITTEN = re.compile(r"\S")


def playground(lesson):
    app = lesson.page.locator(".gpt-playground").last
    app.scroll_into_view_if_needed()
    return app


def status(app):
    return app.locator(".gpt-status")


def written(app):
    return app.locator(".gpt-text").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_train_stop_generate_stop_continue_and_change_by_keyboard(open_lesson, theme):
    lesson = open_lesson("03_training")
    page = lesson.page
    lesson.use_theme(theme)
    lesson.start_all()
    stop = page.get_by_role("button", name="Stop training")
    stop.wait_for(timeout=120_000)
    expect(page.locator(".gpt-status").first).to_contain_text(
        "tokens/s", timeout=60_000
    )
    lesson.look(stop, f"training-{theme}")
    stop.click()
    ended = page.locator(".gpt-status", has_text="stopped by you at step")
    expect(ended).to_be_visible(timeout=60_000)
    lesson.finish()
    lesson.look(ended, f"stopped-{theme}")

    app = playground(lesson)
    length = app.get_by_role("spinbutton").nth(1)
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

    slider = app.get_by_role("slider").nth(1)
    slider.focus()
    expect(slider).to_have_attribute("aria-valuetext", "1")
    for _ in range(3):
        slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "1.15")
    box = app.get_by_role("spinbutton").nth(2)
    expect(box).to_have_value(re.compile(r"1\.15"))
    app.get_by_role("button", name="Generate").press("Enter")
    expect(status(app)).to_contain_text("done: 40 tokens", timeout=30_000)

    app.get_by_role("textbox").first.fill("café")
    app.get_by_role("button", name="Generate").click()
    expect(status(app)).to_contain_text("'é' at position 3 is not among the 65")
    lesson.look(app, f"playground-{theme}")
    lesson.assert_clean()


def test_labs_own_stop_button_ends_training_cleanly(open_lesson):
    lesson = open_lesson("03_training")
    lesson.start_all()
    lesson.page.get_by_role("button", name="Stop training").wait_for(timeout=120_000)
    lesson.page.wait_for_timeout(500)
    lesson.page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
    ended = lesson.page.locator(".gpt-status", has_text="interrupted by you at step")
    expect(ended).to_be_visible(timeout=60_000)
    expect(lesson.page.get_by_text("KeyboardInterrupt")).to_have_count(0)
    expect(lesson.page.get_by_text("CancelledError")).to_have_count(0)
    lesson.command("notebook:run-cell")
    lesson.page.wait_for_timeout(500)
    lesson.wait_until_idle()
    lesson.assert_clean()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_table_of_pairs_by_mouse_and_by_keyboard(open_lesson, theme):
    lesson = open_lesson("02_bigram")
    lesson.use_theme(theme)
    lesson.run_all()
    table = lesson.page.locator(".gpt-pairs")
    sentence = lesson.page.locator(".gpt-sentence")
    table.scroll_into_view_if_needed()
    table.click(position={"x": 3, "y": 3})
    expect(sentence).to_have_text(re.compile(r"^after ↵ comes ↵ with \d"))
    table.press("ArrowDown")
    table.press("ArrowRight")
    expect(sentence).to_have_text(re.compile(r"^after ␣ comes ␣ with \d"))
    box = table.bounding_box()
    lesson.page.mouse.move(
        box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.5
    )
    expect(sentence).not_to_have_text(re.compile(r"^after ␣ comes ␣"))
    lesson.look(table, f"table-{theme}")
    lesson.look(playground(lesson), f"playground-{theme}")
    lesson.assert_clean()


def test_six_sliders_share_out_attention(open_lesson):
    lesson = open_lesson("04_averaging")
    lesson.run_all()
    app = lesson.page.locator(".gpt-mixer").last
    app.scroll_into_view_if_needed()
    crown = app.locator("tr", has_text="crown")
    expect(crown).to_contain_text("16.7%")
    box = app.get_by_label("score of crown")
    box.fill("6")
    box.press("Tab")
    expect(crown).to_contain_text("98.8%")
    slider = app.get_by_role("slider").first
    slider.focus()
    for _ in range(5):
        slider.press("ArrowRight")
    expect(app.get_by_label("score of the")).to_have_value(re.compile(r"0\.5"))
    lesson.look(app, "mixer")
    app.get_by_role("button", name="All equal").click()
    expect(crown).to_contain_text("16.7%")
    lesson.assert_clean()


def test_the_attention_map_of_a_text_of_ones_own(open_lesson):
    lesson = open_lesson("05_attention")
    lesson.run_all()
    page = lesson.page
    line = page.locator(".gpt-attention").last
    sentence = page.locator(".gpt-attention ~ div .gpt-sentence").last
    line.scroll_into_view_if_needed()
    field = page.get_by_label("Your text", exact=True)
    field.fill("anna, anna")
    field.press("Enter")
    expect(line.locator("[data-at]")).to_have_count(10)
    line.locator('[data-at="6"]').click()
    expect(sentence).to_contain_text("“a” (character 7, step 1600) looks at")
    line.press("ArrowRight")
    expect(sentence).to_contain_text("“n” (character 8, step 1600) looks at")
    for _ in range(3):
        line.press("ArrowDown")
    expect(sentence).to_contain_text("“n” (character 8, step 0) looks at")
    line.press("ArrowUp")
    expect(sentence).to_contain_text("step 100")
    field.fill("50 %")
    field.press("Enter")
    complaint = page.get_by_role("status").filter(has_text="is not among the 65")
    expect(complaint).to_be_visible()
    expect(line.locator("[data-at]")).to_have_count(10)
    for theme in ("light", "dark"):
        lesson.use_theme(theme)
        lesson.look(line, f"map-{theme}")
    lesson.assert_clean()


def test_a_passage_read_by_every_model(open_lesson):
    lesson = open_lesson("08_gpt", height=1400)
    lesson.run_all()
    page = lesson.page
    heat = page.locator(".gpt-heat").last
    heat.scroll_into_view_if_needed()
    sentence = page.locator(".gpt-heat ~ div .gpt-sentence").last
    heat.locator('[data-reader="0"][data-at="5"]').hover()
    expect(sentence).to_contain_text("character 6 of 200, unigram: loss")
    heat.focus()
    heat.press("ArrowRight")
    expect(sentence).to_contain_text("character 7 of 200, unigram")
    heat.press("ArrowUp")
    expect(sentence).to_contain_text("character 7 of 200, GPT: loss")
    lesson.look(heat, "heat")
    lesson.look(page.locator('img[alt^="Tiny Shakespeare: validation loss"]'), "ladder")
    lesson.look(playground(lesson), "playground")
    lesson.assert_clean()


def test_predictions_answer_at_once(open_lesson):
    lesson = open_lesson("01_text")
    lesson.run_all()
    page = lesson.page
    page.get_by_label("the letter e", exact=True).check()
    expect(page.locator(".gpt-reply").first).to_contain_text("✗ A good guess")
    page.get_by_label("the space", exact=True).check()
    expect(page.locator(".gpt-reply").first).to_contain_text("✓ A space ends")
    lesson.look(page.locator(".gpt-reply").first, "prediction")
    lesson.assert_clean()


@pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)
def test_every_exercise_done_wrong_and_right(open_lesson, path):
    notebook = nbformat.read(path, as_version=4)
    lesson = open_lesson(path.stem)
    lesson.run_imports(notebook)
    for where, module, exercise, function in calls():
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
    twin = lesson.page.get_by_text("Playground for shakespeare, block")
    expect(twin).to_be_visible(timeout=60_000)
    lesson.look(twin, "reopened")
    lesson.assert_clean()


def test_an_edited_lesson_is_exported_only_after_saving(open_lesson, copy):
    lesson = open_lesson("02_bigram")
    lesson.run_all()
    module = copy / "gpt_lib" / "bigram.py"
    before = module.read_text()
    source = (
        "#| export\n"
        "def count_pairs(ids: Tensor, vocab_size: int) -> Tensor:\n"
        '"""Counted by a learner."""\n'
        "pairs = ids[:-1] * vocab_size + ids[1:]\n"
        "return pairs.bincount(minlength=vocab_size**2).view(vocab_size, vocab_size)"
    )
    lesson.replace(
        "def count_pairs(ids: Tensor",
        source.replace('"""C', '    """C')
        .replace("\npairs", "\n    pairs")
        .replace("\nreturn", "\n    return"),
    )
    export = 'export_lesson("02_bigram")'
    shown = lesson.select_and_run(export).inner_text()
    assert "disagree about `count_pairs`" in shown
    assert "save first (Ctrl+S)" in shown
    assert module.read_text() == before
    lesson.page.keyboard.press("Control+s")
    lesson.page.wait_for_timeout(1_000)
    assert "is this lesson" in lesson.select_and_run(export).inner_text()
    assert '"""Counted by a learner."""' in module.read_text()


def test_predictions_and_menus_by_keyboard_leave_lab_where_it_is(open_lesson):
    lesson = open_lesson("02_bigram", height=1400)
    page = lesson.page
    for text in ("from gpt_lib import", "views.predict("):
        asked = page.locator(".jp-CodeCell", has_text=text).first
        asked.locator(".jp-InputPrompt").click()
        lesson.run_cell()
    radios = asked.get_by_role("radio")
    radios.first.focus()
    page.keyboard.press("Space")
    expect(radios.first).to_be_checked()
    page.keyboard.press("ArrowDown")
    expect(radios.nth(1)).to_be_checked()
    expect(asked.locator(".gpt-reply")).to_contain_text(re.compile("[✓✗]"))
    source = "Playground({'one': None, 'two': None}, None)"
    lesson.replace("from gpt_lib import", source)
    app = playground(lesson)
    menu = app.get_by_label("Model")
    menu.focus()
    page.keyboard.press("ArrowDown")
    expect(menu).to_have_value("two")
    expect(menu).to_be_focused()
    handle = app.get_by_role("slider", name="Temperature")
    handle.focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    expect(handle).to_have_attribute("aria-valuetext", "0.9")
    lesson.assert_clean()
