"""The one session under every face: continuing, branches, stops, any tokenizer."""

import subprocess
import sys
import threading
from itertools import islice

import pytest

from gpt_lib.generation import stream_text
from gpt_lib.playground.branches import Branch, merge_branches
from gpt_lib.playground.session import GeneratedText, GenerationOptions, Session
from gpt_lib.playground.settings import (
    NEUTRAL,
    PRESETS,
    SAMPLING_SETTINGS,
    parse_settings,
)
from tests.byte_tokenizer import ByteTokenizer
from tests.playground.fakes import (
    ByteTextGenerator,
    FakeTextGenerator,
    random_bigram,
)


def session_of(*models, length=20, **generators):
    generators = generators or {"A": random_bigram(1), "B": random_bigram(2)}
    loaders = {name: lambda each=each: each for name, each in generators.items()}
    return Session(loaders, GenerationOptions(models or ("A",), length=length))


def make_steps(run, count=None):
    """Make the steps of a run, or the first of them."""
    steps = run.write_in_steps()
    for _ in islice(steps, count):
        pass
    return run


def expected(prompt, length, generator=None, **options):
    generator = generator or random_bigram(1)
    return prompt + "".join(stream_text(generator, prompt, length, **options))


# Continue


@pytest.mark.parametrize("count", [0, 1, 2, 7, 19])
def test_a_text_that_was_stopped_goes_on_as_if_it_had_not(count):
    session = session_of("A", "B", length=60)
    run = session.begin("ab")
    steps = run.write_in_steps()
    while sum(len(text.branch.ids) for text in session.texts) < 2 * count:
        next(steps)
    session.request_stop()
    assert not list(steps)
    assert run.state == "stopped"
    assert all(len(text.branch.ids) <= count + 1 for text in session.texts)
    rest = 60 - count
    make_steps(session.begin(None if session.texts else "ab", rest))
    for text, seed in zip(session.texts, (1, 2), strict=True):
        assert text.text == expected("ab", 60, random_bigram(seed))[: len(text.text)]
        assert len(text.branch.ids) == 60


def test_a_stop_text_is_found_across_a_pause_and_only_once_in_a_run():
    class Abab(FakeTextGenerator):
        """Writes a and b by turns."""

        def generate(self, ids, length, seed, skip, **settings):
            for number in range(skip, skip + length):
                yield number % 2, 0.5, "ab"[number % 2]

    session = session_of(A=Abab())
    session.change_options(stop="ba")
    make_steps(session.begin("x", length=2))
    assert session.texts[0].text == "xab"
    make_steps(session.begin())
    assert session.texts[0].text == "xaba"  # the b was written before the pause
    make_steps(session.begin())
    assert session.texts[0].text == "xababa"  # not the "ba" of before
    session.change_options(stop="")
    make_steps(session.begin("x"))
    assert session.texts[0].text == "x" + "ab" * 10


def test_a_run_that_was_replaced_writes_no_more():
    session = session_of()
    old = session.begin("ab")
    steps = old.write_in_steps()
    for _ in range(8):
        next(steps)
    text = session.texts[0]
    before = text.text
    make_steps(session.begin("c"))
    assert not list(steps)
    assert text.text == before
    assert (old.state, session.run.state) == ("stopped", "done")
    assert session.texts[0].text == expected("c", 20)


def test_a_model_that_joins_late_catches_up_and_another_one_takes_the_text_over():
    session = session_of()
    make_steps(session.begin("ab"))
    session.change_options(models=("A", "B"))
    make_steps(session.begin(length=5))
    first, second = session.texts
    assert first.text == expected("ab", 25)
    assert second.text == expected("ab", 25, random_bigram(2))
    session.change_options(models=("B",))
    make_steps(session.begin(length=5))
    assert session.texts[0].text == expected(first.text, 5, random_bigram(2))
    assert session.texts[0].prompt == first.text


def test_one_text_that_fails_does_not_stop_the_other_and_both_are_reported():
    session = session_of("A", "B", A=FakeTextGenerator("a", fail_at=2),
                         B=FakeTextGenerator("b"))  # fmt: skip
    run = make_steps(session.begin("x", 5))
    assert [text.text for text in session.texts] == ["xaa", "xbbbbb"]
    assert run.error == "RuntimeError: out of <ink>"
    assert run.state == "failed"
    assert run.ending_summary(0) == "RuntimeError: out of <ink>, 1.39 nats a token"
    assert run.ending_summary(1).startswith("done: 5 tokens, ")


def test_what_cannot_be_read_leaves_the_texts_as_they_are():
    session = session_of()
    make_steps(session.begin("ab"))
    before = session.texts
    run = make_steps(session.begin("a%"))
    assert "A cannot read this: '%' at position 1" in run.error
    assert session.texts == before
    with pytest.raises(ValueError, match="length=0; it must be a whole number from 1"):
        session.change_options(length=0)
    assert session.plan.length == 20


