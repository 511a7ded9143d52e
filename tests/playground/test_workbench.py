"""The workbench: nothing mixes, nothing is lost, every token is explained."""

import json
import threading
import time

import pytest

from gpt_lib import views
from gpt_lib.playground.notebook import Workbench
from tests.playground.fakes import ByteTextGenerator, FakeTextGenerator, wait_until


def make(prompt="x", **text_generators):
    bench = Workbench(text_generators or {"A": FakeTextGenerator()}, prompt)
    bench.length.value = 5
    return bench


def wait_for_status(bench, word="done", column=0):
    wait_until(lambda: word in bench.columns[column].status.value)


def text_of(bench, column=0):
    widget = bench.columns[column].generated_text
    return widget.prompt + "".join(widget.tokens)


def generate(bench, word="done"):
    bench.generate_button.click()
    wait_for_status(bench, word)


def pick(column, id):
    column.next_token.receive(None, {"type": "pick", "index": id}, [])


def wait_until_idle(column):
    wait_until(lambda: not column.generated_text.writing)


def written_ids(column):
    """The ids on the current branch; none while there is no text."""
    return column.text.branch.ids if column.text else []


class Delay:
    """A gate that lets a token through every millisecond."""

    def acquire(self, timeout):
        time.sleep(0.001)
        return True


# The workbench


def test_top_k_ends_at_the_vocabulary_of_the_picked_model():
    few = FakeTextGenerator()
    bench = make(few=few, bytes=ByteTextGenerator("x"))
    column = bench.columns[0]
    assert column.controls.sliders["top_k"].max == len(few.labels)
    column.picker.value = "bytes"
    column.controls.set_all({"top_k": 200})
    column.picker.value = "few"
    assert column.settings["top_k"] == len(few.labels)


def test_construction_does_no_work():
    started, text_generator = threading.active_count(), FakeTextGenerator()
    bench = make(A=text_generator)
    assert threading.active_count() == started
    assert text_generator.forwards == 0
    assert text_generator.requests == []
    assert bench.columns[0].status.value == "ready"
    assert bench.stop_button.disabled
    assert bench.continue_button.disabled
    with pytest.raises(ValueError, match="at least one text generator"):
        Workbench({})


def test_generate_writes_and_continue_goes_on_with_its_own_random_numbers():
    text_generator = FakeTextGenerator()
    bench = make(A=text_generator)
    generate(bench)
    assert text_of(bench) == "xaaaaa"
    status = bench.columns[0].status.value
    assert status.startswith("done: 5 tokens")
    assert "1.39 nats a token" in status
    bench.length.value = 3
    bench.continue_button.click()
    wait_until(lambda: text_of(bench) == "xaaaaaaaa")
    (first, second) = text_generator.requests
    assert (first[0], first[3]) == (1, 0)
    assert (second[0], second[1], second[3]) == (6, 3, 5)  # it skips those used


def test_a_text_rests_only_once_all_its_tokens_are_on_the_page():
    bench = make()
    widget, at_rest = bench.columns[0].generated_text, []
    widget.observe(lambda change: at_rest.append(len(widget.tokens)), "writing")
    generate(bench)
    assert at_rest == [0, 5]  # as it begins, and as it ends


def test_settings_seed_and_stop_string_are_used():
    text_generator = FakeTextGenerator()
    bench = make(A=text_generator)
    bench.columns[0].controls.set_all({"temperature": 0.5, "top_k": 2})
    bench.seed.value, bench.stop_field.value = 9, "↵↵"
    generate(bench)
    *_, seed, skip, settings = text_generator.requests[-1]
    assert (seed, skip) == (9, 0)
    assert bench.columns[0].text.stop == "\n\n"
    assert (settings["temperature"], settings["top_k"]) == (0.5, 2)
    bench.stop_field.value = "aa"
    generate(bench)
    wait_until(lambda: text_of(bench) == "xaa")
    wait_for_status(bench, "done: 2 tokens")


