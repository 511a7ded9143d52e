"""The complete playground: nothing mixes, nothing is lost, every token is explained."""

import json
import threading
import time

import numpy as np
import pytest

from gpt_lib import views
from gpt_lib.playground.notebook import Workbench
from gpt_lib.playground.notebook.branches import Path, branches
from tests.views.test_views import wait_until

TOKENS = "abcd"


class Fake:
    """Writes its letter; says of each token that it has the chances 0.1 … 0.4."""

    tokens = TOKENS

    def __init__(self, letter="a", gate=None, fail_at=None):
        self.id, self.gate, self.fail_at = TOKENS.index(letter), gate, fail_at
        self.asked, self.forwards = [], 0

    def encode(self, text):
        if "?" in text:
            raise ValueError("'?' at position 0 is not <known>")
        return [0] * len(text)

    def logits(self, ids):
        self.forwards += 1
        return np.log([0.1, 0.2, 0.3, 0.4])

    def chances(self, logits, ids, **settings):
        top = settings.get("top_k") or 4
        kept = np.where(np.argsort(np.argsort(-logits)) < top, np.exp(logits), 0)
        return kept / kept.sum()

    def luck(self, seed, place):
        return (seed * 7 + place) % 10 / 10

    def stream(self, ids, length, seed, skip, stop, **settings):
        self.asked.append((len(ids), length, seed, skip, stop, settings))
        for place in range(length):
            if place == self.fail_at:
                raise RuntimeError("out of <ink>")
            if self.gate:
                assert self.gate.acquire(timeout=5)
            yield self.id, 0.25


def make(prompt="x", **writers):
    bench = Workbench(writers or {"A": Fake()}, prompt)
    bench.length.value = 5
    return bench


def settled(bench, word="done", lane=0):
    wait_until(lambda: word in bench.lanes[lane].status.value)


def text(bench, lane=0):
    widget = bench.lanes[lane].text
    return widget.prompt + "".join(widget.tokens)


def generate(bench, word="done"):
    bench.generate_button.click()
    settled(bench, word)


def test_construction_does_no_work():
    started, writer = threading.active_count(), Fake()
    bench = make(A=writer)
    assert threading.active_count() == started
    assert writer.forwards == 0
    assert writer.asked == []
    assert bench.lanes[0].status.value == "ready"
    assert bench.stop_button.disabled
    assert bench.continue_button.disabled
    with pytest.raises(ValueError, match="at least one writer"):
        Workbench({})


def test_generate_writes_and_continue_goes_on_with_its_own_luck():
    writer = Fake()
    bench = make(A=writer)
    generate(bench)
    assert text(bench) == "xaaaaa"
    status = bench.lanes[0].status.value
    assert status.startswith("done: 5 tokens")
    assert "1.39 nats a token" in status
    bench.length.value = 3
    bench.continue_button.click()
    wait_until(lambda: text(bench) == "xaaaaaaaa")
    (first, second) = writer.asked
    assert (first[0], first[3]) == (1, 0)
    assert (second[0], second[1], second[3]) == (6, 3, 5)  # it skips the luck used


def test_a_text_rests_only_once_all_its_tokens_are_on_the_page():
    bench = make()
    shown = bench.lanes[0].text
    at_rest = []
    shown.observe(lambda change: at_rest.append(len(shown.tokens)), "writing")
    generate(bench)
    assert at_rest == [0, 5]  # as it begins, and as it ends


def test_settings_and_stop_string_reach_the_writer():
    writer = Fake()
    bench = make(A=writer)
    bench.lanes[0].controls.set({"temperature": 0.5, "top_k": 2})
    bench.seed.value, bench.stop_at.value = 9, "↵↵"
    generate(bench)
    *_, seed, skip, stop, settings = writer.asked[-1]
    assert (seed, skip, stop) == (9, 0, "\n\n")
    assert (settings["temperature"], settings["top_k"]) == (0.5, 2)


def test_stop_stops_within_one_token_and_after_the_end_does_nothing():
    gate = threading.Semaphore(0)
    bench = make(A=Fake(gate=gate))
    bench.generate_button.click()
    gate.release(2)
    wait_until(lambda: len(bench.lanes[0].path.ids) == 2)
    bench.stop_button.click()
    gate.release(5)
    settled(bench, "stopped")
    assert text(bench) in ("xaa", "xaaa")  # the token in the making may be finished
    before = text(bench), bench.lanes[0].status.value
    bench.stop_button.click()
    time.sleep(0.05)
    assert (text(bench), bench.lanes[0].status.value) == before
    assert bench.stop_button.disabled
    assert not bench.continue_button.disabled


