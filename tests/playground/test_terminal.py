"""The terminal playground: in Textual's harness, through pipes, in a real terminal."""

import asyncio
import fcntl
import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import deque

import pytest
from textual import events

from gpt_lib.course.export import ROOT
from gpt_lib.generation import stream_text
from gpt_lib.playground.session import GenerationOptions, Session
from gpt_lib.playground.terminal import chat
from gpt_lib.playground.terminal.commands import answer_line, suggested_lines
from gpt_lib.playground.terminal.tui import ChatApp
from gpt_lib.playground.terminal.widgets import SideBySideView, TextView
from tests.playground.fakes import GatedTextGenerator, random_bigram


def session_of(model="A", seed=1, length=20, **generators):
    generators = generators or {"A": random_bigram(1), "B": random_bigram(2)}
    loaders = {name: lambda each=each: each for name, each in generators.items()}
    return Session(loaders, GenerationOptions((model,), seed, length))


def say(session, line):
    """The reply to a line, once all steps of its run are made."""
    reply = answer_line(session, line)
    if reply.run:
        deque(reply.run.write_in_steps(), maxlen=0)
    return reply


def text(session, index=0):
    return session.texts[index].text


def settings_of(session):
    return session.plan.settings_of(0)


def expected(prompt, length, generator=None, **options):
    generator = generator or random_bigram(1)
    return prompt + "".join(stream_text(generator, prompt, length, **options))


# What a line does


def test_a_prompt_is_followed_by_what_the_model_writes():
    session = session_of(seed=3)
    say(session, "ab")
    assert text(session) == expected("ab", 20, seed=3)
    assert session.status().startswith("done · A · neutral · seed 3 · ")
    assert " tokens/s · " in session.status()
    assert session.status().endswith(" nats a token")


def test_an_empty_line_goes_on_as_if_it_had_never_stopped():
    session = session_of()
    say(session, "ab")
    for line in ("", "  "):
        say(session, line)
    assert text(session) == expected("ab", 60)


def test_an_empty_line_with_nothing_to_go_on_from_begins_a_new_line():
    session = session_of()
    say(session, "")
    assert text(session) == expected("\n", 20)


@pytest.mark.parametrize(("typed", "prompt"), [
    (r"a:\n", "a:\n"), (r"\na\n\n", "\na\n\n"), ("a b ", "a b "), (" quit", None),
    (r"\/a", "/a"), (r"\\n", "\\n"), ("quit it", "quit it"), ("a\\", "a\\"),
])  # fmt: skip
def test_a_prompt_is_taken_as_typed_but_for_backslashes(typed, prompt):
    reply = answer_line(session_of(), typed)
    assert reply.leave == (prompt is None)
    assert prompt is None or reply.run.prompt == prompt


@pytest.mark.parametrize("line", ["quit", "exit", "/quit", "/QUIT", "quit "])
def test_words_that_leave(line):
    assert answer_line(session_of(), line).leave


def test_an_unknown_character_is_an_error_and_the_text_stays():
    session = session_of()
    say(session, "ab")
    texts, before = session.texts, text(session)
    run = say(session, "a%").run
    assert "A cannot read this: '%' at position 1 is not among" in run.error
    assert (session.texts, text(session)) == (texts, before)
    assert session.status().startswith("failed")
    say(session, "")
    assert text(session) == expected("ab", 40)


def test_settings_are_set_one_by_one_together_and_by_preset():
    session = session_of()
    message = say(session, "/set temperature 0.7").message
    assert message.startswith("temperature 0.7, length 20, seed 1, from")
    say(session, "/set top-p=0.9  min_p = 0.05")
    assert settings_of(session) == {"temperature": 0.7, "top_p": 0.9, "min_p": 0.05}
    say(session, "/set Greedy")
    assert settings_of(session) == {"temperature": 0}
    say(session, "/set careful top_k 3")
    assert settings_of(session) == {"temperature": 0.7, "top_p": 0.9, "top_k": 3}
    say(session, "ab")
    options = {"temperature": 0.7, "top_p": 0.9, "top_k": 3}
    assert text(session) == expected("ab", 20, **options)
    say(session, "/set neutral")
    assert settings_of(session) == {}
    listing = say(session, "/set").message
    assert "temperature 1" in listing
    assert "0.01 to 1.0. Keeps" in listing
    assert "length 20 " in listing
    assert "greedy" in listing