def test_stop_stops_within_one_token_and_after_the_end_does_nothing():
    gate = threading.Semaphore(0)
    bench = make(A=FakeTextGenerator(gate=gate))
    bench.generate_button.click()
    gate.release(2)
    wait_until(lambda: len(written_ids(bench.columns[0])) == 2)
    bench.stop_button.click()
    gate.release(5)
    wait_for_status(bench, "stopped")
    # The token in the making may be finished.
    assert text_of(bench) in ("xaa", "xaaa")
    before = text_of(bench), bench.columns[0].status.value
    bench.stop_button.click()
    time.sleep(0.05)
    assert (text_of(bench), bench.columns[0].status.value) == before
    assert bench.stop_button.disabled
    assert not bench.continue_button.disabled


def test_a_double_click_and_another_model_never_mix_texts():
    gate = threading.Semaphore(0)
    bench = make(slow=FakeTextGenerator("b", gate), fast=FakeTextGenerator("c"))
    bench.generate_button.click()
    gate.release(1)
    wait_until(lambda: len(written_ids(bench.columns[0])) == 1)
    bench.columns[0].picker.value = "fast"
    assert "slow wrote this; fast writes" in bench.columns[0].status.value
    gate.release(10)
    for _ in range(2):
        bench.generate_button.click()
    wait_for_status(bench)
    time.sleep(0.05)
    assert text_of(bench) == "xccccc"
    assert bench.columns[0].generated_text.label == "Text by fast"


def test_continue_with_another_model_takes_the_text_as_its_prompt():
    bench = make(A=FakeTextGenerator("a"), B=FakeTextGenerator("b"))
    generate(bench)
    bench.columns[0].picker.value = "B"
    bench.continue_button.click()
    wait_until(lambda: text_of(bench) == "xaaaaabbbbb")
    assert bench.columns[0].generated_text.prompt == "xaaaaa"


def test_fifty_clicks_leave_one_clean_text():
    bench = make(A=FakeTextGenerator("a"), B=FakeTextGenerator("b"))
    for click in range(50):
        bench.columns[0].picker.value = "AB"[click % 2]
        bench.generate_button.click()
    wait_for_status(bench)
    assert text_of(bench) == "xbbbbb"
    wait_until(lambda: threading.active_count() < 10)


def test_a_prompt_that_cannot_be_read_is_an_error_without_a_traceback():
    bench = make(prompt="?")
    bench.generate_button.click()
    wait_for_status(bench, "&#x27;?&#x27; at position 0 is not &lt;known&gt;")
    wait_until_idle(bench.columns[0])
    bench.prompt.value = ""
    bench.generate_button.click()
    wait_for_status(bench, "the prompt is empty")
    bench.prompt.value = "x"
    generate(bench)
    assert text_of(bench) == "xaaaaa"


def test_a_text_generator_that_fails_keeps_its_text():
    bench = make(A=FakeTextGenerator(fail_at=3))
    generate(bench, "RuntimeError: out of &lt;ink&gt;")
    assert text_of(bench) == "xaaa"
    wait_until(lambda: not bench.continue_button.disabled)


def test_moving_a_slider_reshapes_without_a_forward_pass():
    text_generator = FakeTextGenerator()
    bench = make(A=text_generator)
    generate(bench)
    column = bench.columns[0]
    wait_until_idle(column)
    column.generated_text.selected = 2
    forwards = text_generator.forwards
    assert column.next_token.title == "Token 3, after “xaa”: “a” was written"
    assert column.next_token.u == text_generator.uniform(1, 2)
    before = {row["id"]: row["after"] for row in column.next_token.rows}
    column.controls.set_all({"top_k": 1})
    assert text_generator.forwards == forwards
    cut = {row["id"]: row["after"] for row in column.next_token.rows}
    assert cut[3] == 1.0 != before[3]
    assert cut[0] == 0.0 != before[0]
    column.generated_text.selected = -1
    assert "Select a token" in column.next_token.sentence


def test_a_slider_moved_before_the_first_text_shows_what_follows_the_prompt():
    bench = make()
    bench.columns[0].controls.set_all({"top_k": 2})
    assert bench.columns[0].next_token.title == "Token 1, after “x”: the next one"


