"""Every view by mouse and by keyboard, in the gallery: one page for all of them."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.gallery import write_gallery
from tests.browser.steps import (
    click_track,
    count_shades,
    drag,
    expect_near,
    expect_number,
    press,
    press_keys,
    set_box,
)


@pytest.fixture(scope="module")
def gallery(copy, open_in_module):
    write_gallery(copy / "notebooks" / "gallery.ipynb")
    lesson = open_in_module("gallery", height=1500)
    lesson.run_all()
    yield lesson
    lesson.assert_clean()


@pytest.fixture(autouse=True)
def in_light(gallery):
    gallery.use_theme("light")


def output_of(gallery, call):
    """The output of the cell that makes a view, on the screen."""
    output = gallery.page.locator(".jp-CodeCell", has_text=call).last
    output.scroll_into_view_if_needed()
    return output


def look_in_both_themes(gallery, view, name):
    for theme in ("dark", "light"):
        gallery.use_theme(theme)
        gallery.look(view, f"{name}-{theme}")


def test_the_bigram_table(gallery):
    output = output_of(gallery, "views.bigram_table(")
    table = output.locator(".gpt-bigram-table")
    sentence = output.locator(".gpt-sentence")
    table.click(position={"x": 3, "y": 3})
    expect(sentence).to_have_text(re.compile(r"^after ↵ comes ↵ with \d"))
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        table.press(key)
    expect(sentence).to_have_text(re.compile(r"^after a comes ␣ with \d"))
    for key in ("ArrowLeft", "ArrowUp"):
        table.press(key)
    expect(sentence).to_have_text(re.compile(r"^after ␣ comes ↵ with \d"))
    box = table.bounding_box()
    gallery.page.mouse.move(
        box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.5
    )
    expect(sentence).not_to_have_text(re.compile(r"^after ␣ comes ↵"))
    look_in_both_themes(gallery, table, "table")


def test_sliders_share_out_attention(gallery):
    app = output_of(gallery, "views.attention_mixer(").locator(".gpt-attention-mixer")
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
    look_in_both_themes(gallery, app, "mixer")
    app.get_by_role("button", name="All equal").click()
    expect(crown).to_contain_text("16.7%")


def test_a_prediction_answers_at_once_and_keeps_its_keys(gallery):
    output = output_of(gallery, "views.prediction(")
    output.get_by_label("the letter e", exact=True).check()
    reply = output.locator(".gpt-reply")
    expect(reply).to_contain_text("✗ A good guess")
    output.get_by_label("the space", exact=True).check()
    expect(reply).to_contain_text("✓ A space ends")
    radios = output.get_by_role("radio")
    radios.first.focus()
    gallery.page.keyboard.press("Space")
    expect(radios.first).to_be_checked()
    gallery.page.keyboard.press("ArrowDown")
    expect(radios.nth(1)).to_be_checked()
    expect(radios.nth(1)).to_be_focused()
    look_in_both_themes(gallery, output, "prediction")


def test_the_attention_map_of_a_text_of_ones_own(gallery):
    output = output_of(gallery, "views.attention_map(")
    line = output.locator(".gpt-attention-line")
    sentence = output.locator(".gpt-sentence")
    field = output.get_by_label("Your text", exact=True)
    field.fill("anna, anna")
    field.press("Enter")
    expect(line.locator("[data-at]")).to_have_count(10)
    line.locator('[data-at="6"]').click()
    expect(sentence).to_contain_text("“a” (token 7, step 1600, head 1) looks at")
    line.press("ArrowRight")
    expect(sentence).to_contain_text("“n” (token 8, step 1600, head 1) looks at")
    for _ in range(2):
        line.press("ArrowDown")
    expect(sentence).to_contain_text("“n” (token 8, step 0, head 1) looks at")
    line.press("ArrowUp")
    expect(sentence).to_contain_text("step 100")
    field.fill("50 %")
    field.press("Enter")
    complaint = output.get_by_role("status").filter(has_text="is not a letter")
    expect(complaint).to_be_visible()
    expect(line.locator("[data-at]")).to_have_count(10)
    look_in_both_themes(gallery, line, "map")


def test_a_passage_read_by_two_models(gallery):
    output = output_of(gallery, "views.loss_heatmap(")
    heatmap = output.locator(".gpt-loss-heatmap")
    sentence = output.locator(".gpt-sentence")
    heatmap.locator('[data-reader="0"][data-at="5"]').hover()
    expect(sentence).to_contain_text("token 6 of 172, unigram: loss")
    heatmap.focus()
    heatmap.press("ArrowRight")
    expect(sentence).to_contain_text("token 7 of 172, unigram")
    heatmap.press("ArrowUp")
    expect(sentence).to_contain_text("token 7 of 172, GPT: loss")
    look_in_both_themes(gallery, heatmap, "heatmap")


def test_the_sampling_explorer_by_mouse_and_by_keyboard(gallery):
    output = output_of(gallery, "views.sampling_explorer(")
    app = output.locator(".gpt-sampling-explorer")
    landing = app.get_by_text(re.compile(r"^u = 0\.\d+ lands on"))
    expect(landing).to_contain_text("u = 0.7 lands on “e”")
    press_keys(app, "slider", "Temperature", " ".join(["ArrowLeft"] * 14))
    expect(landing).to_contain_text("“a”")
    press(app, "Neutral")
    expect(landing).to_contain_text("“e”")
    drag(app, "Temperature", 0.15)
    expect(landing).to_contain_text("“a”")
    gallery.wait_until_idle()  # the last move of the drag must not come after the box
    set_box(app, "Temperature", 1)
    expect(landing).to_contain_text("“e”")
    drag(app, "Draw u", 0.1)
    expect_near(app, "Draw u", 0.1, 0.02)
    gallery.wait_until_idle()
    expect(landing).to_contain_text("“a”")
    click_track(app, "Draw u", 0.7)
    expect(landing).to_contain_text("“e”")
    for number, taken in ((0.65, 0.65), (7, 0.999), (-1, 0)):
        set_box(app, "Draw u", number)
        expect_number(app, "Draw u", taken)
    press_keys(app, "slider", "Draw u", "End")
    expect(landing).to_contain_text("u = 0.999 lands on")
    set_box(app, "Draw u", 0.7)
    expect(landing).to_contain_text("“e”: the model gave it 20.5 %")
    menu = app.get_by_label("Context")
    menu.select_option("after “JULIET:↵”")
    expect(landing).not_to_contain_text("“e”")
    press_keys(app, "combobox", "Context", "ArrowUp")
    expect(menu).to_be_focused()
    expect(landing).to_contain_text("“e”: the model gave it 20.5 %")
    look_in_both_themes(gallery, app, "explorer")


def test_a_shaded_text(gallery):
    output = output_of(gallery, "views.generated_text(")
    text, sentence = (
        output.locator(".gpt-generated-text"),
        output.locator(".gpt-sentence"),
    )
    assert count_shades(output) > 2
    text.locator(".gpt-token").nth(3).click()
    expect(sentence).to_have_text(re.compile("^token 4 of .*: the model gave it"))
    text.press("ArrowRight")
    expect(sentence).to_have_text(re.compile("^token 5 of .*: the model gave it"))
    press_keys(output, "checkbox", "shade by surprisal", "Space")
    assert count_shades(output) == 1
    output.get_by_role("checkbox", name="shade by surprisal").click()
    assert count_shades(output) > 2
    look_in_both_themes(gallery, text, "shaded")


def test_a_tree_is_walked(gallery):
    output = output_of(gallery, "views.token_tree(")
    tree, path = output.locator(".gpt-token-tree"), output.locator(".gpt-sentence")
    tree.focus()
    tree.press("Home")
    expect(path).to_contain_text("“ROMEO:↵”")
    tree.press("ArrowRight")
    expect(path).not_to_contain_text("“ROMEO:↵”")
    tree.get_by_role("treeitem").first.click()
    expect(path).to_contain_text("“ROMEO:↵”")
    look_in_both_themes(gallery, tree, "tree")


def test_merges_are_undone_down_to_single_bytes(gallery):
    output = output_of(gallery, "views.merge_explorer(")
    frame, sentence = (
        output.locator(".gpt-merged-text"),
        output.locator(".gpt-sentence"),
    )
    pieces, undo = (
        frame.locator(".gpt-piece"),
        output.get_by_role("button", name="Undo this merge"),
    )
    expect(pieces).to_have_text(["ba", "na", "na", "ba", "n"])  # two of four merges
    expect(undo).to_be_disabled()
    output.get_by_label("Merges, as a number").fill("4")
    output.get_by_label("Merges, as a number").press("Tab")
    expect(pieces).to_have_text(["banana", "ba", "n"])
    expect(output.get_by_role("status").last).to_have_text("9 bytes are 3 tokens")
    pieces.first.click()
    expect(sentence).to_have_text("“banana” is token 7, merge 4 of 4: “ba” + “nana”.")
    expect(output.locator(".gpt-family .gpt-piece")).to_have_count(11)
    undo.click()
    expect(pieces).to_have_text(["ba", "nana", "ba", "n"])
    press_keys(output, "application", "Merges to undo", "ArrowRight Enter")
    expect(pieces).to_have_text(["ba", "na", "na", "ba", "n"])
    expect(sentence).to_have_text("“na” is token 5, merge 2 of 4: “n” + “a”.")
    press_keys(output, "application", "Merges to undo", "Enter Enter")
    expect(pieces).to_have_text(["ba", "n", "a", "na", "ba", "n"])
    expect(sentence).to_have_text("“n” is token 2: a single byte.")
    press_keys(output, "slider", "Merges", "Home")
    expect(pieces).to_have_count(9)
    field = output.get_by_role("textbox", name="Your text")
    field.fill("nab,ab")
    field.press("Enter")
    expect(pieces).to_have_count(5)
    field.fill("ba1")
    field.press("Enter")
    expect(output).to_contain_text("'1' at position 2 is not a letter")
    expect(pieces).to_have_count(5)
    press_keys(output, "slider", "Merges", "End")
    look_in_both_themes(gallery, output, "merges")


def test_columns_mark_the_cuts_that_not_all_make(gallery):
    output = output_of(gallery, "views.token_columns(")
    columns = output.locator(".gpt-token-column")
    expect(columns.locator(".gpt-title")).to_have_text(
        [
            "letters: 8 tokens, 1.0 bytes each",
            "halves: 2 tokens, 4.0 bytes each",
            "words: 1 token, 8.0 bytes each",
        ]
    )
    expect(output.locator(".gpt-disputed")).to_have_text(["to␣b"])
    field = output.get_by_role("textbox", name="Your text")
    field.fill("not to be")
    field.press("Enter")
    expect(output.locator(".gpt-disputed")).to_have_text(["not␣"])
    field.fill("2 b")
    field.press("Enter")
    expect(output).to_contain_text("'2' at position 0 is not a letter")
    expect(output.locator(".gpt-disputed")).to_have_text(["not␣"])
    look_in_both_themes(gallery, output, "columns")


def test_a_diff_follows_the_switches_of_its_rules(gallery):
    output = output_of(gallery, "views.diff_explorer(")
    removed, added = output.locator("del"), output.locator("ins")
    sentence, counts = (
        output.locator(".gpt-sentence"),
        output.locator(".gpt-rule-count"),
    )
    expect(removed).to_have_text(["␣⟨\\r⟩", "⟨U+200B⟩", "␣", "⟨U+0000⟩"])
    expect(added).to_have_count(0)
    expect(counts).to_have_text(["1 change", "2 changes", "2 changes", "", ""])
    expect(sentence).to_contain_text("3 of 5 rules are on, 5 changes: line-ends 1")
    expect(output.locator(".gpt-diff")).to_contain_text("8 lines as before")
    expect(output.get_by_role("img", name="removed")).to_have_count(4)
    output.get_by_text("phones", exact=True).click()
    expect(added).to_have_text(["(phone)"])
    expect(sentence).to_contain_text("phones 1")
    look_in_both_themes(gallery, output, "diff")
    for _ in range(2):
        switch = press_keys(output, "checkbox", "lower-case", "Space")
        expect(switch).to_be_focused()
    expect(switch).not_to_be_checked()
    switch = press_keys(output, "checkbox", "spaces", "Space")
    expect(switch).not_to_be_checked()
    expect(removed.first).to_have_text("⟨\\r⟩")
    frame = output.get_by_role("region")
    press_keys(output, "region", "the diff", "ArrowDown ArrowDown")
    expect(frame).to_be_focused()
    field = output.get_by_role("textbox", name="Your text")
    field.fill("at 030 1234.⟨\\r⟩↵A b")
    field.press("Enter")
    expect(removed).to_have_text(["030 1234", "⟨\\r⟩"])
    expect(counts).to_have_text(["1 change", "0 changes", "", "1 change", ""])
    field.fill("a@b")
    field.press("Enter")
    expect(output).to_contain_text("there is an @ at position 1")
    expect(removed).to_have_text(["030 1234", "⟨\\r⟩"])
    look_in_both_themes(gallery, output, "diff-error")


def test_attention_step_by_step(gallery):
    output = output_of(gallery, "views.attention_steps(")
    sentence = output.locator(".gpt-sentence")
    line = output.get_by_role("application").first
    expect(sentence).to_contain_text("(token 7, block 1, head 1)")
    press_keys(output, "application", "From score to weight", "ArrowLeft")
    expect(sentence).to_contain_text("(token 6, block 1, head 1)")
    expect(sentence).not_to_contain_text("softmax")
    three_up = "ArrowUp ArrowUp ArrowUp"
    press_keys(output, "application", "From score to weight", three_up)
    expect(sentence).to_contain_text("softmax")
    button = output.get_by_role("button", name="2 · ÷ √H")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(sentence).not_to_contain_text("softmax")
    press_keys(output, "button", "4 · softmax")
    expect(sentence).to_contain_text("softmax")
    line.locator("[data-at]").nth(2).click()
    expect(sentence).to_contain_text("(token 3, block 1, head 1)")
    output.get_by_label("Layer").select_option("block 3")
    output.get_by_label("Head").select_option("head 2")
    expect(sentence).to_contain_text("(token 3, block 3, head 2)")
    for name in ("Layer", "Head"):
        expect(press_keys(output, "combobox", name, "ArrowDown")).to_be_focused()
    expect(sentence).to_contain_text("(token 3, block 4, head 3)")
    field = output.get_by_role("textbox", name="Your text")
    field.fill("to be")
    field.press("Enter")
    expect(sentence).to_contain_text("“e” (token 5, block 4, head 3)")
    look_in_both_themes(gallery, output, "steps")


def test_a_scrubber_through_a_training(gallery):
    output = output_of(gallery, "views.training_scrubber(")
    app = output.locator(".gpt-training-scrubber")
    sample, heatmap = app.locator(".gpt-sample"), app.locator(".gpt-loss-heatmap")
    last_sample, last_losses = sample.text_content(), heatmap.inner_html()
    checkpoint = app.get_by_role("slider", name="Checkpoint")
    press_keys(app, "slider", "Checkpoint", "Home")
    expect(sample).not_to_have_text(last_sample)
    assert heatmap.inner_html() != last_losses
    expect(app.get_by_text(re.compile("^step 0 of 600"))).to_be_visible()
    press_keys(app, "slider", "Checkpoint", "End")
    expect(sample).to_have_text(last_sample)
    end = checkpoint.input_value()

    curve = app.locator(".gpt-curve")
    box = curve.bounding_box()
    for fraction, value in ((0.1, "0"), (0.95, end)):
        curve.click(position={"x": fraction * box["width"], "y": box["height"] / 2})
        expect(checkpoint).to_have_value(value)
    reached = 0  # from the end it begins anew
    for by in (press, lambda app, name: press_keys(app, "button", name, "Space")):
        by(app, "Play")
        gallery.page.wait_for_timeout(1_500)
        by(app, "Pause")
        paused_at = checkpoint.input_value()
        assert reached < int(paused_at) < int(end)
        gallery.page.wait_for_timeout(1_500)
        assert checkpoint.input_value() == paused_at
        reached = int(paused_at)
    look_in_both_themes(gallery, app, "scrubber")
