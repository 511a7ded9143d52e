"""What a learner does with controls on a page: press, type, drag, and look."""

import re

from playwright.sync_api import expect

from gpt_lib.playground.settings import PRESETS, SAMPLING_SETTINGS


def run_cell(lesson, text):
    """Run one code cell; the cells before it are not needed again."""
    code_cell = lesson.page.locator(".jp-CodeCell", has_text=text).first
    code_cell.locator(".jp-InputPrompt").click()
    lesson.run_cell()
    return code_cell


def press(app, name):
    app.get_by_role("button", name=name).click()


def status(app, column=0):
    return app.locator(".gpt-column").nth(column).locator(".gpt-status")


def press_keys(app, role, name, keys="Enter"):
    """Press a key on a control; `keys` can be several, apart by spaces."""
    control = app.get_by_role(role, name=name).first
    control.focus()
    for one in keys.split():
        app.page.keyboard.press(one)
    return control


def box_of(app, label):
    return app.get_by_role("spinbutton", name=label, exact=True).first


def slider_of(app, label):
    return app.get_by_role("slider", name=label, exact=True).first


def set_box(app, label, value):
    box = box_of(app, label)
    box.fill(str(value))
    box.press("Tab")


def expect_number(app, label, number):
    """Both the slider and its box say it, in as few digits as that takes."""
    expect(slider_of(app, label)).to_have_attribute("aria-valuetext", f"{number:g}")
    expect(box_of(app, label)).to_have_value(f"{number:g}")


def retype(lesson, app, label, text, taken):
    """Type into a box, and once more if it shows another number.

    Seen in two of seven runs: 99999 became 1 instead of 2. The cause is not known yet.
    """
    set_box(app, label, text)
    try:
        expect(box_of(app, label)).to_have_value(f"{taken:g}", timeout=10_000)
    except AssertionError:
        lesson.wait_until_idle()
        set_box(app, label, text or f"{taken:g}")
    expect_number(app, label, taken)
    lesson.wait_until_idle()


def expect_near(app, label, number, margin):
    """A slider stands about there, and its box says just the same."""
    slider = slider_of(app, label)
    value = float(slider.get_attribute("aria-valuetext"))
    assert abs(value - number) <= margin, f"{label} is {value}, not about {number}"
    expect_number(app, label, value)


def expect_preset(app, name):
    """It has the tick, no other has, and each slider its value."""
    expect(app.get_by_role("button", name="✓")).to_have_text(
        [f"✓ {name}"], timeout=60_000
    )
    for setting in SAMPLING_SETTINGS:
        expect_number(app, setting.label, PRESETS[name][setting.key])


def press_preset(app, name):
    """Press it, and wait until it holds: the kernel moves the sliders, not the page."""
    press(app, name)
    expect_preset(app, name)


def track_of(app, label):
    """Where on the page a slider's track lies."""
    track = slider_of(app, label).locator(
        "xpath=ancestor::*[contains(@class, 'noUi-base')]"
    )
    track.scroll_into_view_if_needed()
    return track.bounding_box()


def drag(app, label, fraction):
    """Pull a slider's handle to a fraction of its track."""
    mouse, track = app.page.mouse, track_of(app, label)
    slider_of(app, label).hover()
    mouse.down()
    mouse.move(
        track["x"] + fraction * track["width"],
        track["y"] + track["height"] / 2,
        steps=4,
    )
    mouse.up()


def click_track(app, label, fraction):
    track = track_of(app, label)
    app.page.mouse.click(
        track["x"] + fraction * track["width"], track["y"] + track["height"] / 2
    )


def written(app, column=0):
    """The text once it rests: the page may draw "done" before the last tokens."""
    box = app.locator(".gpt-generated-text").nth(column)
    expect(box).to_have_attribute("aria-busy", "false")
    return box.text_content()


def generate(app, length=40):
    set_box(app, "Length", length)
    # What it says of the last run must not be taken for this one.
    message = status(app).locator(".widget-html-content")
    message.evaluate("box => box.replaceChildren()")
    press(app, "Generate")
    expect(status(app)).to_contain_text(f"done: {length} tokens", timeout=60_000)
    tokens = app.locator(".gpt-column").first.locator(".gpt-token")
    expect(tokens).to_have_count(length)


def begin(app):
    """A run that does not end by itself."""
    set_box(app, "Length", 10_000)
    press(app, "Generate")
    expect(status(app)).to_have_text("shakespeare is writing")
    expect(app.locator(".gpt-token").first).to_be_attached()


def expect_rest(app, text):
    """This text stands there, and nothing adds to it."""
    app.page.wait_for_timeout(500)
    assert written(app) == text


def text_of_label(label):
    """The token that a view shows under this label."""
    return {"␣": " ", "↵": "\n"}.get(label, label)


def surprising_position(app):
    """The first position from the seventh on at which the choice was open."""
    shades = app.locator(".gpt-token").evaluate_all(
        "spans => spans.map(s => Number(s.className.match(/gpt-shade-(\\d+)/)[1]))"
    )
    return next(at for at, shade in enumerate(shades) if at > 5 and 1 < shade < 6)


def branch(app, position):
    """Put another token at a position: the first in the bar that was not written."""
    token = app.locator(".gpt-token").nth(position)
    token.click()
    expect(app.get_by_text(re.compile(f"^Token {position + 1}, after"))).to_be_visible()
    current = token.text_content()
    for piece in app.locator(".gpt-cumulative [data-id]").all()[:2]:
        # A narrow piece shows no label, but its title has it.
        text = text_of_label(re.match("“(.*?)”", piece.get_attribute("title"))[1])
        if text != current:
            piece.click()
            break
    expect(token).to_have_text(text, use_inner_text=False)
    return text


def count_shades(app):
    """How many different grounds the tokens have."""
    return app.evaluate(
        "app => new Set([...app.querySelectorAll('.gpt-token')]"
        ".map(span => getComputedStyle(span).background)).size"
    )