def test_another_token_branches_the_text_and_the_tree_keeps_both():
    bench = make()
    generate(bench)
    column = bench.columns[0]
    wait_until_idle(column)
    column.generated_text.selected = 2
    pick(column, 3)
    wait_for_status(bench)
    wait_until(lambda: text_of(bench) == "xaadaa")
    wait_until_idle(column)
    assert column.generated_text.forks == [2]
    assert column.text.branch.probabilities[2] == pytest.approx(0.4)
    boxes = [(box["label"], box["parent"], box["note"]) for box in column.tree.boxes]
    # 2 ln 0.25; then 3 more; or ln 0.4 and 2 more
    assert boxes == [("xaa", -1, "-2.8"), ("aaa", 0, "-6.9"), ("daa", 0, "-6.5")]
    assert column.tree.selected == 2
    column.show_branch(1)
    assert text_of(bench) == "xaaaaa"
    assert column.tree.selected == 1
    column.show_branch(0)  # both branches run through it: the present one stays
    assert text_of(bench) == "xaaaaa"
    column.generated_text.selected = 2
    pick(column, 0)  # it stands there already
    assert len(column.text.branches) == 2
    generate(bench)
    wait_until(lambda: len(column.text.branches) == 1)
    wait_until(lambda: column.tree.boxes == [])


def test_a_model_that_fails_behind_a_token_is_in_the_status_line():
    class Mute(FakeTextGenerator):
        def logits(self, ids):
            raise RuntimeError("no <voice>")

    bench = make(A=Mute())
    generate(bench, "RuntimeError: no &lt;voice&gt;")
    assert text_of(bench) == "xaaaaa"


def test_one_can_write_by_hand():
    bench = make()
    column = bench.columns[0]
    column.controls.set_all({"top_k": 3})
    for id in (1, 2, 3):
        pick(column, id)
        wait_until_idle(column)
    assert text_of(bench) == "xbcd"
    assert column.generated_text.selected == 3
    assert '"picked by hand": [0, 1, 2]' in column.generated_text.record
    assert len(column.text.branches) == 1


def test_a_branch_while_writing_does_not_mix():
    gate = threading.Semaphore(0)
    bench = make(A=FakeTextGenerator("a", gate))
    column = bench.columns[0]
    bench.generate_button.click()
    gate.release(3)
    wait_until(lambda: len(written_ids(column)) == 3)
    gate.release(100)
    column.generated_text.selected = 0
    pick(column, 2)
    wait_for_status(bench)
    wait_until_idle(column)
    assert text_of(bench).startswith("xc")
    assert set(text_of(bench)[2:]) <= {"a"}


def test_who_writes_must_stop_before_another_branch_is_looked_at():
    bench = make(A=FakeTextGenerator("a", Delay()))
    column = bench.columns[0]
    generate(bench)
    wait_until_idle(column)
    column.generated_text.selected = 2
    pick(column, 3)
    wait_until(lambda: len(written_ids(column)) == 5)
    wait_until_idle(column)
    bench.length.value = 2000
    bench.continue_button.click()
    wait_until(lambda: len(written_ids(column)) > 8)
    column.show_branch(1)
    assert column.status.value == "Stop first, then walk to another branch"
    assert column.text.current == 1
    bench.stop_button.click()
    wait_until_idle(column)
    assert text_of(bench).startswith("xaadaaaaaa")
    column.show_branch(1)
    assert text_of(bench) == "xaaaaa"


def test_two_columns_write_side_by_side_with_the_same_random_numbers():
    first, second = FakeTextGenerator("a"), FakeTextGenerator("b")
    bench = make(A=first, B=second)
    bench.compare.value = True
    assert len(bench.columns_box.children) == 2
    bench.columns[1].controls.set_all({"temperature": 0.2})
    bench.generate_button.click()
    wait_for_status(bench)
    wait_for_status(bench, column=1)
    assert (text_of(bench), text_of(bench, 1)) == ("xaaaaa", "xbbbbb")
    assert first.requests[-1][:4] == second.requests[-1][:4]
    assert second.requests[-1][4]["temperature"] == 0.2
    bench.compare.value = False
    bench.seed.value = 2
    generate(bench)
    assert len(second.requests) == 1


def test_a_column_that_joins_late_catches_up_on_continue():
    bench = make(A=FakeTextGenerator("a"), B=FakeTextGenerator("b"))
    generate(bench)
    wait_until_idle(bench.columns[0])
    bench.prompt.value = "not this one"
    bench.compare.value = True
    bench.continue_button.click()
    wait_until(lambda: text_of(bench) == "x" + "a" * 10)
    wait_until(lambda: text_of(bench, 1) == "x" + "b" * 10)