def test_a_double_click_and_another_model_never_mix_texts():
    gate = threading.Semaphore(0)
    bench = make(slow=Fake("b", gate), fast=Fake("c"))
    bench.generate_button.click()
    gate.release(1)
    wait_until(lambda: len(bench.lanes[0].path.ids) == 1)
    bench.lanes[0].picker.value = "fast"
    assert "slow wrote this; fast writes" in bench.lanes[0].status.value
    gate.release(10)
    for _ in range(2):
        bench.generate_button.click()
    settled(bench)
    time.sleep(0.05)
    assert text(bench) == "xccccc"
    assert bench.lanes[0].text.label == "Text by fast"


def test_continue_with_another_model_takes_the_text_as_its_prompt():
    bench = make(A=Fake("a"), B=Fake("b"))
    generate(bench)
    bench.lanes[0].picker.value = "B"
    bench.continue_button.click()
    wait_until(lambda: text(bench) == "xaaaaabbbbb")
    assert bench.lanes[0].text.prompt == "xaaaaa"


def test_fifty_clicks_leave_one_clean_text():
    bench = make(A=Fake("a"), B=Fake("b"))
    for click in range(50):
        bench.lanes[0].picker.value = "AB"[click % 2]
        bench.generate_button.click()
    settled(bench)
    assert text(bench) == "xbbbbb"
    wait_until(lambda: threading.active_count() < 10)


def test_what_cannot_be_read_is_said_without_a_traceback():
    bench = make(prompt="?")
    bench.generate_button.click()
    settled(bench, "&#x27;?&#x27; at position 0 is not &lt;known&gt;")
    bench.prompt.value = ""
    bench.generate_button.click()
    settled(bench, "the prompt is empty")
    bench.prompt.value = "x"
    generate(bench)
    assert text(bench) == "xaaaaa"


def test_a_writer_that_fails_keeps_its_text():
    bench = make(A=Fake(fail_at=3))
    generate(bench, "RuntimeError: out of &lt;ink&gt;")
    assert text(bench) == "xaaa"
    assert not bench.continue_button.disabled


def test_moving_a_slider_reshapes_without_a_forward_pass():
    writer = Fake()
    bench = make(A=writer)
    generate(bench)
    lane = bench.lanes[0]
    lane.text.selected = 2
    forwards = writer.forwards
    assert lane.chances.title == "Token 3, after “xaa”: “a” was written"
    assert lane.chances.u == writer.luck(1, 2)
    widths = {row["id"]: row["after"] for row in lane.chances.rows}
    lane.controls.set({"top_k": 1})
    assert writer.forwards == forwards
    cut = {row["id"]: row["after"] for row in lane.chances.rows}
    assert cut[3] == 1.0 != widths[3]
    assert cut[0] == 0.0 != widths[0]
    lane.text.selected = -1
    assert "Select a token" in lane.chances.sentence


def test_a_slider_moved_before_the_first_text_shows_what_follows_the_prompt():
    bench = make()
    bench.lanes[0].controls.set({"top_k": 2})
    assert bench.lanes[0].chances.title == "Token 1, after “x”: the next one"


def pick(lane, id):
    lane.chances.receive(None, {"type": "pick", "id": id}, [])


def test_another_token_branches_the_text_and_the_tree_keeps_both():
    bench = make()
    generate(bench)
    lane = bench.lanes[0]
    lane.text.selected = 2
    pick(lane, 3)
    settled(bench)
    wait_until(lambda: text(bench) == "xaadaa")
    wait_until(lambda: not lane.text.writing)
    assert lane.text.forks == [2]
    assert lane.path.chances[2] == pytest.approx(0.4)
    boxes = [(box["label"], box["parent"], box["note"]) for box in lane.tree.boxes]
    # 2 ln 0.25; then 3 more; or ln 0.4 and 2 more
    assert boxes == [("xaa", -1, "-2.8"), ("aaa", 0, "-6.9"), ("daa", 0, "-6.5")]
    assert lane.tree.selected == 2
    lane.walk_to(1)
    assert text(bench) == "xaaaaa"
    assert lane.tree.selected == 1
    lane.walk_to(0)  # both texts run through it: the present one stays
    assert text(bench) == "xaaaaa"
    lane.text.selected = 2
    pick(lane, 0)  # what stands there already
    assert len(lane.paths) == 2
    generate(bench)
    assert len(lane.paths) == 1
    assert lane.tree.boxes == []


def test_a_model_that_cannot_be_asked_is_said_in_the_status_line():
    class Dumb(Fake):
        def logits(self, ids):
            raise RuntimeError("no <voice>")

    bench = make(A=Dumb())
    generate(bench, "RuntimeError: no &lt;voice&gt;")
    assert text(bench) == "xaaaaa"