def test_many_threads_press_at_once_and_one_clean_text_is_left():
    session = session_of(length=40)
    prompts = ["ab", "c", "d:", "efg"]

    def press(number):
        for turn in range(10):
            make_steps(session.begin(prompts[(number + turn) % 4]))

    threads = [threading.Thread(target=press, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = session.texts[0]
    assert text.text == expected(text.prompt, 40)[: len(text.text)]
    make_steps(session.begin("h"))
    assert session.texts[0].text == expected("h", 40)


# Branches


def test_another_token_makes_a_branch_that_goes_on_with_its_own_random_numbers():
    session = session_of()
    make_steps(session.begin("ab"))
    text, whole = session.texts[0], session.texts[0].text
    other = (text.branch.ids[5] + 1) % 11
    assert text.pick(5, text.branch.ids[5]) is None  # it stands there already
    assert text.pick(21, 0) is None
    assert text.pick(5, other) == 14
    session.change_options(settings=({"temperature": 0.5},))
    make_steps(session.begin(length=14))
    again = GeneratedText("A", random_bigram(1), text.text[:8], text.seed)
    tokens = again.text_generator.generate(
        again.prompt_ids, 14, seed=1, skip=6, temperature=0.5
    )
    assert text.branch.ids[6:] == [token.id for token in tokens]
    assert [len(branch.ids) for branch in text.branches] == [20, 20]
    assert text.record()["picked by hand"] == [5]
    assert text.record()["settings from token"] == {1: {}, 7: {"temperature": 0.5}}
    text.select_branch(0)
    assert text.text == whole
    make_steps(session.begin(length=10))
    assert text.text[:-10] == whole


def branch_of(ids, probabilities):
    return Branch(ids, probabilities, ["abcd"[id] for id in ids])


def test_branches_become_a_tree_that_forks_where_they_do():
    branches = [
        branch_of([0, 0, 1], [0.5] * 3),
        branch_of([0, 0, 2, 3], [0.5] * 4),
        branch_of([1], [1]),
    ]
    nodes = merge_branches(branches, "abcd", "x")
    assert [(n.text, n.parent, f"{n.log_probability:.1f}") for n in nodes] == [
        ("x", -1, "0.0"),
        ("aa", 0, "-1.4"),
        ("b", 1, "-2.1"),
        ("cd", 1, "-2.8"),
        ("b", 0, "0.0"),
    ]
    assert [node.branches for node in nodes] == [[0, 1, 2], [0, 1], [0], [1], [2]]


def test_a_branch_that_begins_another_ends_at_an_inner_node():
    branches = [branch_of([0], [0.5]), branch_of([0, 1], [0.5, 0.5])]
    nodes = merge_branches(branches, "abcd", "")
    assert [node.text for node in nodes] == ["a", "b"]
    assert [node.branches for node in nodes] == [[0, 1], [1]]


# Any tokenizer


def test_no_half_character_is_ever_shown_and_a_pause_may_cut_one():
    session = session_of(A=ByteTextGenerator("é😀ü"))
    texts = set()
    for _ in range(8):
        make_steps(session.begin("naïf " if not session.texts else None, 1))
        texts.add(session.texts[0].text)
    assert texts == {"naïf ", "naïf é", "naïf é😀", "naïf é😀ü"}
    assert session.texts[0].branch.pieces == ["", "é", "", "", "", "😀", "", "ü"]


def test_a_token_picked_within_a_character_makes_another_one():
    session = session_of(A=ByteTextGenerator("aéb"))
    make_steps(session.begin("x"))
    text = session.texts[0]
    assert text.text == "xaéb"
    assert text.pick(2, "è".encode()[1]) == 1
    assert text.text == "xaè"
    make_steps(session.begin(length=1))
    assert text.text == "xaèb"
    nodes = merge_branches(text.branches, text.text_generator.labels, text.prompt)
    assert [node.text for node in nodes] == ["xa", "éb", "èb"]
    text.pick(1, 0xE2)  # the first of three bytes: no character yet
    nodes = merge_branches(text.branches, text.text_generator.labels, text.prompt)
    assert [node.text for node in nodes] == ["xa", "<C3>", "éb", "èb", "<E2>"]


def test_a_stop_text_may_take_several_tokens_a_character():
    session = session_of(A=ByteTextGenerator("aé😀éé😀b"))
    session.change_options(stop="é😀")
    make_steps(session.begin("x"))
    assert session.texts[0].text == "xaé😀"
    make_steps(session.begin())
    assert session.texts[0].text == "xaé😀éé😀"


def test_a_real_model_of_bytes_writes_and_goes_on():
    generator = random_bigram(3, ByteTokenizer())
    session = session_of(A=generator)
    for _ in range(3):
        make_steps(session.begin("é" if not session.texts else None))
    ids = [token.id for token in generator.generate(generator.encode("é"), 60)]
    assert session.texts[0].branch.ids == ids
    whole = bytes(ids).decode(errors="replace")
    written = session.texts[0].text.removeprefix("é")
    assert whole.removesuffix("\ufffd").startswith(written.removesuffix("\ufffd"))


# Settings


def test_a_preset_sets_all_and_a_name_may_be_written_in_any_case():
    for name, values in PRESETS.items():
        parsed = parse_settings(name.upper(), {"top_k": 3})
        assert {**NEUTRAL, **parsed} == values
    assert parse_settings("Top-K=5 seed 3", {}) == {"top_k": 5, "seed": 3}
    assert [setting.key for setting in SAMPLING_SETTINGS] == list(NEUTRAL)


# No face


@pytest.mark.parametrize("module", ["session", "settings", "branches", "messages"])
def test_it_imports_no_face_and_nothing_heavy(module):
    program = f"import sys, gpt_lib.playground.{module}; print(*sys.modules)"
    names = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    heavy = {"torch", "numpy", "textual", "matplotlib", "ipywidgets", "gpt_lib.views"}
    assert not heavy & set(names)
