"""The simple playground: what its buttons do, what its page escapes, its fallback."""

import re
import threading
import time

import pytest
import torch

from gpt_lib import views
from gpt_lib.bigram import Bigram
from gpt_lib.playground.notebook import Playground
from gpt_lib.text import CharTokenizer
from tests.playground.fakes import CHARACTERS, random_bigram, wait_until

LETTERS = "xabs<>i"


class OneLetter(Bigram):
    """Always writes its letter; with a gate, each token waits for a permit."""

    def __init__(self, letter="a", gate=None):
        super().__init__(len(LETTERS))
        self.gate = gate
        logits = torch.full((len(LETTERS),) * 2, -100.0)
        logits[:, LETTERS.index(letter)] = 0
        self.bigram_logits.weight.data.copy_(logits)

    def forward(self, ids):
        if self.gate:
            assert self.gate.acquire(timeout=5)
        return super().forward(ids)


class Broken(OneLetter):
    """Fails at its first token."""

    def forward(self, ids):
        raise RuntimeError("out of <ink>")


def make(prompt="x", **models):
    tokenizer = CharTokenizer(LETTERS)
    playground = Playground(models or {"a": OneLetter()}, tokenizer, prompt)
    playground.length.value = 5
    return playground


def wait_for_status(playground, word="done"):
    wait_until(lambda: word in playground.column.status.value)


def wait_for_tokens(playground, count):
    run = playground.column.run
    wait_until(lambda: run.texts and len(run.texts[0].branch.ids) == count)


def page_of(playground):
    return playground.column.output.value


def test_construction_starts_no_thread_and_only_generate_can_be_pressed():
    started = threading.active_count()
    playground = make()
    assert threading.active_count() == started
    assert playground.column.status.value == "ready"
    assert playground.stop_button.disabled
    assert playground.continue_button.disabled


def test_generate_writes_and_continue_goes_on():
    playground = make()
    playground.generate_button.click()
    wait_for_status(playground)
    assert "x</span>aaaaa<" in page_of(playground)
    assert playground.column.status.value.startswith("done: 5 tokens")
    wait_until(lambda: not playground.continue_button.disabled)
    playground.continue_button.click()
    wait_until(lambda: "aaaaaaaaaa<" in page_of(playground))
    wait_until(lambda: playground.stop_button.disabled)
    playground.generate_button.click()
    wait_until(lambda: "x</span>aaaaa<" in page_of(playground))


def test_stop_stops_within_one_token_and_text_stays():
    gate = threading.Semaphore(0)
    playground = make(a=OneLetter("a", gate))
    playground.generate_button.click()
    gate.release(2)
    wait_for_tokens(playground, 2)
    playground.stop_button.click()
    gate.release(3)
    wait_for_status(playground, "stopped")
    status, page = playground.column.status.value, page_of(playground)
    assert re.match("stopped: [23] tokens", status)  # that in progress is finished
    assert re.search("x</span>aaa?<", page)
    playground.stop_button.click()  # after the end: nothing happens
    assert (playground.column.status.value, page_of(playground)) == (status, page)


def test_a_second_click_replaces_the_first_run_and_nothing_mixes():
    gate = threading.Semaphore(0)
    playground = make(slow=OneLetter("s", gate), fast=OneLetter("b"))
    playground.generate_button.click()
    gate.release(1)
    wait_for_tokens(playground, 1)
    playground.column.picker.value = "fast"
    playground.generate_button.click()
    wait_for_status(playground)
    gate.release(10)  # the old run wakes up, late
    time.sleep(0.1)
    assert "x</span>bbbbb<" in page_of(playground)
    assert "s" not in re.sub(r"<[^>]*>", "", page_of(playground))


def test_an_unknown_character_is_named_without_a_traceback():
    playground = make(prompt="?")
    playground.generate_button.click()
    wait_for_status(playground, "&#x27;?&#x27; at position 0 is not among")
    playground.prompt.value = "x"
    playground.generate_button.click()
    wait_for_status(playground)


def test_any_other_error_is_shown_by_its_name():
    playground = make(broken=Broken())
    playground.generate_button.click()
    wait_for_status(playground, "RuntimeError: out of &lt;ink&gt;")


