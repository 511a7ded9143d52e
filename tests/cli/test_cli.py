"""The command line, as people call it, with runs of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
import typer
from typer.testing import CliRunner

from gpt_lib import catalog
from gpt_lib.checkpoints import Run, load_checkpoint
from gpt_lib.cli import app
from gpt_lib.cli.train import make_card
from tests.conftest import need_compiler

SMALL = ["--preset", "block", "--context", "16", "--width", "16", "--heads", "2"]
SMALL += ["--batch", "4"]
COMMANDS = ["doctor", "train", "models", "generate", "chat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with runs and a text in it."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "rhyme.txt").write_text("Row, row, row your boat. " * 40)
    return folder


def environment(folder):
    return {**os.environ, "GPT_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1"}


def call(folder, *words, given=None, **variables):
    return subprocess.run(
        [sys.executable, "-m", "gpt_lib", *words],
        env=environment(folder) | variables,
        cwd=folder,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def trained(folder):
    """What training on the learner's own text said."""
    done = call(folder, "train", "rhyme.txt", "--name", "mine", *SMALL, "--steps", "60")
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_reads_well_and_loads_no_torch(command):
    code = (
        "import sys; from gpt_lib.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit: print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    words = [sys.executable, "-c", code, *filter(None, [command]), "--help"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout.endswith("False False\n"), done.stderr
    assert "Usage:" in done.stdout
    assert all(name in done.stdout for name in COMMANDS if not command)


def test_every_option_has_its_help():
    for name, command in typer.main.get_command(app).commands.items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), (name, parameter.name)


def test_doctor_reports_the_machine(folder):
    done = call(folder, "doctor")
    assert done.returncode == 0
    assert torch.__version__ in done.stdout
    assert re.search(r"^parity +agrees with the CPU$", done.stdout, re.M)
    wrong = call(folder, "doctor", "--device", "abacus")
    assert wrong.returncode == 1
    assert "abacus" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_text_becomes_a_model_that_is_listed_and_writes(folder, trained):
    assert "mine is trained: validation loss" in trained.stdout
    assert "60/60" in trained.stderr
    assert "loss=" in trained.stderr
    table = call(folder, "models").stdout
    assert re.search(
        r"^mine +block +[\d,]+ +rhyme +\d+ (of 60)? +\d\.\d+ ", table, re.M
    )
    assert re.search(r"^shakespeare +GPT +1,276,160 ", table, re.M)
    rows = json.loads(call(folder, "models", "--json").stdout)
    assert [row["model"] for row in rows] == [*catalog.SHIPPED, "mine"]
    assert list(catalog.writers(folder / "runs")) == [*catalog.SHIPPED, "mine"]
    done = call(folder, "generate", "Row", "--model", "mine", "--length", "20")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"Row(.|\n){20}\n", done.stdout)


def test_the_same_seed_writes_the_same_and_json_says_all(folder):
    words = ["generate", r"JULIET:\n", "--length", "30", "--temperature", "0.8"]
    words += ["--seed", "5", "--top-k", "9"]
    plain = call(folder, *words).stdout
    told = json.loads(call(folder, *words, "--json").stdout)
    assert plain == told["prompt"] + told["text"] + "\n"
    assert told["prompt"] == "JULIET:\n"
    assert told["settings"]["top_k"] == 9
    assert told["tokens"] == len(told["chances"]) == 30


def test_a_compiled_model_writes_the_same_and_so_it_does_without_a_compiler(folder):
    words = ["generate", "JULIET", "--length", "40", "--model", "shakespeare"]
    plain = call(folder, *words)
    bare = {"PATH": "", "CXX": "", "TORCHINDUCTOR_CACHE_DIR": str(folder / "none")}
    done = call(folder, *words, "--compile", **bare)
    assert (done.returncode, done.stdout) == (0, plain.stdout)
    assert re.fullmatch(r"compiling …\nnot compiled: .*compiler.*\n", done.stderr)
    done = call(folder, "generate", "x", "--compile", "--model", "bigram")
    assert done.returncode == 1
    assert "bigram is a Bigram; --compile can do a GPT only" in done.stderr
    done = call(folder, *words, "--compile")
    assert (done.returncode, done.stdout) == (0, plain.stdout)
    need_compiler(done.stderr.removeprefix("compiling …\n"))


