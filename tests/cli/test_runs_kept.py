"""Whatever happens to a run, what was learned is aside, and the user hears of it."""

import errno
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from typer.testing import CliRunner

from gpt_lib import catalog, checkpoints, runs
from gpt_lib.cli import app, train_run
from gpt_lib.runs import CheckpointWriter, TrainingPause

SMALL = ["--preset", "block", "--context", "16", "--width", "16", "--heads", "2"]
SMALL += ["--batch-size", "4", "--steps", "30", "--warmup-steps", "0"]


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def train_mine(*words):
    """Train a run called "mine", and expect that it goes well."""
    result = call("train", "rhyme.txt", "--name", "mine", *SMALL, *words)
    assert result.exit_code == 0, result.output
    return CheckpointWriter("mine", runs.RUNS)


DIVERGING = ["--preset", "bigram", "--learning-rate", 10, "--weight-decay", 0.3]
DIVERGING += ["--warmup-steps", 0, "--final-lr-fraction", 1, "--evaluate-every", 10]


@pytest.mark.parametrize("steps", [118, 200])
def test_a_run_that_diverges_says_so_and_keeps_what_was_good(folder, steps):
    result = call("train", "rhyme.txt", "-n", "mine", *DIVERGING, "--steps", steps)
    assert result.exit_code == 1
    assert "the run has diverged: " in result.stderr
    assert "is trained" not in result.output
    run = CheckpointWriter("mine", runs.RUNS)
    for step in run.steps():
        checkpoints.load_checkpoint(run.at(step))
    assert call("models").exit_code == 0
    assert call("generate", "Row", "-m", "mine", "--length", "5").exit_code == 0


def test_a_finite_loss_above_a_guess_is_not_called_trained(folder):
    result = call("train", "rhyme.txt", "-n", "mine", *DIVERGING, "--steps", 20)
    assert result.exit_code == 0
    assert re.search(
        r"mine is worse than a guess \(\d\.\d+\): validation loss \d", result.stdout
    )


@pytest.mark.parametrize("option", ["learning-rate", "max-grad-norm", "weight-decay"])
@pytest.mark.parametrize("value", ["inf", "nan", "-1"])
def test_a_setting_that_is_not_finite_is_refused_before_a_run_is_there(
    folder, option, value
):
    result = call("train", "rhyme.txt", *SMALL, f"--{option}", value)
    assert result.exit_code in (1, 2)
    assert option in result.stderr.replace("_", "-")
    assert not (folder / "runs").exists()


def cut_short(run):
    path = run.last() / checkpoints.WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-4])


def without_card(run):
    (run.last() / checkpoints.CARD_FILE).unlink()


@pytest.mark.parametrize("damage", [cut_short, without_card])
def test_a_damaged_newest_checkpoint_does_not_block_a_whole_one(folder, damage):
    run = train_mine()
    expected = checkpoints.load_checkpoint(run.last()).model.state_dict()
    older, newest = run.steps()[-2:]
    damage(run)
    refused = call("train", "--resume", "--name", "mine")
    assert refused.exit_code == 1
    message = refused.stderr.replace("\n", " ")
    for part in (f"step-{newest:06}", f"step-{older:06} of this run is whole"):
        assert part in message
    assert "gpt-lib train --resume --skip-damaged --name mine" in message
    assert (run.at(newest) / checkpoints.HASHES_FILE).exists()  # nothing was touched

    result = call("train", "--resume", "--skip-damaged", "--name", "mine")
    assert result.exit_code == 0, result.output
    assert "mine is trained" in result.stdout
    aside = run.folder / f"damaged-step-{newest:06}"
    assert f"set aside: {aside}" in result.stderr.replace("\n", "")
    assert (aside / checkpoints.HASHES_FILE).exists()
    weights = checkpoints.load_checkpoint(run.last()).model.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_damaged_best_checkpoint_names_a_whole_one(folder):
    run = train_mine()
    folder = runs.best_checkpoint(run)
    cut_short(run) if folder == run.last() else None
    result = call("generate", "Row", "-m", "mine")
    assert result.exit_code == 1
    whole = run.at(run.steps()[-2]).name
    assert f"{whole} of this run is whole: remove {folder.name}" in result.stderr


