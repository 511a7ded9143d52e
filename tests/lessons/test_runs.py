"""A run is kept whole, belongs to one process, and goes on as if it never stopped."""

import errno
import importlib.util
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load, save

from gpt_lib import checkpoints
from gpt_lib import runs as lesson
from gpt_lib.data import DATA
from gpt_lib.generation import TextGenerator
from gpt_lib.text import train_validation_test_split
from gpt_lib.training import TrainingState, estimate_loss, train
from tests.byte_tokenizer import BYTE_TOKENIZERS, ByteTokenizer
from tests.lessons.small_run import (
    CARD,
    CONFIG,
    SHAPE,
    begin,
    replace_checkpoint,
    resume_and_train,
    same_tensors,
    text_parts,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Equal to the last bit means with as many threads, here and in other processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(tmp_path):
    return lesson.CheckpointWriter("trial", tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The weights of a run that nobody disturbed."""
    run = lesson.CheckpointWriter("whole", tmp_path_factory.mktemp("runs"))
    begin(run)
    list(resume_and_train(run))
    return checkpoints.load_checkpoint(run.last()).model.state_dict()


# Names


@pytest.mark.parametrize("name", ["a", "my-run.2", "9", "A_b", "x" * 64, "console"])
def test_plain_names(name):
    assert lesson.check_run_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "/etc", ".hidden", "-x", "x" * 65, "a b",
     "é", "con", "NUL.txt", "a.", "a\n", "a\0b", "C:x", "~"],
)  # fmt: skip
def test_names_that_could_leave_the_folder_or_confuse_a_system(name, tmp_path):
    with pytest.raises(ValueError, match="cannot be the name of a run: use up to 64"):
        lesson.CheckpointWriter(name, tmp_path)


def test_steps_are_whole_and_in_order():
    names = ["step-000300", ".step-000400.new", "step-1000000", "step-999999", "notes"]
    assert lesson.checkpoint_steps(names) == [300, 999_999, 1_000_000]
    assert lesson.checkpoint_steps(
        ["step-12", "xstep-000001", "step-000001x", "step-000001"]
    ) == [1]
    assert lesson.checkpoint_steps(["step-٠٠٠٠٠١"]) == []
    assert lesson.checkpoint_steps([]) == []


def test_an_unknown_run_is_an_error(run):
    for look in (
        run.last,
        lambda: lesson.best_checkpoint(run),
        lambda: resume_and_train(run),
    ):
        with pytest.raises(
            checkpoints.CheckpointError, match="there is no run 'trial'"
        ):
            look()


# The folder of a run


def test_a_full_disk_leaves_the_old_checkpoint(run, monkeypatch):
    model, state = begin(run)
    old = checkpoints.read_checkpoint_files(run.last())
    state.step = 5

    def full(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoints, "write_and_fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run.save(model, state, CARD)
    assert run.steps() == [0]
    assert checkpoints.read_checkpoint_files(run.last()) == old
    assert sorted(path.name for path in run.folder.iterdir()) == ["step-000000"]


def test_a_checkpoint_is_never_replaced(run):
    model, state = begin(run)
    old = checkpoints.read_checkpoint_files(run.last())
    with pytest.raises(FileExistsError, match="step-000000 exists"):
        run.save(model, state, CARD)
    assert checkpoints.read_checkpoint_files(run.last()) == old


def test_the_last_two_and_the_best_are_kept(run):
    model, state = begin(run)
    for step, loss in enumerate([3.0, 1.0, 2.0, None, 4.0], 1):
        state.step = step
        run.save(model, state, replace(CARD, step=step, validation_loss=loss))
    assert run.steps() == [2, 4, 5]
    assert (lesson.best_checkpoint(run), run.last()) == (run.at(2), run.at(5))


def test_a_damaged_neighbour_does_not_stop_a_training(run):
    model, state = begin(run)
    (run.at(0) / checkpoints.CARD_FILE).write_bytes(b"")
    for state.step in (1, 2, 3):
        run.save(model, state, replace(CARD, step=state.step))
    assert run.steps() == [0, 2, 3]  # nothing is thrown away unjudged
    assert lesson.best_checkpoint(run) == run.at(3)
    for step in (2, 3):
        (run.at(step) / checkpoints.CARD_FILE).write_bytes(b"")
    with pytest.raises(checkpoints.CheckpointError, match=r"step-000003.card\.json"):
        checkpoints.load_checkpoint(lesson.best_checkpoint(run))


def test_what_a_killed_writer_left_is_swept_away(run):
    begin(run)
    unfinished = run.folder / ".step-000009.new"
    unfinished.mkdir()
    (unfinished / "weights.safetensors").write_bytes(b"half")
    with run.lock():
        assert not unfinished.exists()
    assert run.steps() == [0]


# To go on


def test_resumed_at_every_step_equals_never_stopped(run, finished):
    begin(run)
    for _ in range(CONFIG.steps):
        records = resume_and_train(run)
        next(records)
        records.close()
    assert same_tensors(
        checkpoints.load_checkpoint(run.last()).model.state_dict(), finished
    )


def test_the_history_goes_on_without_a_gap(run):
    begin(run)
    records = resume_and_train(run, fraction=0)
    for _ in range(9):
        next(records)
    records.close()  # leaving saves
    assert run.steps()[-1] == 9
    list(resume_and_train(run, fraction=0))
    card = checkpoints.load_checkpoint(run.last()).card
    assert [record.step for record in card.history] == [*range(25)]
    assert card.step == 24
    assert card.validation_loss == card.history[-1].validation_estimate
    assert card.seconds == pytest.approx(card.history[-1].seconds)
    assert card.machine["PyTorch"] == torch.__version__


def test_a_checkpoint_has_the_loss_of_its_own_weights(run):
    card = replace(CARD, training=replace(CONFIG, learning_rate=1.0))  # changes fast
    begin(run, card)
    records = resume_and_train(run)
    losses = []
    for _ in records:
        model, _, card = checkpoints.load_checkpoint(run.last())
        loss = estimate_loss(model, text_parts()[1], card.training)
        assert card.validation_loss == pytest.approx(loss, abs=1e-6)
        losses.append(loss)
    assert len({round(loss, 3) for loss in losses}) > 10
    assert checkpoints.load_checkpoint(
        lesson.best_checkpoint(run)
    ).card.validation_loss == min(
        checkpoints.load_checkpoint(run.at(step)).card.validation_loss
        for step in run.steps()
    )


def test_stopping_right_after_a_save_saves_nothing_twice(run):
    begin(run)
    records = resume_and_train(run)
    next(records)
    saved = run.steps()
    records.close()
    assert run.steps() == saved == [0, 1]


def test_what_is_forgotten_shows(run, finished, monkeypatch):
    """The state matters: without each part of it the weights come out otherwise."""
    for forget in ("random", "optimizer"):
        run = lesson.CheckpointWriter(forget, run.root)
        begin(run)
        records = resume_and_train(run)
        list(islice(records, 9))
        records.close()
        files = checkpoints.read_checkpoint_files(run.last())
        tensors = load(files[checkpoints.STATE_FILE])
        fresh = {"random.cpu": torch.Generator().manual_seed(5).get_state()}
        for name, tensor in tensors.items():
            if name.startswith(forget):
                tensors[name] = fresh.get(name, torch.zeros_like(tensor))
        files[checkpoints.STATE_FILE] = save(tensors)
        replace_checkpoint(run.last(), files)
        list(resume_and_train(run))
        weights = checkpoints.load_checkpoint(run.last()).model.state_dict()
        assert not same_tensors(weights, finished), forget


def train_in_process(root, started):
    """What a training process does; `started` is set after its first step."""
    torch.set_num_threads(1)
    records = resume_and_train(lesson.CheckpointWriter("trial", root))
    next(records)
    started.set()
    list(records)


def kill_after(root, seconds):
    """Let a process train, and kill it `seconds` after its first step.

    Returns:
        Whether it died of that, and how long it had trained.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.lessons.test_runs", "torch._dynamo"])
    started = context.Event()
    child = context.Process(target=train_in_process, args=(root, started))
    child.start()
    assert started.wait(60)
    start = time.monotonic()
    child.join(seconds)
    trained = time.monotonic() - start
    child.kill()
    child.join(60)
    return child.exitcode == -signal.SIGKILL, trained


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="forks processes")
def test_killed_at_thirty_random_moments_it_loads_and_ends_as_never_killed(
    run, finished
):
    """SIGKILL leaves no time for anything; half of the time is spent on writing."""
    begin(run)
    died, whole_life = kill_after(run.root, 60)
    assert not died
    generator = random.Random(1)
    kills, half_written, last_steps = 0, 0, set()
    for _ in range(200):
        step = run.steps()[-1]
        if step >= CONFIG.steps - 1:  # it got to its end: begin anew
            if step < CONFIG.steps:
                list(resume_and_train(run))
            weights = checkpoints.load_checkpoint(run.last()).model.state_dict()
            assert same_tensors(weights, finished)
            checkpoints.shutil.rmtree(run.folder)
            begin(run)
        kills += kill_after(run.root, generator.uniform(0, whole_life / 3))[0]
        half_written += any(run.folder.glob(".step-*"))
        last_steps.add(run.steps()[-1])
        checkpoints.load_checkpoint(run.last())
        if kills == 30:
            break
    assert kills == 30
    assert half_written >= 2
    assert len(last_steps) >= 8
    if run.steps()[-1] < CONFIG.steps:
        list(resume_and_train(run))
    assert same_tensors(
        checkpoints.load_checkpoint(run.last()).model.state_dict(), finished
    )


def test_two_trainings_under_one_name_one_is_refused(run):
    holder = (
        "import sys, time; from gpt_lib.runs import Path, CheckpointWriter\n"
        "with CheckpointWriter('trial', Path(sys.argv[1])).lock():\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(run.root)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="'trial' is being trained"), run.lock():
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with run.lock():  # however it ended, it let go
        pass


def test_a_name_that_exists_is_not_taken_again(run):
    begin(run)
    old = checkpoints.read_checkpoint_files(run.last())
    with pytest.raises(ValueError, match="'trial' exists: r"), run.lock(new=True):
        pass
    assert checkpoints.read_checkpoint_files(run.last()) == old
    with FileLock(run.folder / ".lock", timeout=0):  # the refusal let go of the lock
        pass


def test_weights_that_are_not_finite_are_not_saved(run):
    model, state = begin(run)
    state.step = 7
    with torch.no_grad():
        model.embed.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="after step 7 the weights are not finite"):
        run.save(model, state, CARD)
    assert run.steps() == [0]


def test_saved_here_loads_there(run, device):
    model, _ = begin(run)
    (loaded, _, _), state = lesson.load_for_resuming(run, device)
    assert next(loaded.parameters()).device.type == device.type
    assert same_tensors(
        model.state_dict(), {n: t.cpu() for n, t in loaded.state_dict().items()}
    )
    records = train(loaded, *(ids.to(device) for ids in text_parts()), CONFIG, state)
    assert next(records).step == 0


# What it costs


def test_saving_takes_its_fraction_of_the_time_and_no_more(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(lesson.time, "perf_counter", lambda: clock[0])

    class Timed(lesson.CheckpointWriter):
        saves = 0

        def save(self, *_):
            type(self).saves += 1
            clock[0] += 0.5

    model = checkpoints.build_architecture("bigram", {"vocab_size": 8})
    state = TrainingState.start(model, CONFIG)
    config = replace(CONFIG, steps=2000, evaluate_every=10**6)
    run, card = Timed("x", tmp_path), replace(CARD, training=config)
    records = train(model, *text_parts(), config, state)
    progress = lesson.TrainingProgress(run, model, state, card, text_parts()[1])
    for _ in lesson.checkpointed(records, progress):
        clock[0] += 0.5  # a step takes as long as a save
    # 1000 s of training: 1 % are 20 saves, the last one is among them.
    assert 18 <= Timed.saves <= 21


# Where, and with which tokenizer


@pytest.mark.parametrize("variable", ["", "elsewhere"])
def test_runs_lie_where_the_variable_says_or_beside_the_data(monkeypatch, variable):
    monkeypatch.setenv("GPT_RUNS", variable)
    spec = importlib.util.spec_from_file_location("gpt_lib.again", lesson.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert Path(variable or DATA.parent / "runs").absolute() == module.RUNS


def test_a_run_on_bytes_is_resumed_as_if_never_stopped(tmp_path):
    """With a tokenizer that is not the course's, and ids that are no characters."""
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode("é 🙂 " * 60)
    train_ids, validation_ids, _ = train_validation_test_split(ids, context=8)
    shape = SHAPE | {"vocab_size": tokenizer.vocab_size}
    card = replace(CARD, tokenizer=tokenizer.to_card(), shape=shape)

    def resume_until(run, records_wanted):
        (model, loaded, card), state = lesson.load_for_resuming(
            run, torch.device("cpu"), tokenizers=BYTE_TOKENIZERS
        )
        assert loaded == tokenizer
        records = train(model, train_ids, validation_ids, card.training, state)
        progress = lesson.TrainingProgress(run, model, state, card, validation_ids)
        records = lesson.checkpointed(records, progress)
        list(islice(records, records_wanted))
        records.close()
        return model

    weights = []
    for name, stops in {"whole": [99], "stopped": [9, 99]}.items():
        run = lesson.CheckpointWriter(name, tmp_path)
        begin(run, card)
        for stop in stops:
            model = resume_until(run, stop)
        weights.append(model.state_dict())
    assert same_tensors(*weights)
    prompt = tokenizer.encode("é").tolist()
    tokens = list(TextGenerator(model, tokenizer).generate(prompt, 40))
    text = tokenizer.decode(torch.tensor([token.id for token in tokens]))
    assert "".join(token.text for token in tokens) == text
    with pytest.raises(checkpoints.CheckpointError, match="no tokenizer 'bytes'"):
        lesson.load_for_resuming(run, torch.device("cpu"))