def test_a_prompt_comes_through_standard_input_and_a_stop_ends_it(folder):
    done = call(folder, "generate", "--length", "200", "--stop", "e", given="KING")
    assert done.returncode == 0
    assert re.fullmatch(r"KING[^e]*e\n", done.stdout)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["generate", "café"], "'é' at position 3 is not among the 65"),
        (["generate", ""], "the prompt is empty"),
        (
            ["generate", "x", "--model", "hamlet"],
            "no model 'hamlet': there are shakesp",
        ),
        (["generate", "x", "--top-p", "0"], "top_p=0.0 must be above 0 and at most 1"),
        (["train", "no.txt"], "no.txt"),
        (
            ["train", "rhyme.txt", "--preset", "huge"],
            "no preset 'huge': there are bigr",
        ),
        (["train", "rhyme.txt", "--heads", "3"], "heads=3 does not divide width=128"),
        (["train", "rhyme.txt", "--context", "512"], "a context of 512 needs 513"),
        (["train", "rhyme.txt", "-n", "../x"], "'../x' cannot be the name of a run"),
        (["train", "rhyme.txt", "-n", "shakespeare"], "comes with the course"),
        (["train", "rhyme.txt", "-p", "bigram", "--depth", "2"], "bigram has no depth"),
        (
            ["train", "rhyme.txt", "-p", "block", "--depth", "2"],
            "it has context, width",
        ),
        (["train", "--resume", "--name", "nobody"], "there is no run 'nobody'"),
        (["chat", "hamlet"], "no model 'hamlet'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(folder, monkeypatch, words, message):
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stderr.startswith("gpt-lib: ")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["generate", "x", "--temperature", "-1"],
            "'--temperature': Input should be greater than or equal to 0",
        ),
        (
            ["generate", "x", "--min-p", "2"],
            "'--min-p': Input should be less than or equal to 1",
        ),
        (
            ["generate", "x", "--length", "many"],
            "'--length': Input should be a valid integer",
        ),
        (
            ["train", "--dropout", "1"],
            "'--dropout': Input should be less than or equal to 0.9",
        ),
        (
            ["train", "--steps", "0"],
            "'--steps': Input should be greater than or equal to 1",
        ),
        (["train", "--resume", "--steps", "9"], "leave out steps"),
        (["train", "--resume"], "--resume which run? Give --name too"),
        (["train", "x.txt", "--resume", "-n", "y"], "own text: leave out x.txt"),
        (["trian"], "No such command 'trian'"),
        (
            ["chat", "--length", "0"],
            "'--length': Input should be greater than or equal to 1",
        ),
    ],
)
def test_a_wrong_value_says_the_range_and_exit_code_2(words, message):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_a_name_that_exists_is_refused_and_a_finished_run_says_so(folder, trained):
    again = call(folder, "train", "rhyme.txt", "--name", "mine", *SMALL)
    assert again.returncode == 1
    assert "the run 'mine' exists: resume it, or take another name" in again.stderr
    alike = call(folder, "train", "rhyme.txt", "--name", "MINE", *SMALL)
    assert "'MINE' is too like the run 'mine': take another name" in alike.stderr
    done = call(folder, "train", "--resume", "--name", "mine")
    assert done.returncode == 0
    assert "mine is trained" in done.stdout


def test_a_changed_text_is_not_trained_on(folder):
    text = folder / "changing.txt"
    text.write_text("one two three " * 60)
    process = begin(folder, "changing.txt")
    stop(process, signal.SIGINT)
    text.write_text("four five six " * 60)
    done = call(folder, "train", "--resume", "--name", "changing")
    assert done.returncode == 1
    assert "changing.txt has changed since this run began" in done.stderr


def test_a_modern_shape_fits_the_heads_asked_for_and_the_vocabulary(tmp_path):
    texts = {"few": "abc" * 500, "many": "".join(map(chr, range(0x4E00, 0x5400)))}
    shapes = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        card = make_card(str(tmp_path / name), "modern", {"heads": 1}, {"steps": 9})
        shapes[name] = card.shape
    assert [shape["key_heads"] for shape in shapes.values()] == [1, 1]
    assert [shape["pairs"] for shape in shapes.values()] == [True, False]


def begin(folder, *words):
    """A training under way that would take long."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gpt_lib", "train", *words, *SMALL, "--steps", "50000"],
        env=environment(folder),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = Run(words[-1].removesuffix(".txt"), folder / "runs")
    limit = time.monotonic() + 60
    while not run.steps() or run.steps()[-1] < 20:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)
    return process


def stop(process, how):
    process.send_signal(how)
    return process.communicate(timeout=30)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for others")
def test_ctrl_c_saves_and_resuming_goes_on_from_there(folder):
    process = begin(folder, "rhyme.txt", "--name", "cut")
    said, _ = stop(process, signal.SIGINT)
    assert process.returncode == 130
    [step] = re.findall(r"stopped and saved after (\d+) of 50000 steps", said)
    assert "gpt-lib train --resume --name cut" in said
    run = Run("cut", folder / "runs")
    assert run.steps()[-1] == int(step)
    card = load_checkpoint(run.last()).card
    assert [r.step for r in card.history] == [*range(0, int(step), 10)]

    process = subprocess.Popen(
        [sys.executable, "-m", "gpt_lib", "train", "--resume", "--name", "cut"],
        env=environment(folder),
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    while run.steps()[-1] < int(step) + 10:
        assert process.poll() is None
        time.sleep(0.05)
    refused = call(folder, "train", "--resume", "--name", "cut")
    assert refused.returncode == 1
    assert "'cut' is being trained by another process" in refused.stderr
    process.kill()
    process.wait()
    load_checkpoint(run.last())


@pytest.mark.skipif(os.name != "posix", reason="a shell pipe")
def test_who_reads_may_stop_reading(folder):
    command = (
        f"{sys.executable} -m gpt_lib generate KING --length 5000 -m bigram | head -c 9"
    )
    done = subprocess.run(
        ["bash", "-c", command], env=environment(folder), capture_output=True, text=True
    )
    assert done.stdout.startswith("KING")
    assert done.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for others")
def test_ctrl_c_ends_a_long_text_without_a_traceback(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "gpt_lib", "generate", "KING", "--length", "1000000"],
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.read(5).startswith("KING")
    _, said = stop(process, signal.SIGINT)
    assert process.returncode not in (0, None)
    assert "Traceback" not in said