@pytest.mark.parametrize(("line", "complaint"), [
    ("/set temprature 1", "did you mean temperature?"),
    ("/set temp 1", "did you mean temperature?"),
    ("/set top_p", "top_p needs a value: 0.01 to 1.0"),
    ("/set temperature 3", "temperature=3.0; it must be a number from 0 to 2"),
    ("/set temperature warm", "temperature is 'warm'; it must be a number, 0.0 to 2.0"),
    ("/set temperature nan", "must be a number from 0 to 2"),
    ("/set top_k 2.5", "top_k=2.5; it must be a whole number"),
    ("/set top_k inf", "must be a whole number"),
    ("/set min_p 0.1 top_p 7", "top_p=7.0"),
    ("/set length 0", "length=0.0; it must be a whole number from 1 to 10000"),
    ("/set length much", "length is 'much'; it must be a number, 1 to 10,000"),
    ("/set seed -1", "it must be a whole number from 0"),
    ("/model C", "'C' is no model; known: A, B"),
    ("/compare A", "'A' is no model to compare with; known: B, off"),
    ("/modle B", "'/modle' is no command; did you mean /model?"),
    ("/", "'/' is no command"),
    ("/again", "there is no text yet"),
    ("/save a.txt", "there is no text yet"),
])  # fmt: skip
def test_a_wrong_command_is_an_error_and_changes_nothing(line, complaint):
    session = session_of()
    before = session.status()
    with pytest.raises(ValueError, match=r" (is|no|not|needs|must) ") as caught:
        answer_line(session, line)
    assert complaint in str(caught.value)
    assert session.status() == before


def test_length_seed_and_again():
    session = session_of()
    say(session, "/set length 5 seed 7")
    say(session, "ab")
    assert text(session) == expected("ab", 5, seed=7)
    say(session, "/again")
    assert text(session) == expected("ab", 5, seed=8)
    say(session, "/set greedy seed=3")
    say(session, "/set neutral")  # leaves length and seed
    say(session, "/again")
    assert text(session) == expected("ab", 5, seed=3)


def test_another_model_takes_the_text_as_its_prompt():
    session = session_of()
    say(session, "ab")
    assert say(session, "/model").message.split() == ["A", "writes", "B"]
    message = say(session, "/model b").message
    assert message == "B writes from the next prompt or Enter on"
    say(session, "")
    first = expected("ab", 20)
    assert text(session) == expected(first, 20, random_bigram(2))


def test_two_models_have_the_same_prompt_and_the_same_random_numbers():
    session = session_of(seed=5)
    say(session, "/compare B")
    say(session, "ab")
    for _ in range(2):
        say(session, "")
    assert text(session, 0) == expected("ab", 60, seed=5)
    assert text(session, 1) == expected("ab", 60, random_bigram(2), seed=5)
    say(session, "/compare off")
    say(session, "ab")
    assert len(session.texts) == 1


def test_a_second_model_catches_up_with_the_text_that_stands():
    session = session_of()
    say(session, "ab")
    say(session, "/compare B")
    assert text(session, 0) == expected("ab", 20)
    assert text(session, 1) == expected("ab", 20, random_bigram(2))
    say(session, "")
    assert text(session, 0) == expected("ab", 40)
    assert text(session, 1) == expected("ab", 40, random_bigram(2))
    with pytest.raises(ValueError, match="B already writes beside"):
        answer_line(session, "/model B")


def test_each_text_generator_is_loaded_once_and_a_failure_is_an_error():
    loaded = []

    def load():
        loaded.append(1)
        return random_bigram()

    def fail():
        raise FileNotFoundError("weights.safetensors is not there")

    session = Session({"A": load, "B": fail}, GenerationOptions(("A",)))
    for line in ("a", "", "b"):
        say(session, line)
    assert loaded == [1]
    say(session, "/model B")
    assert say(session, "a").run.error == "weights.safetensors is not there"
    assert text(session).startswith("b")


