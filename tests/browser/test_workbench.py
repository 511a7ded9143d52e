"""The complete playground and the views of lesson 09, as a learner uses them."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_lessons import WRITTEN


def cell(lesson, text):
    """Run one code cell; the cells before it are not needed again."""
    found = lesson.page.locator(".jp-CodeCell", has_text=text).first
    found.locator(".jp-InputPrompt").click()
    lesson.run_cell()
    return found


def open_workbench(open_lesson):
    """Lesson 00 up to its playground."""
    lesson = open_lesson("00_device", height=1500)
    cell(lesson, "from gpt_lib.apps.shipped import load_shipped")
    cell(lesson, "views.Workbench(")
    app = lesson.page.locator(".gpt-workbench")
    app.wait_for(timeout=20_000)
    app.scroll_into_view_if_needed()
    return lesson, app


def press(app, name):
    app.get_by_role("button", name=name).click()


def status(app, lane=0):
    return app.locator(".gpt-lane").nth(lane).locator(".gpt-status")


def set_box(app, label, value):
    box = app.get_by_role("spinbutton", name=label, exact=True).first
    box.fill(str(value))
    box.press("Tab")


def written(app, lane=0):
    return app.locator(".gpt-tokens").nth(lane).text_content()


def generate(app, length=40):
    set_box(app, "Length", length)
    press(app, "Generate")
    expect(status(app)).to_contain_text(f"done: {length} tokens", timeout=20_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_write_look_behind_a_token_reshape_and_branch(open_lesson, theme):
    lesson, app = open_workbench(open_lesson)
    lesson.use_theme(theme)
    generate(app)
    text = written(app)
    assert text.startswith("JULIET:\n")
    tokens = app.locator(".gpt-token")
    expect(tokens).to_have_count(40)

    tokens.nth(12).click()
    sentence = app.get_by_text(re.compile(r"^u = 0\.\d+ lands on"))
    title = app.get_by_text(re.compile("^Token 13, after “"))
    expect(title).to_be_visible()
    expect(sentence).to_be_visible()
    rows = app.locator(".gpt-chances [data-id]")
    before = rows.all_inner_texts()
    slider = app.get_by_role("slider", name="Temperature")
    slider.focus()
    for _ in range(12):
        slider.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "0.4")
    expect(rows.first).not_to_have_text(before[0])
    assert app.get_by_text(re.compile("^Token 13, after “")).count() == 1
    lesson.look(app, f"behind-{theme}")

    press(app, "Greedy")
    expect(app.get_by_role("button", name="✓ Greedy")).to_be_visible()
    expect(sentence).to_contain_text("64 of 65 tokens are cut")

    other = next(
        row for row in rows.all() if row.get_attribute("data-id") not in ("-1", "0")
        and row.inner_text().split()[0] != tokens.nth(12).inner_text().strip()
    )  # fmt: skip
    other.click()
    expect(status(app)).to_contain_text("done: 27 tokens", timeout=20_000)
    assert written(app)[:20] == text[:20]
    assert written(app) != text
    tree = app.get_by_role("tree").or_(app.locator(".gpt-tree")).last
    expect(tree).to_be_visible()
    expect(app.locator(".gpt-fork")).to_have_count(1)
    lesson.look(tree, f"branched-{theme}")
    lesson.assert_clean()


def test_all_of_it_by_keyboard(open_lesson):
    lesson, app = open_workbench(open_lesson)
    page = lesson.page
    app.get_by_role("textbox", name="Prompt").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("ROMEO:")
    set_box(app, "Length", 30)
    app.get_by_role("button", name="Generate").focus()
    page.keyboard.press("Enter")
    expect(status(app)).to_contain_text("done: 30 tokens", timeout=20_000)
    box = app.locator(".gpt-tokens")
    box.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(app.get_by_text(re.compile("^Token 30, after “"))).to_be_visible()
    page.keyboard.press("Home")
    expect(app.get_by_text(re.compile("^Token 1, after “ROMEO:”"))).to_be_visible()
    for name in ("Top-k", "Top-p", "Min-p", "Repetition penalty", "Temperature"):
        slider = app.get_by_role("slider", name=name)
        was = slider.get_attribute("aria-valuetext")
        slider.focus()
        page.keyboard.press("ArrowLeft" if name == "Top-p" else "ArrowRight")
        expect(slider).not_to_have_attribute("aria-valuetext", was)
    row = app.locator(".gpt-chances [data-id]").first
    row.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(status(app)).to_contain_text("done: 29 tokens", timeout=20_000)
    app.get_by_role("button", name="Compare").focus()
    page.keyboard.press("Enter")
    expect(app.locator(".gpt-lane")).to_have_count(2)
    lesson.assert_clean()


def test_two_models_side_by_side_stop_and_continue(open_lesson):
    lesson, app = open_workbench(open_lesson)
    press(app, "Compare")
    expect(app.locator(".gpt-lane")).to_have_count(2)
    set_box(app, "Length", 10_000)
    press(app, "Generate")
    for lane in (0, 1):
        expect(app.locator(".gpt-tokens").nth(lane)).to_contain_text(WRITTEN)
    press(app, "Stop")
    for lane in (0, 1):
        expect(status(app, lane)).to_contain_text("stopped", timeout=5_000)
    text = [written(app, lane) for lane in (0, 1)]
    lesson.page.wait_for_timeout(500)
    assert [written(app, lane) for lane in (0, 1)] == text
    set_box(app, "Length", 20)
    press(app, "Continue")
    for lane in (0, 1):
        expect(status(app, lane)).to_contain_text("done: 20 tokens", timeout=10_000)
        assert written(app, lane).startswith(text[lane])
    lesson.look(app, "compare")
    app.get_by_label("Model").first.select_option("knows nothing")
    expect(status(app)).to_contain_text("GPT wrote this; knows nothing writes")
    app.get_by_role("textbox", name="Prompt").fill("café")
    press(app, "Generate")
    expect(status(app)).to_contain_text("'é' at position 3 is not among the 65")
    lesson.assert_clean()


def test_copy_and_save_give_the_text_with_its_settings(open_lesson):
    lesson, app = open_workbench(open_lesson)
    lesson.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    generate(app, 25)
    press(app, "Copy")
    expect(app.get_by_text("copied", exact=True)).to_be_visible()
    copied = lesson.page.evaluate("navigator.clipboard.readText()")
    head, text = copied.split("\n\n", 1)
    assert json.loads(head)["settings"]["temperature"] == 1
    assert text.strip("\n") == written(app).strip("\n")
    with lesson.page.expect_download() as download:
        press(app, "Save")
    assert download.value.suggested_filename == "GPT-seed-1.txt"
    assert download.value.path().read_text() == copied
    lesson.assert_clean()


def test_a_restarted_kernel_is_said_and_nothing_breaks(open_lesson):
    lesson, app = open_workbench(open_lesson)
    set_box(app, "Length", 10_000)
    press(app, "Generate")
    expect(app.locator(".gpt-tokens")).to_contain_text(WRITTEN)
    lesson.page.evaluate(
        "jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    gone = app.get_by_role("alert").filter(has_text="run the cell again")
    expect(gone).to_be_visible(timeout=20_000)
    text = written(app)
    for name in ("Generate", "Stop", "Greedy"):
        app.get_by_role("button", name=name).click(force=True, timeout=2_000)
    app.locator(".gpt-token").first.click()
    assert written(app) == text
    lesson.look(gone, "gone")
    lesson.wait_until_idle()
    cell(lesson, "from gpt_lib.apps.shipped import load_shipped")
    cell(lesson, "views.Workbench(")
    generate(lesson.page.locator(".gpt-workbench"), 10)
    lesson.assert_clean()


def test_a_second_tab_on_the_same_kernel_disturbs_nothing(open_lesson, browser, lab):
    lesson, app = open_workbench(open_lesson)
    generate(app, 20)
    text = written(app)
    lesson.command("docmanager:save")
    lesson.page.wait_for_function("window.done !== undefined")
    base, token = lab
    page = browser.new_page(viewport={"width": 1300, "height": 1500})
    page.goto(f"{base}/lab/workspaces/second/tree/00_device.ipynb?token={token}")
    page.wait_for_function("window.jupyterapp?.restored", timeout=60_000)
    page.get_by_text("Playground for GPT").first.wait_for()  # the twin, as saved
    second = page.locator(".jp-CodeCell", has_text="views.Workbench(").first
    second.locator(".jp-InputPrompt").click()
    page.keyboard.press("Control+Enter")
    other = page.locator(".gpt-workbench")
    other.wait_for(timeout=20_000)
    set_box(other, "Seed", 5)
    generate(other, 30)
    assert written(app) == text
    generate(app, 21)
    assert written(app).startswith(text)
    assert not written(other).startswith(text)
    page.close()
    lesson.assert_clean()


def test_shaper_tree_steps_and_scrubber_of_lesson_09(open_lesson):
    lesson = open_lesson("09_generation", height=1500)
    lesson.run_all()
    page = lesson.page

    shaper = page.locator(".gpt-shaper").last
    shaper.scroll_into_view_if_needed()
    landing = shaper.get_by_text(re.compile(r"^u = 0\.7 lands on"))
    expect(landing).to_contain_text("“a”")
    slider = shaper.get_by_role("slider", name="Temperature")
    slider.focus()
    for _ in range(14):
        slider.press("ArrowLeft")
    expect(landing).to_contain_text("“e”")
    shaper.get_by_role("button", name="Neutral").click()
    expect(landing).to_contain_text("“a”")
    shaper.get_by_label("Context").select_option("after “JULIET:↵”")
    expect(landing).not_to_contain_text("“a”: the model gave it 40.3 %")

    tree = page.locator(".gpt-tree").last
    tree.focus()
    tree.press("Home")
    path = page.locator(".gpt-tree ~ .gpt-sentence").last
    expect(path).to_contain_text("“ROMEO:↵”")
    tree.press("ArrowRight")
    expect(path).not_to_contain_text("“ROMEO:↵”")

    steps_cell = page.locator(".jp-CodeCell", has_text="views.attention_steps(").last
    told = steps_cell.locator(".gpt-sentence")
    before = told.text_content()
    line = steps_cell.get_by_role("application").first
    line.focus()
    line.press("ArrowLeft")
    expect(told).not_to_have_text(before)
    for _ in range(3):
        line.press("ArrowUp")
    expect(told).to_contain_text("softmax")

    scrubber = page.locator(".gpt-scrubber").last
    scrubber.scroll_into_view_if_needed()
    sample = scrubber.locator(".gpt-sample")
    last, heat = sample.text_content(), scrubber.locator(".gpt-heat").inner_text()
    checkpoint = scrubber.get_by_role("slider", name="Checkpoint")
    checkpoint.focus()
    checkpoint.press("Home")
    expect(sample).not_to_have_text(last)
    assert scrubber.locator(".gpt-heat").inner_text() != heat
    expect(scrubber.get_by_text(re.compile("^step 0 of 600"))).to_be_visible()
    checkpoint.press("End")
    expect(sample).to_have_text(last)

    for theme in ("light", "dark"):
        lesson.use_theme(theme)
        for name, view in {
            "shaper": shaper, "tree": tree, "steps": line, "scrubber": scrubber,
            "workbench": page.locator(".gpt-workbench").last,
        }.items():  # fmt: skip
            lesson.look(view, f"{name}-{theme}")
    lesson.assert_clean()
