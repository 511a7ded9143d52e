"""What people type, paste, pipe and mistype: an answer, or one line that is true."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gpt_lib import runs
from gpt_lib.cli import app
from gpt_lib.cli.train import default_run_name

SMALL = ["--preset", "bigram", "--steps", "2", "--warmup-steps", "0"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")


def call(*words, given=None):
    return CliRunner().invoke(app, [str(word) for word in words], given)


def shell(line, folder, **variables):
    """A line of a shell; $GPT is the command."""
    environment = {**os.environ, "GPT_RUNS": str(folder / "runs"), **variables}
    environment["GPT"] = f"{sys.executable} -m gpt_lib"
    return subprocess.run(
        ["bash", "-c", line], env=environment, cwd=folder, capture_output=True
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rhyme.txt", "rhyme"),
        ("_notes.txt", "notes"),
        ("my diary (1).txt", "my-diary-1"),
        ("x" * 80 + ".txt", "x" * 64),
        ("été.txt", "t"),
        ("a.b..txt", "a.b"),
    ],
)
def test_a_run_has_a_name_by_default(text, name):
    assert default_run_name(text) == name
    assert runs.check_run_name(name)


@pytest.mark.parametrize("text", ["红楼梦.txt", "___.txt", "..."])
def test_a_text_without_a_name_asks_for_one_before_it_is_read(folder, text):
    result = call("train", text)
    assert result.exit_code == 1
    assert f"none can be made of {text!r}: give one by --name" in result.stderr


def test_an_empty_name_is_no_name(folder):
    result = call("train", "rhyme.txt", "--name", "", *SMALL)
    assert result.exit_code == 1
    assert "'' cannot be the name of a run" in result.stderr


@POSIX
def test_two_names_that_differ_in_case_begun_at_one_moment_are_one_run(folder):
    line = "for name in two TWO; do $GPT train rhyme.txt --name $name "
    result = shell(line + " ".join(SMALL) + " & done; wait", folder)
    made = [path.name for path in (folder / "runs").iterdir() if path.name[0] != "."]
    assert len(made) == 1
    assert b"is too like the run" in result.stderr


@pytest.mark.parametrize("prompt", ["\ufeffKING:\r\nHa", "KING:\rHa", "KING:\nHa"])
def test_a_prompt_is_read_as_a_text_is(folder, prompt):
    result = call("generate", "--length", 3, "-m", "bigram", given=prompt + "\r\n")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("KING:\nHa")
    again = call("generate", prompt, "--length", 3, "-m", "bigram")
    assert again.stdout == result.stdout


@POSIX
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("$GPT generate <&-", "the prompt is empty: give at least one"),
        (r"printf '\xff' | $GPT generate", "standard input is not text in utf-8: b"),
        ("$GPT generate KING --length 5 -m bigram >/dev/full", "No space left"),
        ("$GPT models >/dev/full", "No space left"),
        ("$GPT generate KING --length 1000000000000", "less than or equal to 10000000"),
        ("$GPT train rhyme.txt --batch-size 100000000", "batch_size=100000000 must be"),
        ("$GPT train rhyme.txt --width 8192 --depth 128 --heads 8", "takes about"),
        ("$GPT train rhyme.txt --batch-size 1000000 --context 65", "takes about"),
        ("mkfifo pipe; $GPT train pipe", "'pipe' is no file: give the path"),
        ("mkdir notes; $GPT train notes", "has no text: give a folder with"),
        ("touch runs; $GPT train rhyme.txt", "runs"),
    ],
)
def test_one_line_and_no_traceback(folder, line, message):
    result = shell(line, folder)
    errors = result.stderr.decode()
    assert result.returncode not in (0, None)
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    last = errors.strip().splitlines()[-1]
    assert message in last


@POSIX
def test_nobody_listens(folder):
    result = shell("$GPT generate KING --length 5 -m bigram >&-", folder)
    assert b"Traceback" not in result.stderr


@POSIX
def test_a_home_folder_in_the_variable(folder):
    line = "$GPT train rhyme.txt " + " ".join(SMALL)
    result = shell(line, folder, GPT_RUNS="~/mine", HOME=str(folder))
    assert result.returncode == 0, result.stderr
    assert (folder / "mine" / "rhyme").is_dir()


def test_a_folder_that_cannot_be_written(folder, monkeypatch):
    """Said by the system; the tests may run as root, who may write anywhere."""

    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = call("train", "rhyme.txt", *SMALL)
    assert result.exit_code == 1
    assert "Permission denied: " in result.stderr
    assert result.stderr.count("\n") <= 2


INTERRUPTED_IMPORT = """
import sys

module = sys.argv.pop()

class Interrupt:
    def find_spec(self, name, *_):
        if name == module:
            raise KeyboardInterrupt  # as Ctrl-C does, while this is being imported

sys.meta_path.insert(0, Interrupt())
from gpt_lib.__main__ import main

main()
"""


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["generate", "KING", "-m", "bigram"], "typer"),
        (["generate", "KING", "-m", "bigram"], "torch"),
        (["generate", "KING", "-m", "bigram"], "gpt_lib.generation"),
        (["models"], "torch"),
        (["doctor"], "gpt_lib.device"),
    ],
)
def test_ctrl_c_while_modules_are_imported_is_no_traceback(words, module):
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, *words, module]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "KING" not in done.stdout
