"""The complete playground, as a learner uses it: one page and one kernel for all tests.

Before each test the cell is run again, which makes a new playground. What changes the
kernel itself, a restart or a second tab, has a page of its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from gpt_lib.playground.settings import PRESETS, SAMPLING_SETTINGS
from tests.browser.steps import (
    begin,
    box_of,
    branch,
    click_track,
    count_shades,
    drag,
    expect_near,
    expect_number,
    expect_preset,
    expect_rest,
    generate,
    press,
    press_keys,
    press_preset,
    retype,
    run_cell,
    set_box,
    status,
    surprising_position,
    written,
)

V = 65  # of the model that is picked first, where top-k ends
IMPORTS = "from gpt_lib import views"  # in the first cell of lesson 00


def show_workbench(lesson):
    """Run the cell of the playground; the cells before it are not needed again."""
    run_cell(lesson, "Workbench(")
    app = lesson.page.locator(".gpt-workbench")
    app.wait_for(timeout=60_000)
    app.scroll_into_view_if_needed()
    return app


@pytest.fixture(scope="module")
def lesson(open_in_module):
    """Lesson 00 up to its playground."""
    opened = open_in_module("00_device", height=1500)
    run_cell(opened, IMPORTS)
    yield opened
    opened.assert_clean()


@pytest.fixture
def app(lesson):
    return show_workbench(lesson)


@pytest.fixture
def own_lesson(copy, open_lesson):
    """Lesson 00 in a page and a kernel of its own: pages of one file share a kernel."""
    notebooks = copy / "notebooks"
    shutil.copy2(notebooks / "00_device.ipynb", notebooks / "own.ipynb")
    opened = open_lesson("own", height=1500)
    run_cell(opened, IMPORTS)
    return opened


def test_write_look_behind_a_token_reshape_and_branch(lesson, app):
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
    rows = app.locator(".gpt-next-token [data-id]")
    before = rows.all_inner_texts()
    slider = app.get_by_role("slider", name="Temperature")
    slider.focus()
    for _ in range(12):
        slider.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "0.4")
    expect(rows.first).not_to_have_text(before[0])
    assert app.get_by_text(re.compile("^Token 13, after “")).count() == 1
    for theme in ("dark", "light"):
        lesson.use_theme(theme)
        lesson.look(app, f"behind-{theme}")

    press(app, "Greedy")
    expect(app.get_by_role("button", name="✓ Greedy")).to_be_visible()
    expect(sentence).to_contain_text("64 of 65 tokens are cut")

    other = next(  # ▸ marks the one that was written
        row
        for row in rows.all()
        if row.get_attribute("data-id") not in ("-1", "0")
        and not row.inner_text().startswith("▸")
    )
    other.click()
    expect(status(app)).to_contain_text("done: 27 tokens", timeout=60_000)
    assert written(app)[:20] == text[:20]
    assert written(app) != text
    tree = app.get_by_role("tree").or_(app.locator(".gpt-token-tree")).last
    expect(tree).to_be_visible()
    expect(app.locator(".gpt-fork")).to_have_count(1)
    lesson.look(tree, "branched")
    lesson.assert_clean()


def test_all_of_it_by_keyboard(lesson, app):
    page = lesson.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    app.get_by_role("textbox", name="Prompt").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("ROMEO:")
    for role, name, typed in [
        ("slider", "Length", ""),
        ("spinbutton", "Length", "30"),
        ("spinbutton", "Seed", "2"),
        ("textbox", "Stop at", ""),
        ("button", "Generate", ""),
    ]:
        page.keyboard.press("Tab")
        expect(app.get_by_role(role, name=name)).to_be_focused()
        page.keyboard.type(typed)
    page.keyboard.press("Enter")
    expect(status(app)).to_contain_text("done: 30 tokens", timeout=60_000)
    box = app.locator(".gpt-generated-text")
    box.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(app.get_by_text(re.compile("^Token 30, after “"))).to_be_visible()
    page.keyboard.press("Home")
    expect(app.get_by_text(re.compile("^Token 1, after “ROMEO:”"))).to_be_visible()
    press_keys(app, "checkbox", "shade by surprisal", "Space")
    assert count_shades(app) > 2

    for name in ("Top-k", "Top-p", "Min-p", "Repetition penalty", "Temperature"):
        was = box_of(app, name).input_value()
        press_keys(
            app, "slider", name, "ArrowLeft" if name == "Top-p" else "ArrowRight"
        )
        expect(box_of(app, name)).not_to_have_value(was, timeout=60_000)
    for name, press_key in zip([*PRESETS, "Neutral"], ["Enter", "Space"] * 3):
        press_keys(app, "button", name, press_key)
        expect_preset(app, name)

    first = written(app)
    row = app.locator(".gpt-next-token [data-id]").first
    row.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(status(app)).to_contain_text("done: 29 tokens", timeout=60_000)
    second = written(app)
    for arrow, text in (("ArrowUp", first), ("ArrowDown", second)):
        press_keys(app, "tree", "Branches", f"{arrow} Enter")
        expect(box).to_have_text(text, use_inner_text=False)

    press_keys(app, "button", "Copy")
    expect(app.get_by_text("copied", exact=True)).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.endswith(f"\n\n{second}\n")
    with page.expect_download() as download:
        press_keys(app, "button", "Save", "Space")
    assert download.value.path().read_text() == copied
    for press_key, columns in (("Space", 2), ("Enter", 1)):
        press_keys(app, "button", "Compare", press_key)
        expect(app.locator(".gpt-column")).to_have_count(columns)
    lesson.assert_clean()


def test_stop_continue_and_another_model_by_keyboard(lesson, app):
    press_keys(app, "slider", "Length", "End ArrowLeft")
    expect_number(app, "Length", 9_999)
    press_keys(app, "button", "Generate", "Space")
    expect(app.locator(".gpt-token").first).to_be_attached()
    lesson.page.keyboard.press("Tab")
    expect(app.get_by_role("button", name="Stop")).to_be_focused()
    lesson.page.keyboard.press("Enter")
    expect(status(app)).to_contain_text("stopped", timeout=20_000)
    text = written(app)
    expect_rest(app, text)
    lesson.page.keyboard.press("Tab")  # from the button that is now disabled
    expect(app.get_by_role("button", name="Continue")).to_be_focused()
    press_keys(app, "slider", "Length", "Home")
    expect_number(app, "Length", 1)
    set_box(app, "Length", 20)
    press_keys(app, "button", "Continue", "Space")
    expect(status(app)).to_contain_text("done: 20 tokens", timeout=30_000)
    assert written(app).startswith(text)

    menu = press_keys(app, "combobox", "Model", "ArrowDown")
    expect(menu).to_have_value(menu.locator("option").nth(1).get_attribute("value"))
    expect(menu).to_be_focused()
    lesson.page.keyboard.type("knows n")
    expect(status(app)).to_contain_text("shakespeare wrote this; knows nothing writes")
    press_keys(app, "button", "Continue")
    expect(app.get_by_role("application", name="Text by knows nothing")).to_be_visible()
    expect(status(app)).to_contain_text("done: 20 tokens", timeout=30_000)
    lesson.assert_clean()


def test_every_control_by_mouse(lesson, app):
    generate(app)
    first = written(app)
    checkbox = app.get_by_role("checkbox", name="shade by surprisal")
    checkbox.click()
    assert count_shades(app) > 2
    expect(app.get_by_text("surprisal in nats:")).to_be_visible()
    for theme in ("dark", "light"):
        lesson.use_theme(theme)
        lesson.look(app, f"shaded-{theme}")
    checkbox.click()
    assert count_shades(app) == 1
    expect(app.get_by_text("surprisal in nats:")).to_be_hidden()

    for name in reversed(PRESETS):
        press_preset(app, name)
    for setting in SAMPLING_SETTINGS:
        high = setting.high or V
        for move, fraction in ((drag, 0.4), (click_track, 0.7)):
            move(app, setting.label, fraction)
            middle = setting.low + fraction * (high - setting.low)
            expect_near(app, setting.label, middle, 2 * setting.step)
    for move, fraction in ((drag, 0.25), (click_track, 0.6)):
        move(app, "Length", fraction)
        expect_near(app, "Length", 10_000 * fraction, 200)
    press_preset(app, "Neutral")

    set_box(app, "Length", 40)
    position = surprising_position(app)
    picked = branch(app, position)
    tokens_left = f"done: {40 - position - 1} tokens"
    expect(status(app)).to_contain_text(tokens_left, timeout=60_000)
    second, at = written(app), len("JULIET:\n") + position
    assert second[:at] == first[:at]
    assert second[at] == picked != first[at]
    for at, text in ((1, first), (2, second)):
        app.get_by_role("treeitem").nth(at).click()
        expect(app.locator(".gpt-generated-text")).to_have_text(
            text, use_inner_text=False
        )
        expect(app.get_by_role("treeitem").nth(at)).to_have_attribute(
            "aria-selected", "true"
        )
    lesson.assert_clean()


def test_numbers_and_the_end_of_the_text_can_be_typed(lesson, app):
    generate(app, 10)
    for label, typed, low, high in [
        ("Length", 20, 1, 10_000),
        *((s.label, s.low + 7 * s.step, s.low, s.high or V) for s in SAMPLING_SETTINGS),
    ]:
        for number, taken in ((typed, typed), (-5, low), (99_999, high)):
            retype(lesson, app, label, f"{number:g}", taken)
        retype(lesson, app, label, "", high)
    press_preset(app, "Neutral")
    for label, arrow in {"Temperature": "Right", "Top-p": "Left"}.items():
        for _ in range(12):  # 1 − 0.01 − … is 0.9000000000000001 on the way
            slider = press_keys(app, "slider", label, f"Arrow{arrow}")
            value_text = slider.get_attribute("aria-valuetext")
            assert len(value_text) <= len("0.99")
            expect(box_of(app, label)).to_have_value(value_text)
    press_preset(app, "Neutral")

    for number, taken in ((-5, 0), (2**31, 2**31 - 1), (5, 5)):
        set_box(app, "Seed", number)
        expect(box_of(app, "Seed")).to_have_value(str(taken))
    before = written(app)
    generate(app, 11)
    assert not written(app).startswith(before)

    field = app.get_by_role("textbox", name="Stop at")
    set_box(app, "Length", 2_000)
    for end in ("↵↵", " the"):
        field.click()
        lesson.page.keyboard.press("Control+a")
        lesson.page.keyboard.type(end)
        was = status(app).inner_text()
        if end == "↵↵":
            press(app, "Generate")
        else:
            lesson.page.keyboard.press("Tab")
            lesson.page.keyboard.press("Enter")
        expect(status(app)).not_to_have_text(was)
        expect(status(app)).to_contain_text("done: ", timeout=60_000)
        count = int(re.search(r"done: (\d+) tokens", status(app).inner_text())[1])
        expect(app.locator(".gpt-token")).to_have_count(count)
        text = written(app).removeprefix("JULIET:\n")
        assert text.find(end.replace("↵", "\n")) == len(text) - len(end)
    lesson.assert_clean()


def test_all_that_was_typed_counts_though_the_kernel_is_busy(lesson, app):
    lesson.page.evaluate(
        "jupyterapp.shell.currentWidget.sessionContext.session.kernel"
        ".requestExecute({code: 'import time; time.sleep(4)'})"
    )
    for label, typed in {"Prompt": "ROMEO:", "Stop at": " the"}.items():
        app.get_by_role("textbox", name=label).click()
        lesson.page.keyboard.press("Control+a")
        lesson.page.keyboard.type(typed)
    press(app, "Generate")
    expect(status(app)).to_contain_text("done: ", timeout=60_000)
    text = written(app)
    assert text.startswith("ROMEO:")
    assert text.endswith(" the")
    lesson.assert_clean()


def test_two_controls_at_once_and_mistakes_mix_no_texts(lesson, app):
    generate(app, 41)
    text = written(app)[:-1]
    set_box(app, "Length", 40)
    app.get_by_role("button", name="Generate").dblclick()
    expect(status(app)).to_contain_text("done: 40 tokens", timeout=60_000)
    expect_rest(app, text)
    was = status(app).inner_text()
    app.get_by_role("button", name="Stop").click(force=True)
    expect_rest(app, text)
    assert status(app).inner_text() == was

    begin(app)
    generate(app)
    expect_rest(app, text)

    begin(app)
    app.get_by_role("combobox", name="Model").select_option("knows nothing")
    expect(status(app)).to_contain_text("shakespeare wrote this; knows nothing writes")
    count = app.locator(".gpt-token").count()
    expect(app.locator(".gpt-token").nth(count + 20)).to_be_attached()
    press(app, "Stop")
    expect(status(app)).to_contain_text("stopped", timeout=20_000)
    assert written(app).startswith(text)
    expect(app.get_by_role("application", name="Text by shakespeare")).to_be_visible()
    lesson.look(app, "switched")
    lesson.assert_clean()


def test_two_models_side_by_side_stop_and_continue(lesson, app):
    press(app, "Compare")
    expect(app.locator(".gpt-column")).to_have_count(2)
    begin(app)
    for column in (0, 1):
        box = app.locator(".gpt-generated-text").nth(column)
        expect(box.locator(".gpt-token").first).to_be_attached()
    press(app, "Stop")
    for column in (0, 1):
        expect(status(app, column)).to_contain_text("stopped", timeout=20_000)
    text = [written(app, column) for column in (0, 1)]
    lesson.page.wait_for_timeout(500)
    assert [written(app, column) for column in (0, 1)] == text
    set_box(app, "Length", 20)
    press(app, "Continue")
    for column in (0, 1):
        # The one that was a token behind catches up.
        done = re.compile("done: 2[01] tokens")
        expect(status(app, column)).to_contain_text(done, timeout=30_000)
        assert written(app, column).startswith(text[column])
    first, second = app.locator(".gpt-column").all()
    assert first.locator(".gpt-token").count() == second.locator(".gpt-token").count()
    lesson.look(app, "compare")
    app.get_by_label("Model").first.select_option("knows nothing")
    expect(status(app)).to_contain_text("shakespeare wrote this; knows nothing writes")
    app.get_by_role("textbox", name="Prompt").fill("café")
    press(app, "Generate")
    expect(status(app)).to_contain_text("'é' at position 3 is not among the 65")
    lesson.assert_clean()


def test_copy_and_save_give_the_text_with_its_settings(lesson, app):
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
    assert download.value.suggested_filename == "shakespeare-seed-1.txt"
    assert download.value.path().read_text() == copied
    lesson.assert_clean()


def test_a_restarted_kernel_is_told_and_nothing_breaks(own_lesson):
    lesson, app = own_lesson, show_workbench(own_lesson)
    begin(app)
    lesson.page.evaluate(
        "jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    gone = app.get_by_role("alert").filter(has_text="run the cell again")
    expect(gone).to_be_visible(timeout=60_000)
    text = written(app)
    for name in ("Generate", "Stop", "Greedy"):
        app.get_by_role("button", name=name).click(force=True, timeout=2_000)
    app.locator(".gpt-token").first.click()
    assert written(app) == text
    lesson.look(gone, "gone")
    lesson.wait_until_idle()
    run_cell(lesson, IMPORTS)
    run_cell(lesson, "Workbench(")
    generate(lesson.page.locator(".gpt-workbench"), 10)
    lesson.assert_clean()


def test_a_second_tab_on_the_same_kernel_disturbs_nothing(own_lesson, browser, lab):
    lesson, app = own_lesson, show_workbench(own_lesson)
    generate(app, 20)
    text = written(app)
    lesson.command("docmanager:save")
    lesson.page.wait_for_function("window.done !== undefined")
    base, token = lab
    page = browser.new_page(viewport={"width": 1300, "height": 1500})
    page.goto(f"{base}/lab/workspaces/second/tree/own.ipynb?token={token}")
    page.wait_for_function("window.jupyterapp?.restored", timeout=60_000)
    page.get_by_text(
        "Playground for shakespeare"
    ).first.wait_for()  # the twin, as saved
    second = page.locator(".jp-CodeCell", has_text="Workbench(").first
    second.locator(".jp-InputPrompt").click()
    page.keyboard.press("Control+Enter")
    other = page.locator(".gpt-workbench")
    other.wait_for(timeout=60_000)
    set_box(other, "Seed", 5)
    generate(other, 30)
    assert written(app) == text
    generate(app, 21)
    assert written(app).startswith(text)
    assert not written(other).startswith(text)
    page.close()
    lesson.assert_clean()


def test_a_run_of_ones_own_with_tokens_of_several_characters(copy, lesson):
    (copy / "rhyme.txt").write_text("JULIET: row, row, row your boat.\n" * 40)
    small = ["--preset", "block", "--context", "16", "--width", "16", "--steps", "60"]
    small += ["--tokenizer", "bpe", "--vocab-size", "290"]
    command = [sys.executable, "-m", "gpt_lib", "train", "rhyme.txt", "-n", "mine"]
    where = {**os.environ, "PYTHONPATH": str(copy)}
    subprocess.run([*command, *small], cwd=copy, env=where, check=True)
    try:
        app = show_workbench(lesson)
        app.get_by_label("Model").first.select_option("mine (rhyme)")
        app.get_by_role("textbox", name="Prompt").fill("JULIET")
        generate(app, 20)
        expect(app.get_by_role("application", name="Text by mine")).to_be_visible()
        tokens = app.locator(".gpt-column").first.locator(".gpt-token")
        texts = tokens.all_text_contents()
        assert len(texts) == 20
        position = next(at for at, text in enumerate(texts) if len(text) > 1)
        tokens.nth(position).click()
        title = re.compile(f"^Token {position + 1}, after “")
        expect(app.get_by_text(title)).to_be_visible()
        rows = app.locator(".gpt-next-token [data-id]")
        expect(rows.filter(has_text=re.compile("␣[a-z]")).first).to_be_visible()
        lesson.look(app, "tokens-of-several-characters")
        other = next(
            row
            for row in rows.all()
            if row.get_attribute("data-id") != "-1"
            and not row.inner_text().startswith("▸")
        )
        other.click()
        left = 20 - position - 1
        expect(status(app)).to_contain_text(f"done: {left} token", timeout=60_000)
        expect(app.locator(".gpt-fork")).to_have_count(1)
        lesson.look(app.get_by_role("tree").last, "branch-of-tokens")
        lesson.assert_clean()
    finally:
        shutil.rmtree(copy / "runs")