def test_skipping_needs_something_to_resume(folder):
    assert call("train", "rhyme.txt", "--skip-damaged").exit_code == 2
    train_mine()
    for path in (folder / "runs").rglob("card.json"):
        path.unlink()
    result = call("train", "--resume", "--skip-damaged", "--name", "mine")
    assert result.exit_code == 1
    assert "no checkpoint in" in result.stderr


def test_a_text_that_was_moved_is_known_by_its_content(folder):
    run = train_mine()
    checkpoints.shutil.rmtree(run.last())  # so that there is something left to train
    moved, other = folder / "new.txt", folder / "other.txt"
    (folder / "rhyme.txt").rename(moved)
    other.write_text("Sing a song of sixpence. " * 80)
    words = "train", "--resume", "--name", "mine"
    gone = call(*words)
    assert gone.exit_code == 1
    assert "gpt-lib train FILE --resume --name" in gone.stderr.replace("\n", " ")
    refused = call(*words, other)
    assert refused.exit_code == 1
    assert "is not the text that this run began with" in refused.stderr.replace(
        "\n", " "
    )
    assert call(*words, moved).exit_code == 0
    assert checkpoints.load_checkpoint(run.last()).card.text == str(moved)
    assert call(*words).exit_code == 0  # from now on without a word


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_end_of_a_session_saves_as_ctrl_c_does(folder, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "gpt_lib", "train", "rhyme.txt", "--name", "mine",
         *SMALL, "--steps", "50000"],
        env={**os.environ, "GPT_RUNS": "runs", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    run = CheckpointWriter("mine", folder / "runs")
    limit = time.monotonic() + 60
    while not run.steps() or run.steps()[-1] < 20:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
    [step] = re.findall(r"stopped and saved after (\d+) of 50000 steps", output)
    assert run.steps()[-1] == int(step)


def test_an_ignored_signal_stays_ignored(monkeypatch):
    """As under nohup: who closes the terminal does not want the training to end."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with train_run.interrupts():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_stop_is_noticed_before_the_next_step():
    step = train_run.PausingStep(interrupts_seen=[signal.SIGINT])
    with pytest.raises(TrainingPause):
        step()


def test_saved_every_few_minutes_it_ends_as_never_saved(folder, monkeypatch):
    run = train_mine("--evaluate-every", 1000)
    expected = checkpoints.load_checkpoint(run.last())
    saves = []
    monkeypatch.setattr(train_run, "MAX_UNSAVED_SECONDS", 0.0)  # after each step
    save = CheckpointWriter.save
    monkeypatch.setattr(
        CheckpointWriter, "save", lambda *all: saves.append(1) or save(*all)
    )
    words = "train", "rhyme.txt", "--name", "other", *SMALL, "--evaluate-every", 1000
    assert call(*words).exit_code == 0
    assert len(saves) > 25
    model, _, card = catalog.load("other", runs.RUNS)
    for name, weight in expected.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight)
    records = [record.step for record in card.history]
    assert records == [record.step for record in expected.card.history]


def test_a_full_disk_ends_no_training(folder, monkeypatch):
    write, failures = checkpoints.write_and_fsync, iter(range(12))

    def fill_up(path, data):
        if "000000" not in str(path) and next(failures, None) is not None:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(checkpoints, "write_and_fsync", fill_up)
    monkeypatch.setattr(train_run, "MAX_UNSAVED_SECONDS", 0.0)
    result = call("train", "rhyme.txt", "--name", "mine", *SMALL)
    assert result.exit_code == 0, result.output
    message = result.stderr.replace("\n", " ")
    assert re.search(r"not saved: .*No space left on device: '.*card\.json'", message)
    assert "saving is tried again" in message
    assert CheckpointWriter("mine", runs.RUNS).steps()[-1] == 30


def test_a_disk_that_stays_full_ends_in_one_line(folder, monkeypatch):
    write = checkpoints.write_and_fsync

    def fill_up(path, data):
        if "000000" not in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(checkpoints, "write_and_fsync", fill_up)
    result = call("train", "rhyme.txt", "--name", "mine", *SMALL)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr.splitlines()[-1]
    assert CheckpointWriter("mine", runs.RUNS).steps() == [0]