def test_one_can_write_by_hand():
    bench = make()
    lane = bench.lanes[0]
    lane.controls.set({"top_k": 3})
    for id in (1, 2, 3):
        pick(lane, id)
        wait_until(lambda: not lane.text.writing)
    assert text(bench) == "xbcd"
    assert lane.text.selected == 3
    assert '"picked by hand": [0, 1, 2]' in lane.text.record
    assert len(lane.paths) == 1


def test_a_branch_while_writing_does_not_mix():
    gate = threading.Semaphore(0)
    bench = make(A=Fake("a", gate))
    lane = bench.lanes[0]
    bench.generate_button.click()
    gate.release(3)
    wait_until(lambda: len(lane.path.ids) == 3)
    gate.release(100)
    lane.text.selected = 0
    pick(lane, 2)
    settled(bench)
    wait_until(lambda: not lane.text.writing)
    assert text(bench).startswith("xc")
    assert set(text(bench)[2:]) <= {"a"}


def test_two_lanes_write_side_by_side_with_the_same_luck():
    first, second = Fake("a"), Fake("b")
    bench = make(A=first, B=second)
    bench.compare.value = True
    assert len(bench.columns.children) == 2
    bench.lanes[1].controls.set({"temperature": 0.2})
    bench.generate_button.click()
    settled(bench)
    settled(bench, lane=1)
    assert (text(bench), text(bench, 1)) == ("xaaaaa", "xbbbbb")
    assert first.asked[-1][:4] == second.asked[-1][:4]
    assert second.asked[-1][5]["temperature"] == 0.2
    bench.compare.value = False
    bench.seed.value = 2
    generate(bench)
    assert len(second.asked) == 1


def test_one_lane_that_cannot_read_does_not_stop_the_other():
    class Deaf(Fake):
        def encode(self, text):
            raise ValueError("deaf")

    bench = make(A=Fake("a"), B=Deaf())
    bench.compare.value = True
    generate(bench)
    assert bench.lanes[1].status.value == "deaf"
    assert text(bench) == "xaaaaa"


def test_the_record_holds_all_that_is_needed_to_write_it_again():
    bench = make(**{"My model/2": Fake()})
    bench.seed.value = 4
    bench.lanes[0].controls.set({"top_p": 0.5})
    generate(bench)
    wait_until(lambda: bench.lanes[0].text.record)
    head, written = bench.lanes[0].text.record.split("\n\n", 1)
    asked = json.loads(head)
    assert asked["settings"]["top_p"] == 0.5
    assert (asked["model"], asked["seed"], asked["prompt"]) == ("My model/2", 4, "x")
    assert written == "xaaaaa\n"
    assert bench.lanes[0].text.filename == "My-model-2-seed-4.txt"


def test_its_twin_says_what_it_is_and_shows_a_picture():
    picture = views.bars(["a"], [1], "Chances")
    bench = Workbench({"A": Fake()}, "x", sample="yz <", picture=picture)
    assert "A sample: xyz <" in repr(bench)
    assert "Chances. Bars: a 1." in repr(bench)
    page = bench._repr_mimebundle_()["text/html"]
    assert "yz &lt;" in page
    assert picture.html in page


# The tree of texts


def test_texts_become_a_tree_that_forks_where_they_do():
    paths = [Path([0, 0, 1], [0.5] * 3), Path([0, 0, 2, 3], [0.5] * 4), Path([1], [1])]
    nodes, shared = branches(paths, TOKENS, "x")
    assert [(node.label, node.parent, node.note) for node in nodes] == [
        ("x", -1, "0.0"),
        ("aa", 0, "-1.4"),
        ("b", 1, "-2.1"),
        ("cd", 1, "-2.8"),
        ("b", 0, "0.0"),
    ]
    assert shared == [[0, 1, 2], [0, 1], [0], [1], [2]]


def test_a_text_that_begins_another_ends_at_an_inner_node():
    nodes, shared = branches([Path([0]), Path([0, 1])], TOKENS, "")
    assert [node.label for node in nodes] == ["a", "b"]
    assert shared == [[0, 1], [1]]


def test_the_record_says_from_which_token_on_other_settings_were_used():
    bench = make()
    bench.generate()
    settled(bench)
    lane = bench.lanes[0]
    lane.controls.set({"temperature": 0.5})
    bench.resume()
    wait_until(lambda: len(lane.path.ids) == 10)
    settled(bench)
    told = json.loads(lane.text.record.split("\n\n", 1)[0])
    assert told["settings"]["temperature"] == 0.5
    used = told["settings from token"]
    assert {at: each["temperature"] for at, each in used.items()} == {"1": 1, "6": 0.5}
    bench.resume()  # with the same ones: nothing to tell
    wait_until(lambda: len(lane.path.ids) == 15)
    settled(bench)
    again = json.loads(lane.text.record.split("\n\n", 1)[0])
    assert again["settings from token"] == used
