"""Killed before any change to the file system, a run goes on as if never stopped."""

import os
import shutil
from dataclasses import replace
from itertools import islice

import pytest
import torch

from gpt_lib import checkpoints, runs
from tests.kill_points import deaths
from tests.lessons.small_run import CARD, begin, resume_and_train, same_tensors

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks processes")
STEPS_BEFORE, STEPS_AFTER = 9, 12


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """A forked process has no other threads; and equal to the last bit needs one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def half_done(tmp_path_factory):
    """A run with all the checkpoints that it keeps, and the weights of its end."""
    run = runs.CheckpointWriter("trial", tmp_path_factory.mktemp("half"))
    begin(run)
    records = resume_and_train(run)
    list(islice(records, STEPS_BEFORE))
    records.close()
    whole = runs.CheckpointWriter("trial", tmp_path_factory.mktemp("whole"))
    shutil.copytree(run.folder, whole.folder)
    list(resume_and_train(whole))
    return run, checkpoints.load_checkpoint(whole.last()).model.state_dict()


def train_some(root):
    """What the process does that will be killed: it saves and removes at each step."""
    run = runs.CheckpointWriter("trial", root)
    with run.lock():
        list(islice(resume_and_train(run), STEPS_AFTER - STEPS_BEFORE))


def test_every_change_of_a_save_and_its_tidying_may_be_the_last(half_done, tmp_path):
    run, expected = half_done
    killed = runs.CheckpointWriter("trial", tmp_path)
    shutil.copytree(run.folder, killed.folder)
    points = 0
    for _ in deaths(lambda: train_some(tmp_path)):
        points += 1
        # Whoever writes with the model, before anybody has tidied up.
        checkpoints.load_checkpoint(runs.best_checkpoint(killed))
        with killed.lock():
            list(resume_and_train(killed))
            names = {path.name for path in killed.folder.iterdir()} - {".lock"}
            assert names == {f"step-{step:06}" for step in killed.steps()}
            assert len(names) <= 3
        weights = checkpoints.load_checkpoint(killed.last()).model.state_dict()
        assert same_tensors(weights, expected)
        shutil.rmtree(killed.folder)
        shutil.copytree(run.folder, killed.folder)
    assert points > 35


@pytest.mark.soak
def test_every_change_of_a_whole_run_may_be_the_last(tmp_path):
    """From its first save to its end, with a save at each step."""

    def begin_and_train(root):
        run = runs.CheckpointWriter("trial", root)
        with run.lock(new=not run.steps()):
            if not run.steps():
                begin(run)
            if run.newest_step() < CARD.training.steps:
                list(resume_and_train(run))
        return run

    run = begin_and_train(tmp_path / "whole")
    expected = checkpoints.load_checkpoint(run.last()).model.state_dict()
    points, root = 0, tmp_path / "killed"
    for _ in deaths(lambda: begin_and_train(root)):
        points += 1
        run = begin_and_train(root)
        weights = checkpoints.load_checkpoint(run.last()).model.state_dict()
        assert same_tensors(weights, expected)
        assert len([*run.folder.glob("step-*")]) <= 3
        shutil.rmtree(root)
    assert points > 300


def test_the_first_save_may_be_the_last(tmp_path):
    """Before it there is no run; after it there is one; nothing else is ever there."""
    run = runs.CheckpointWriter("trial", tmp_path)

    def begin_new():
        with run.lock(new=True):
            begin(run)

    for _ in deaths(begin_new):
        if not run.steps():
            begin_new()
        list(islice(resume_and_train(run), 2))
        shutil.rmtree(run.folder)


@pytest.mark.parametrize("name", [checkpoints.CARD_FILE, checkpoints.HASHES_FILE])
def test_half_a_checkpoint_hides_no_whole_one(tmp_path, name):
    """As an older version left them, which removed file by file, the card first."""
    run = runs.CheckpointWriter("trial", tmp_path)
    model, state = begin(run)
    checkpoints.take_step_of_zero(state.optimizer)  # what is resumed has a state
    for state.step in (1, 2, 3):
        run.save(model, state, replace(CARD, validation_loss=1.0 + state.step))
    (run.at(2) / name).unlink()
    assert run.steps() == [1, 3]
    assert runs.best_checkpoint(run) == run.at(1)
    (resumed, _, _), state = runs.load_for_resuming(run, torch.device("cpu"))
    for state.step in (4, 5):
        run.save(resumed, state, replace(CARD, validation_loss=1.0 + state.step))
    assert run.steps() == [1, 4, 5]  # the disk does not fill