def test_a_branch_in_one_column_stops_the_other_where_it_is():
    bench = make(A=FakeTextGenerator("a", Delay()), B=FakeTextGenerator("b", Delay()))
    bench.length.value, bench.compare.value = 400, True
    bench.generate_button.click()
    wait_until(lambda: len(written_ids(bench.columns[1])) > 2)
    bench.columns[1].generated_text.selected = 0
    pick(bench.columns[1], 3)
    wait_for_status(bench, "stopped: ")
    wait_for_status(bench, "done: ", column=1)
    assert text_of(bench, 1).startswith("xd")
    assert set(text_of(bench)[1:]) == {"a"}
    assert len(text_of(bench)) < 400
    assert not bench.columns[0].generated_text.writing


def test_one_column_that_cannot_read_does_not_stop_the_other():
    class Deaf(FakeTextGenerator):
        def encode(self, text):
            raise ValueError("deaf")

    bench = make(A=FakeTextGenerator("a"), B=Deaf())
    bench.compare.value = True
    generate(bench)
    wait_for_status(bench, "deaf", column=1)
    assert bench.columns[1].status.value == "B cannot read this: deaf"
    assert text_of(bench) == "xaaaaa"


def test_the_record_holds_all_that_is_needed_to_write_it_again():
    bench = make(**{"My model/2": FakeTextGenerator()})
    bench.seed.value = 4
    bench.columns[0].controls.set_all({"top_p": 0.5})
    generate(bench)
    wait_until(lambda: bench.columns[0].generated_text.record)
    head, written = bench.columns[0].generated_text.record.split("\n\n", 1)
    record = json.loads(head)
    assert record["settings"]["top_p"] == 0.5
    assert (record["model"], record["seed"], record["prompt"]) == ("My model/2", 4, "x")
    assert written == "xaaaaa\n"
    assert bench.columns[0].generated_text.filename == "My-model-2-seed-4.txt"


def test_the_record_says_from_which_token_on_other_settings_were_used():
    bench = make()
    generate(bench)
    column = bench.columns[0]
    wait_until_idle(column)
    column.controls.set_all({"temperature": 0.5})
    bench.resume()
    wait_until(lambda: len(written_ids(column)) == 10)
    wait_until_idle(column)
    record = json.loads(column.generated_text.record.split("\n\n", 1)[0])
    assert record["settings"]["temperature"] == 0.5
    used = record["settings from token"]
    assert {at: each["temperature"] for at, each in used.items()} == {"1": 1, "6": 0.5}
    bench.resume()  # with the same ones: nothing to record
    wait_until(lambda: len(written_ids(column)) == 15)
    wait_until_idle(column)
    last = json.loads(column.generated_text.record.split("\n\n", 1)[0])
    assert last["settings from token"] == used


def test_its_fallback_says_what_it_is_and_shows_a_picture():
    picture = views.bar_chart(["a"], [1], "Probabilities")
    bench = Workbench({"A": FakeTextGenerator()}, "x", sample="yz <", picture=picture)
    assert "A sample: xyz <" in repr(bench)
    assert "Probabilities. Bars: a 1." in repr(bench)
    page = bench._repr_mimebundle_()["text/html"]
    assert "yz &lt;" in page
    assert picture.html in page


def test_tokens_that_are_bytes_show_whole_characters_and_are_picked_by_label():
    bench = make(prompt="é", A=ByteTextGenerator("aé😀b"))
    bench.length.value = 9
    pages = set()
    column = bench.columns[0]
    column.generated_text.observe(lambda _: pages.add(text_of(bench)), "tokens")
    generate(bench, "done: 8 tokens")
    wait_until_idle(column)
    assert text_of(bench) == "éaé😀b"
    assert all("éaé😀b".startswith(page) for page in pages)
    column.generated_text.selected = 1
    assert column.next_token.title == "Token 2, after “éa”: “<C3>” was written"
    column.generated_text.selected = 2
    assert column.next_token.title == "Token 3, after “éa”: “<A9>” was written"
    pick(column, "è".encode()[1])
    wait_until(lambda: text_of(bench) == "éaè😀b")
    wait_until_idle(column)
    labels = [box["label"] for box in column.tree.boxes]
    assert labels == ["éa", "é😀b", "è😀b"]