def test_text_is_escaped():
    playground = make(prompt="<b>", a=OneLetter("<"))
    playground.generate_button.click()
    wait_for_status(playground)
    assert "<b>" not in page_of(playground)
    assert "&lt;b&gt;</span>&lt;&lt;&lt;&lt;&lt;<" in page_of(playground)


def test_a_playground_needs_a_model_and_its_fallback_shows_a_sample():
    tokenizer = CharTokenizer(LETTERS)
    with pytest.raises(ValueError, match="at least one model"):
        Playground({}, tokenizer)
    playground = Playground({"a": OneLetter()}, tokenizer, "x", sample="yz <")
    assert "yz &lt;" in playground._repr_mimebundle_()["text/html"]
    assert "A sample: xyz <" in repr(playground)


def test_a_playgrounds_fallback_can_show_a_picture_below_its_sample():
    picture = views.bar_chart(["b"], [1], "Probabilities")
    playground = Playground(
        {"a": OneLetter()}, CharTokenizer(LETTERS), "x", sample="yz", picture=picture
    )
    page = playground._repr_mimebundle_()["text/html"]
    assert page.index("yz") < page.index("<img alt=")
    assert repr(playground).endswith(f"A sample: xyz\n{picture.description}")


def test_a_box_shows_a_sliders_value_without_rounding_errors():
    playground = make()
    column = playground.column
    column.temperature.value = 1.1500000000000001
    assert column.temperature_box.value == 1.15
    column.temperature_box.value = 0.9
    assert column.temperature.value == 0.9
    playground.length_box.value = 7
    assert playground.length.value == 7
    playground.length.value = 9
    assert playground.length_box.value == 9


def test_a_run_takes_the_temperature_that_the_box_shows():
    playground = make()
    column = playground.column
    column.temperature.value = 0.1 + 0.2
    playground.generate_button.click()
    wait_for_status(playground)
    settings = column.text.branch.latest_settings
    assert settings["temperature"] == column.temperature_box.value == 0.3


# With models whose texts vary


def press(playground, word="done"):
    playground.generate_button.click()
    wait_for_status(playground, word)


def random_playground(**seeds):
    """A playground for random bigrams."""
    models = {name: random_bigram(seed).model for name, seed in seeds.items()}
    playground = Playground(models, CharTokenizer(CHARACTERS), "ab")
    playground.length.value = 20
    return playground


def page_text(playground):
    return playground.column.text.text if playground.column.text else ""


def test_it_is_built_before_any_model_is_used():
    started = threading.active_count()
    playground = Playground({"one": None, "two": None}, None)
    assert threading.active_count() == started
    assert playground.column.status.value == "ready"
    assert "Playground for one, two" in repr(playground)


def test_a_continued_text_is_the_one_that_never_stopped():
    whole, parts = random_playground(A=1), random_playground(A=1)
    whole.length.value = 60
    press(whole, "done: 60 tokens")
    press(parts, "done: 20 tokens")
    for length in (15, 25):
        parts.length.value = length
        parts.continue_button.click()
        wait_for_status(parts, f"done: {length} tokens")
    assert page_text(parts) == page_text(whole)
    assert page_text(whole).startswith("ab")
    assert page_text(whole)[2:] in whole.column.output.value


def test_temperature_seed_and_model_are_used():
    playground = random_playground(A=1, B=2)
    column, texts = playground.column, set()
    controls = [column.temperature, column.temperature, playground.seed, column.picker]
    for control, value in zip(controls, [1.0, 0.5, 7, "B"], strict=True):
        control.value = value
        press(playground)
        wait_until(lambda: playground.stop_button.disabled)
        texts.add(page_text(playground))
        playground.column.say("next")
    assert len(texts) == 4
    assert playground.column.text.branch.latest_settings == {"temperature": 0.5}


def test_an_unknown_character_is_an_error_and_the_text_stays():
    playground = random_playground(A=1)
    press(playground)
    wait_until(lambda: playground.stop_button.disabled)
    before = playground.column.output.value
    playground.prompt.value = "a<"
    press(playground, "&#x27;&lt;&#x27; at position 1")
    assert playground.column.output.value == before