def test_save_keeps_the_text_and_never_overwrites(tmp_path):
    session = session_of(seed=4)
    say(session, "/set top_k 2")
    say(session, r"a\n")
    file = tmp_path / "text.txt"
    assert str(file) in say(session, f"/save {file}").message
    saved = file.read_text("utf-8")
    assert saved == f"A · top_k 2 · seed 4\n\n{text(session)}\n"
    say(session, "b")
    for name in (str(file), str(tmp_path), str(tmp_path / "no" / "x"), ""):
        with pytest.raises(ValueError, match="cannot write"):
            answer_line(session, f"/save {name}")
    assert file.read_text("utf-8") == saved


def test_completions_are_all_that_a_command_takes():
    lines = suggested_lines(session_of())
    for line in ("/model", "/model B", "/compare A", "/set seed", "/set greedy"):
        assert line in lines


def test_what_chat_cannot_begin_with():
    for options in ({"model": "C"}, {"model": "A", "seed": -1},
                    {"model": "A", "length": 0}):  # fmt: skip
        with pytest.raises(ValueError, match=r"C|seed|length"):
            chat({"A": random_bigram}, **options)


@pytest.mark.parametrize("width", [36, 80])
def test_the_listing_fits_the_terminal(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    for line in ("/help", "/set", "/model"):
        lines = say(session_of(), line).message.split("\n")
        assert max(map(len, lines)) <= width - 4


# In Textual's own harness


def drive(test, session, size=(80, 24)):
    """Run an async test of the app in a screen of a size; it has to close by itself."""

    async def inside():
        app = ChatApp(session)
        async with app.run_test(size=size) as pilot:
            await test(app, pilot)
        app.join_worker()
        assert not app.worker.is_alive()

    asyncio.run(inside())


async def until(pilot, condition):
    for _ in range(300):
        if condition():
            await pilot.pause()
            return
        await pilot.pause(0.02)
    raise AssertionError("it never came to that: " + on_screen(pilot.app))


async def enter(pilot, line):
    pilot.app.input_line.value = line
    await pilot.press("enter")


def on_screen(app):
    """All characters of the screen."""
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in lines)


def message(app):
    return str(app.message_line.render())


def status(app):
    return str(app.status.render())


def screen_text(app, index=0):
    """The text as it stands on the screen, once there is one."""
    return str(app.page.views[index].body.render()) if app.page else ""


def test_type_and_the_text_streams_then_enter_goes_on():
    async def test(app, pilot):
        assert "Type a prompt" in on_screen(app)
        await pilot.press("enter")  # with nothing to go on from
        await until(pilot, lambda: screen_text(app) == expected("\n", 20))
        await pilot.press("a", "b", "enter")
        await until(pilot, lambda: screen_text(app) == expected("ab", 20))
        await pilot.press("enter")
        await until(pilot, lambda: screen_text(app) == expected("ab", 40))
        assert status(app).startswith("done")
        assert len(app.query(SideBySideView)) == 2
        await enter(pilot, "c")
        await until(pilot, lambda: screen_text(app) == expected("c", 20))
        assert len(app.query(SideBySideView)) == 3

    drive(test, session_of())


def test_stop_while_it_writes_and_go_on():
    slow = GatedTextGenerator()

    async def test(app, pilot):
        await enter(pilot, "x")
        for key, before in (("escape", "x"), ("ctrl+c", "xaaaa")):
            slow.gate.release(3)
            await until(pilot, lambda start=before: screen_text(app) == start + "aaa")
            assert status(app).startswith("writing")
            await pilot.press("enter")
            assert "still writing" in message(app)
            await pilot.press(key)
            assert status(app).startswith("stopping")
            slow.gate.release(1)  # the token in the making
            await until(pilot, lambda: status(app).startswith("stopped"))
            text = screen_text(app)
            assert text == before + "aaaa"
            slow.gate.release(1)
            await pilot.pause(0.15)
            assert screen_text(app) == text
            slow.gate.acquire()
            await pilot.press("enter")
            await until(pilot, lambda: status(app).startswith("writing"))
        slow.gate.release(20)
        await until(pilot, lambda: status(app).startswith("done"))
        assert slow.requests[-1] == (len(text), 20, len(text) - 1)
        assert screen_text(app) == text + "a" * 20

    drive(test, session_of("S", S=slow))


def test_a_new_prompt_while_it_writes_does_not_mix():
    slow, quick = GatedTextGenerator("a"), GatedTextGenerator("b")
    quick.gate.release(100)

    async def test(app, pilot):
        await enter(pilot, "x")
        slow.gate.release(2)
        await until(pilot, lambda: screen_text(app) == "xaa")
        slow_run = app.session.run
        await enter(pilot, "/model Q")
        for _ in range(5):
            await enter(pilot, "y")
        assert slow_run.stop.is_set()
        slow.gate.release(1)  # the token in the making: no more are needed
        await until(pilot, lambda: status(app).startswith("done"))
        assert screen_text(app) == "y" + "b" * 20
        first = app.query(SideBySideView).first().texts[0]
        assert set(first.text) == {"x", "a"}

    drive(test, session_of("S", S=slow, Q=quick))


def test_going_on_before_the_last_token_is_there_writes_each_place_once():
    slow = GatedTextGenerator()

    async def test(app, pilot):
        await enter(pilot, "x")
        slow.gate.release(2)
        await until(pilot, lambda: screen_text(app) == "xaa")
        await pilot.press("escape", "enter")
        await pilot.pause(0.1)
        assert len(slow.requests) == 1  # the first run still waits for its token
        slow.gate.release(30)
        await until(pilot, lambda: status(app).startswith("done"))
        ids, _, skip = slow.requests[1]
        assert (ids, skip) == (4, 3)
        assert screen_text(app) == "x" + "a" * 23

    drive(test, session_of("S", S=slow))


@pytest.mark.slow
def test_many_lines_pasted_at_once_are_one_prompt_that_is_answered():
    text = "ab\n" * 33_000  # 99 kB

    async def test(app, pilot):
        app.input_line.post_message(events.Paste(text))
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: status(app).startswith("done"))
        assert app.session.texts[0].prompt == text

    drive(test, session_of())


def test_commands_and_their_errors_are_answered_above_the_line():
    async def test(app, pilot):
        await enter(pilot, "/set temperature=0.7 top_p=0.9")
        assert "temperature 0.7, top_p 0.9" in status(app)
        await enter(pilot, "/set temprature 1")
        assert "did you mean temperature?" in on_screen(app)
        assert app.message_line.has_class("error")
        await enter(pilot, "/help")
        assert "/compare" in message(app)
        assert app.input_line.value == ""

    drive(test, session_of())


def test_unknown_characters_are_an_error_and_the_text_stays():
    async def test(app, pilot):
        await enter(pilot, "ab")
        await until(pilot, lambda: status(app).startswith("done"))
        before = screen_text(app)
        await enter(pilot, "a[b]%")
        await until(pilot, lambda: "'[' at position 1" in message(app))
        await until(pilot, lambda: status(app).startswith("failed"))
        assert screen_text(app) == before
        assert len(app.query(SideBySideView)) == 1

    drive(test, session_of())


def test_a_text_generator_that_fails_keeps_its_text():
    slow = GatedTextGenerator(fail_at=3)
    slow.gate.release(9)

    async def test(app, pilot):
        await enter(pilot, "x")
        await until(pilot, lambda: "RuntimeError: out of ink" in message(app))
        await until(pilot, lambda: status(app).startswith("failed"))
        assert screen_text(app) == "xaaa"

    drive(test, session_of("S", S=slow))


def test_two_models_stand_beside_or_below_one_another():
    async def test(app, pilot):
        await enter(pilot, "ab")
        await until(pilot, lambda: status(app).startswith("done"))
        await enter(pilot, "/compare B")
        await until(pilot, lambda: status(app).startswith("done · A | B · neutral"))
        assert screen_text(app, 0) == expected("ab", 20)
        assert screen_text(app, 1) == expected("ab", 20, random_bigram(2))
        assert len(app.query(SideBySideView)) == 1
        first, second = (view.region for view in app.query(TextView))
        assert first.y == second.y
        assert first.right <= second.x
        await pilot.resize_terminal(40, 24)
        await pilot.pause()
        first, second = (view.region for view in app.query(TextView))
        assert first.x == second.x
        assert first.bottom <= second.y

    drive(test, session_of())


def test_ctrl_c_says_how_to_quit_and_the_second_one_does():
    async def test(app, pilot):
        await pilot.press("ctrl+c")
        assert "Ctrl-C again quits" in on_screen(app)
        app.interrupts.latest -= 3  # too long ago
        await pilot.press("ctrl+c")
        assert app.is_running
        await pilot.press("ctrl+c")
        await until(pilot, lambda: not app.is_running)
        assert app.return_code == 0

    drive(test, session_of())


def test_ctrl_d_deletes_a_letter_and_on_an_empty_line_leaves():
    async def test(app, pilot):
        await pilot.press("a", "b", "home", "ctrl+d")
        assert app.input_line.value == "b"
        await pilot.press("end", "ctrl+d")
        assert app.is_running
        await pilot.press("backspace", "ctrl+d")
        await until(pilot, lambda: not app.is_running)

    drive(test, session_of())


def test_quit_while_it_writes_ends_the_thread():
    slow = GatedTextGenerator()

    async def test(app, pilot):
        await enter(pilot, "x")
        slow.gate.release(2)
        await until(pilot, lambda: screen_text(app) == "xaa")
        await enter(pilot, "quit")
        slow.gate.release(1)
        await until(pilot, lambda: not app.is_running)

    session = session_of("S", S=slow)
    drive(test, session)
    assert session.run.state == "stopped"


def test_a_narrow_terminal_and_a_resize_while_it_writes():
    slow = GatedTextGenerator()

    async def test(app, pilot):
        await enter(pilot, "x")
        slow.gate.release(200)
        await until(pilot, lambda: screen_text(app).count("a") == 200)
        for size in ((100, 30), (40, 10), (20, 5)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert app.input_line.region.bottom == size[1]
            assert app.input_line.region.width >= size[0] - 6
            assert "aaaa" in on_screen(app)
        await pilot.resize_terminal(40, 10)
        slow.gate.release(100)
        await until(pilot, lambda: status(app).startswith("done"))
        assert "a" * 37 in on_screen(app)
        assert "nats" in on_screen(app).replace("\n", "")

    drive(test, session_of("S", length=300, S=slow))


def test_it_says_that_it_loads_and_takes_lines_meanwhile():
    go = threading.Event()

    def load():
        assert go.wait(5)
        return random_bigram(1)

    async def test(app, pilot):
        await until(pilot, lambda: status(app).startswith("loading A"))
        await enter(pilot, "ab")
        await enter(pilot, "/set greedy")  # of the next text
        assert "temperature 0" in status(app)
        go.set()
        await until(pilot, lambda: status(app).startswith("done"))
        assert screen_text(app) == expected("ab", 20)

    drive(test, Session({"A": load}, GenerationOptions(("A",), length=20)))


def test_stop_while_it_loads_leaves_the_page_as_it_is():
    go = threading.Event()

    def load():
        assert go.wait(5)
        return random_bigram(1)

    async def test(app, pilot):
        await enter(pilot, "ab")
        await pilot.press("escape")
        go.set()
        await until(pilot, lambda: status(app).startswith("stopped"))
        assert len(app.query(SideBySideView)) == 0
        await enter(pilot, "c")
        await until(pilot, lambda: status(app).startswith("done"))
        assert screen_text(app) == expected("c", 20)

    drive(test, Session({"A": load}, GenerationOptions(("A",), length=20)))


def test_a_model_that_cannot_be_loaded_is_an_error():
    def fail():
        raise OSError("the disk is gone")

    async def test(app, pilot):
        await until(pilot, lambda: "OSError: the disk is gone" in message(app))
        assert status(app).startswith("ready")

    drive(test, Session({"A": fail}, GenerationOptions(("A",))))


def test_history_completion_and_a_pasted_text():
    async def test(app, pilot):
        for line in ("ab", "/set seed 3"):
            await enter(pilot, line)
        await pilot.press("c", "up")
        assert app.input_line.value == "/set seed 3"
        await pilot.press("up", "up")
        assert app.input_line.value == "ab"
        await pilot.press("down", "down")
        assert app.input_line.value == "c"
        app.input_line.value = ""
        await pilot.press("slash", "m", "o")
        await until(pilot, lambda: app.input_line._suggestion == "/model")
        await pilot.press("tab")
        assert app.input_line.value == "/model"
        app.input_line.value = ""
        app.input_line.post_message(events.Paste("a:\nb\r\n"))
        await until(pilot, lambda: app.input_line.value == r"a:\nb\n")

    drive(test, session_of())


def test_the_text_can_be_scrolled_and_a_click_keeps_the_line_in_use():
    async def test(app, pilot):
        await enter(pilot, "ab")
        await until(pilot, lambda: status(app).startswith("done"))
        bottom = app.transcript.scroll_y
        assert bottom > 0
        await pilot.press("pageup")
        await until(pilot, lambda: app.transcript.scroll_y < bottom)
        await pilot.click("#transcript", offset=(3, 3))
        await pilot.press("q")
        assert app.input_line.value == "q"

    drive(test, session_of(length=300), (40, 10))


def test_another_model_goes_on_with_the_text_below():
    async def test(app, pilot):
        await enter(pilot, "ab")
        await until(pilot, lambda: status(app).startswith("done"))
        await enter(pilot, "/model B")
        await enter(pilot, "")
        last = expected(expected("ab", 20), 20, random_bigram(2))
        await until(pilot, lambda: app.session.run.is_over and screen_text(app) == last)
        assert status(app).startswith("done · B · neutral · seed 1")
        assert len(app.query(SideBySideView)) == 2

    drive(test, session_of())


# Line by line

# Neither its text generator nor its decoder needs torch: so it starts at once.
PROGRAM = """
import sys, time, types
from gpt_lib.playground.terminal import chat

class Decoder:
    def __init__(self, tokenizer):
        self.feed = tokenizer.__getitem__

sys.modules["gpt_lib.text"] = types.SimpleNamespace(TextDecoder=Decoder)

class Fake:
    labels = tokenizer = "\\nab"

    def encode(self, text):
        if wrong := set(text) - set(self.labels):
            raise ValueError(f"{wrong.pop()!r} is not known")
        return [self.labels.index(letter) for letter in text]

    def generate(self, ids, length, seed=1, skip=0):
        for _ in range(length):
            time.sleep(0.003)
            yield 2, 0.5, "b"

sys.exit(chat({"S": Fake}, "S", length=20))
"""


def environment(**more):
    """Ours, as a terminal has it."""
    return {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **more}


@pytest.fixture
def pipe(monkeypatch, capsys):
    """What a chat without a terminal makes of its input: exit code, output, errors."""

    def run(lines):
        stdin = io.TextIOWrapper(io.BytesIO(lines.encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        loaders = {"A": lambda: random_bigram(1), "B": lambda: random_bigram(2)}
        return chat(loaders, "A", length=20), *capsys.readouterr()

    return run


def test_through_pipes_the_text_alone_goes_to_stdout(pipe):
    code, out, errors = pipe("ab\n\n/set seed 2\n/compare B\nc\n")
    assert code == 0
    other = random_bigram(2)
    first = [expected("ab", 40), expected("ab", 40, other)]  # one in two goes
    last = [expected("c", 20, seed=2), expected("c", 20, other, seed=2)]
    assert out == "\n".join(first + last) + "\n"
    assert "loading A\n" in errors
    assert "seed 2, from the next prompt" in errors
    assert "B · neutral · seed 2:" in errors
    assert "nats a token" in errors


def test_through_pipes_an_error_is_printed_and_the_rest_is_done(pipe):
    code, out, errors = pipe("a%\n/nothing\n/set temperature 9\nab\nquit\nc\n")
    assert code == 1
    assert out == expected("ab", 20) + "\n"
    for words in (
        "A cannot read this: '%' at position 1",
        "'/nothing' is no command",
        "temperature=9.0",
    ):
        assert words in errors


def test_no_input_at_all_is_no_error(pipe):
    assert pipe("") == (0, "", "")


def test_bytes_that_are_no_text_and_a_reader_that_leaves():
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, stdin=-1, stdout=-1, stderr=-1, env=environment()
    ) as process:
        process.stdin.write(b"\xff\n/set length 10000\na\n")
        process.stdin.flush()
        assert process.stdout.read(1) == b"a"
        process.stdout.close()
        assert process.wait(20) == 1
        errors = process.stderr.read().decode()
    assert "S cannot read this" in errors
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


def test_ctrl_c_ends_a_pipe_with_its_text():
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, stdin=-1, stdout=-1, stderr=-1, env=environment()
    ) as process:
        process.stdin.write(b"/set length 10000\na\n")
        process.stdin.flush()
        assert process.stdout.read(2) == b"ab"
        time.sleep(0.05)  # tokens come that were not printed yet
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().endswith(b"b\n")
        assert process.wait(20) == 130
        assert b"Traceback" not in process.stderr.read()


def test_the_module_comes_without_torch():
    program = "import sys, gpt_lib.playground.terminal; print(*sys.modules)"
    known = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert not {"torch", "textual", "matplotlib"} & set(known.split())


# In a real terminal


class Terminal:
    """A program in a pseudo-terminal of 80 x 24."""

    def __init__(self, **more):
        self.outer, self.inner = pty.openpty()
        termios.tcsetwinsize(self.inner, (24, 80))
        self.before = termios.tcgetattr(self.inner)
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=self.inner,
            stdout=self.inner,
            stderr=self.inner,
            env=environment(**more),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.outer)
        os.close(self.inner)

    def type(self, keys):
        os.write(self.outer, keys.encode())

    def wait_for(self, words, seconds=20):
        """Read until the words come; what was seen before them is dropped."""
        until = time.monotonic() + seconds
        while words not in self.seen and time.monotonic() < until:
            if select.select([self.outer], [], [], 0.1)[0]:
                self.seen += os.read(self.outer, 65536).decode(errors="replace")
        assert words in self.seen, self.seen[-3000:]
        before, _, self.seen = self.seen.partition(words)
        return before

    def ended(self):
        """The exit code; the terminal's settings must be those of before."""
        until = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < until:
            if select.select([self.outer], [], [], 0.1)[0]:
                self.seen += os.read(self.outer, 65536).decode(errors="replace")
        while select.select([self.outer], [], [], 0.1)[0]:
            self.seen += os.read(self.outer, 65536).decode(errors="replace")
        assert termios.tcgetattr(self.inner) == self.before
        return self.process.returncode


def test_in_a_real_terminal():
    with Terminal() as terminal:
        terminal.wait_for("\x1b[?1049h")  # the other screen
        drawn = terminal.wait_for("/help")
        assert "38;" in drawn or "48;" in drawn  # colours
        terminal.type("/set length 10000\r")
        terminal.wait_for("length 10000")
        terminal.type("a\r")
        terminal.wait_for("writing")
        terminal.wait_for("bbbbbbbb")
        terminal.type("\x03")
        terminal.wait_for("stopped")
        terminal.type("\x03")
        terminal.wait_for("Ctrl-C again quits")
        terminal.type("quit\r")
        assert terminal.ended() == 0
        assert "\x1b[?1049l" in terminal.seen  # the screen of before
        assert "\x1b[?25h" in terminal.seen  # with its cursor
        assert "Traceback" not in terminal.seen


def test_no_colour_where_none_is_wanted():
    with Terminal(NO_COLOR="1") as terminal:
        drawn = terminal.wait_for("/help")
        assert "38;" not in drawn
        assert "48;" not in drawn
        terminal.type("\x04")
        assert terminal.ended() == 0


def test_a_dumb_terminal_works_line_by_line():
    with Terminal(TERM="dumb") as terminal:
        terminal.wait_for("> ")
        terminal.type("a\r")
        terminal.wait_for("a" + "b" * 20)
        terminal.wait_for("done · S")
        terminal.type("/set length 10000\ra\r")
        terminal.wait_for("bbbbbbbb")
        terminal.type("\x03")
        terminal.wait_for("stopped · S")
        terminal.wait_for("> ")
        terminal.type("\x03")
        terminal.wait_for("Ctrl-C again quits")
        terminal.type("\x04")  # Ctrl-D
        assert terminal.ended() == 0
        assert "\x1b" not in terminal.seen
