"""A checkpoint is whole or not there, read without trust, and can be trained on."""

import errno
import json
import multiprocessing
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load, save

from gpt_lib import checkpoints as lesson
from gpt_lib.text import CharTokenizer
from gpt_lib.training import Progress, TrainingConfig, estimate_loss, train

TEXT = "abcdefgh" * 60
SHAPE = {"vocab_size": 8, "context": 8, "width": 8, "heads": 2, "dropout": 0.2}
CONFIG = TrainingConfig(
    steps=24, batch=4, learning_rate=0.01, warmup=2, record_every=1, evaluate_every=8,
    evaluation_batches=1,
)  # fmt: skip
CARD = lesson.Card("block", SHAPE, "abcdefgh", "alphabet", "0" * 64, CONFIG)


def texts():
    ids = CharTokenizer(CARD.characters).encode(TEXT)
    return ids[:400], ids[400:]


def begun(run, card=CARD):
    """A fresh model of a card, saved before its first step."""
    torch.manual_seed(0)
    model = lesson.build(card.architecture, card.shape)
    progress = Progress.start(model, card.training)
    run.save(model, progress, card)
    return model, progress


def train_on(run, share=1.0):
    """Resume a run and train it to its end: its records."""
    (model, _, card), progress = lesson.resume(run, torch.device("cpu"))
    records = train(model, *texts(), card.training, progress)
    return lesson.recorded(records, run, model, progress, card, texts()[1], share)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Equal to the last bit means with as many threads, here and in other processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(tmp_path):
    return lesson.Run("trial", tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The weights of a run that nobody disturbed."""
    run = lesson.Run("whole", tmp_path_factory.mktemp("runs"))
    begun(run)
    list(train_on(run))
    return lesson.load_checkpoint(run.last()).model.state_dict()


def put(folder, files):
    """Write a checkpoint where one was."""
    lesson.shutil.rmtree(folder)
    lesson.write_checkpoint(folder, files)


def equal(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[n], other[n]) for n in one
    )


# Names


@pytest.mark.parametrize("name", ["a", "my-run.2", "9", "A_b", "x" * 64, "console"])
def test_plain_names(name):
    assert lesson.check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "/etc", ".hidden", "-x", "x" * 65, "a b",
     "é", "con", "NUL.txt", "a.", "a\n", "a\0b", "C:x", "~"],
)  # fmt: skip
def test_names_that_could_leave_the_folder_or_confuse_a_system(name, tmp_path):
    with pytest.raises(ValueError, match="cannot be the name of a run: use up to 64"):
        lesson.Run(name, tmp_path)


def test_steps_are_whole_and_in_order():
    names = ["step-000300", ".step-000400.new", "step-1000000", "step-999999", "notes"]
    assert lesson.steps_in(names) == [300, 999_999, 1_000_000]
    assert lesson.steps_in(
        ["step-12", "xstep-000001", "step-000001x", "step-000001"]
    ) == [1]
    assert lesson.steps_in(["step-٠٠٠٠٠١"]) == []
    assert lesson.steps_in([]) == []


def test_an_unknown_run_is_an_error(run):
    for look in (run.last, lambda: lesson.best(run), lambda: train_on(run)):
        with pytest.raises(lesson.CheckpointError, match="there is no run 'trial'"):
            look()


# Whole or not there


def test_what_is_written_is_read_and_the_tool_agrees(tmp_path):
    files = {lesson.WEIGHTS: b"weights", lesson.CARD_FILE: b"{}"}
    lesson.write_checkpoint(tmp_path / "step-000001", files)
    assert lesson.read_checkpoint(tmp_path / "step-000001") == files
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    if sys.platform == "linux":
        command = ["sha256sum", "--check", "--strict", lesson.SUMS]
        subprocess.run(command, cwd=tmp_path / "step-000001", check=True)


class DyingError(Exception):
    pass


def die_at(monkeypatch, calls):
    """Let the process "die" in its call number `calls` to the file system."""
    left = [calls]

    def counted(function):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise DyingError
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(lesson.Path, "open", counted(lesson.Path.open))
    monkeypatch.setattr(lesson.Path, "rename", counted(lesson.Path.rename))
    monkeypatch.setattr(lesson.Path, "mkdir", counted(lesson.Path.mkdir))
    # A dead process cleans nothing up.
    monkeypatch.setattr(lesson.shutil, "rmtree", lambda *_, **__: None)


@pytest.mark.parametrize("calls", range(14))
def test_a_death_in_any_moment_of_a_write_leaves_the_old_or_the_new(
    tmp_path, monkeypatch, calls
):
    before, after = ({lesson.WEIGHTS: w, lesson.CARD_FILE: b"{}"} for w in (b"1", b"2"))
    lesson.write_checkpoint(tmp_path / "step-000001", before)
    with monkeypatch.context() as context:
        die_at(context, calls)
        try:
            lesson.write_checkpoint(tmp_path / "step-000002", after)
            died = False
        except DyingError:
            died = True
    steps = lesson.steps_in(path.name for path in tmp_path.iterdir())
    assert lesson.read_checkpoint(tmp_path / "step-000001") == before
    if 2 in steps:
        assert lesson.read_checkpoint(tmp_path / "step-000002") == after
    assert died or 2 in steps
    if 2 not in steps:  # over what was left
        lesson.write_checkpoint(tmp_path / "step-000002", after)
    assert lesson.read_checkpoint(tmp_path / "step-000002") == after


def test_every_moment_of_a_write_was_tried(tmp_path, monkeypatch):
    files = {lesson.WEIGHTS: b"1", lesson.CARD_FILE: b"{}"}
    with monkeypatch.context() as context:
        die_at(context, 13)
        lesson.write_checkpoint(tmp_path / "step-000001", files)
    assert lesson.read_checkpoint(tmp_path / "step-000001") == files


def test_a_full_disk_leaves_the_old_checkpoint(run, monkeypatch):
    model, progress = begun(run)
    old = lesson.read_checkpoint(run.last())
    progress.step = 5

    def full(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(lesson, "write_through", full)
    with pytest.raises(OSError, match="No space left"):
        run.save(model, progress, CARD)
    assert run.steps() == [0]
    assert lesson.read_checkpoint(run.last()) == old
    assert sorted(path.name for path in run.folder.iterdir()) == ["step-000000"]


def test_a_checkpoint_is_never_replaced(run):
    model, progress = begun(run)
    old = lesson.read_checkpoint(run.last())
    with pytest.raises(FileExistsError, match="step-000000 exists"):
        run.save(model, progress, CARD)
    assert lesson.read_checkpoint(run.last()) == old


def test_the_last_two_and_the_best_are_kept(run):
    model, progress = begun(run)
    for step, loss in enumerate([3.0, 1.0, 2.0, None, 4.0], 1):
        progress.step = step
        run.save(model, progress, replace(CARD, step=step, validation_loss=loss))
    assert run.steps() == [2, 4, 5]
    assert (lesson.best(run), run.last()) == (run.at(2), run.at(5))


def test_a_damaged_neighbour_does_not_stop_a_training(run):
    model, progress = begun(run)
    (run.at(0) / lesson.CARD_FILE).write_bytes(b"")
    for progress.step in (1, 2, 3):
        run.save(model, progress, replace(CARD, step=progress.step))
    assert run.steps() == [0, 1, 2, 3]  # nothing is thrown away unjudged
    with pytest.raises(lesson.CheckpointError, match=r"step-000000.card\.json"):
        lesson.best(run)


def test_what_a_killed_writer_left_is_swept_away(run):
    begun(run)
    left = run.folder / ".step-000009.new"
    left.mkdir()
    (left / "weights.safetensors").write_bytes(b"half")
    with run.claim():
        assert not left.exists()
    assert run.steps() == [0]


# To go on


def test_resumed_at_every_step_equals_never_stopped(run, finished):
    begun(run)
    for _ in range(CONFIG.steps):
        records = train_on(run)
        next(records)
        records.close()
    assert equal(lesson.load_checkpoint(run.last()).model.state_dict(), finished)


def test_the_history_goes_on_without_a_gap(run):
    begun(run)
    records = train_on(run, share=0)
    for _ in range(9):
        next(records)
    records.close()  # leaving saves
    assert run.steps()[-1] == 9
    list(train_on(run, share=0))
    card = lesson.load_checkpoint(run.last()).card
    assert [record.step for record in card.history] == [*range(25)]
    assert card.step == 24
    assert card.validation_loss == card.history[-1].validation_estimate
    assert card.seconds == pytest.approx(card.history[-1].seconds)
    assert card.machine["PyTorch"] == torch.__version__


def test_a_checkpoint_has_the_loss_of_its_own_weights(run):
    card = replace(CARD, training=replace(CONFIG, learning_rate=1.0))  # changes fast
    begun(run, card)
    records = train_on(run)
    seen = []
    for _ in records:
        model, _, card = lesson.load_checkpoint(run.last())
        loss = estimate_loss(model, texts()[1], card.training)
        assert card.validation_loss == pytest.approx(loss, abs=1e-6)
        seen.append(loss)
    assert len({round(loss, 3) for loss in seen}) > 10
    assert lesson.load_checkpoint(lesson.best(run)).card.validation_loss == min(
        lesson.load_checkpoint(run.at(step)).card.validation_loss
        for step in run.steps()
    )


def test_stopping_right_after_a_save_saves_nothing_twice(run):
    begun(run)
    records = train_on(run)
    next(records)
    saved = run.steps()
    records.close()
    assert run.steps() == saved == [0, 1]


def test_what_is_forgotten_shows(run, finished, monkeypatch):
    """The state matters: without each part of it the weights come out otherwise."""
    for forget in ("random", "optimizer"):
        run = lesson.Run(forget, run.root)
        begun(run)
        records = train_on(run)
        list(islice(records, 9))
        records.close()
        files = lesson.read_checkpoint(run.last())
        state = load(files[lesson.STATE])
        fresh = Progress.start(torch.nn.Linear(1, 1), CONFIG)
        kept = {n: t for n, t in state.items() if not n.startswith(forget)}
        kept.setdefault("random.cpu", lesson.state_of(fresh)["random.cpu"])
        files[lesson.STATE] = save(kept)
        put(run.last(), files)
        list(train_on(run))
        weights = lesson.load_checkpoint(run.last()).model.state_dict()
        assert not equal(weights, finished), forget


def live(root, begun):
    """A life of a training process."""
    torch.set_num_threads(1)
    records = train_on(lesson.Run("trial", root))
    next(records)
    begun.set()
    list(records)


def kill_after(root, seconds):
    """Let a process train, and kill it so long after its first step.

    Whether it died of that, and how long it had trained.
    """
    process = multiprocessing.get_context("forkserver")
    process.set_forkserver_preload(["tests.lessons.test_checkpoints", "torch._dynamo"])
    begun = process.Event()
    child = process.Process(target=live, args=(root, begun))
    child.start()
    assert begun.wait(60)
    start = time.monotonic()
    child.join(seconds)
    trained = time.monotonic() - start
    child.kill()
    child.join(60)
    return child.exitcode == -signal.SIGKILL, trained


@pytest.mark.skipif(os.name != "posix", reason="forks processes")
def test_killed_at_thirty_random_moments_it_loads_and_ends_as_never_killed(
    run, finished
):
    """SIGKILL leaves no time for anything; half of the time is spent on writing."""
    begun(run)
    died, whole_life = kill_after(run.root, 60)
    assert not died
    dice = random.Random(1)
    kills, half_written, last_steps = 0, 0, set()
    for _ in range(200):
        at = run.steps()[-1]
        if at >= CONFIG.steps - 1:  # it got to its end: begin anew
            if at < CONFIG.steps:
                list(train_on(run))
            weights = lesson.load_checkpoint(run.last()).model.state_dict()
            assert equal(weights, finished)
            lesson.shutil.rmtree(run.folder)
            begun(run)
        kills += kill_after(run.root, dice.uniform(0, whole_life / 3))[0]
        half_written += any(run.folder.glob(".step-*"))
        last_steps.add(run.steps()[-1])
        lesson.load_checkpoint(run.last())
        if kills == 30:
            break
    assert kills == 30
    assert half_written >= 2
    assert len(last_steps) >= 8
    if run.steps()[-1] < CONFIG.steps:
        list(train_on(run))
    assert equal(lesson.load_checkpoint(run.last()).model.state_dict(), finished)


def test_two_trainings_under_one_name_one_is_refused(run):
    holder = (
        "import sys, time; from gpt_lib.checkpoints import Path, Run\n"
        "with Run('trial', Path(sys.argv[1])).claim():\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(run.root)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="'trial' is being trained"), run.claim():
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with run.claim():  # however it ended, it let go
        pass


def test_a_name_that_exists_is_not_taken_again(run):
    begun(run)
    old = lesson.read_checkpoint(run.last())
    with pytest.raises(ValueError, match="'trial' exists: r"), run.claim(new=True):
        pass
    assert lesson.read_checkpoint(run.last()) == old
    with FileLock(run.folder / ".lock", timeout=0):  # the refusal let go of the lock
        pass


def test_weights_that_are_not_finite_are_not_saved(run):
    model, progress = begun(run)
    progress.step = 7
    with torch.no_grad():
        model.embed.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="after step 7 the weights are not finite"):
        run.save(model, progress, CARD)
    assert run.steps() == [0]


def test_loading_draws_no_random_numbers_and_gives_evaluation_mode(run):
    begun(run)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model = lesson.load_checkpoint(run.last()).model
    assert torch.rand(1) == expected
    assert not model.training


def test_saved_here_loads_there(run, device):
    model, _ = begun(run)
    (loaded, _, _), progress = lesson.resume(run, device)
    assert next(loaded.parameters()).device.type == device.type
    assert equal(
        model.state_dict(), {n: t.cpu() for n, t in loaded.state_dict().items()}
    )
    records = train(loaded, *(ids.to(device) for ids in texts()), CONFIG, progress)
    assert next(records).step == 0


# Every architecture


@pytest.mark.parametrize("architecture", lesson.ARCHITECTURES)
def test_every_architecture_comes_back_as_it_was(architecture, tmp_path):
    run = lesson.Run("trial", tmp_path)
    card = replace(CARD, architecture=architecture, shape={"vocab_size": 8})
    model, _ = begun(run, card)
    again = lesson.load_checkpoint(run.last())
    ids = torch.tensor([[0, 3, 5]])
    assert torch.equal(again.model(ids), model.eval()(ids))
    assert again.card == card


def test_an_unknown_architecture_or_shape_is_an_error():
    with pytest.raises(
        ValueError, match="no architecture 'RNN': there are bigram, aver"
    ):
        lesson.build("RNN", {})
    with pytest.raises(ValueError, match=r"'bigram' cannot be built with .*'depth'"):
        lesson.build("bigram", {"vocab_size": 3, "depth": 2})


# A hundred ways to be wrong


def flip(data, dice):
    place = dice.randrange(len(data))
    return (
        data[:place]
        + bytes([data[place] ^ (1 << dice.randrange(8))])
        + data[place + 1 :]
    )


def cut(data, dice):
    return data[: dice.randrange(len(data))]


FILES = (lesson.WEIGHTS, lesson.CARD_FILE, lesson.STATE, lesson.SUMS)
ACCIDENTS = [
    (kind, name, seed) for kind in (flip, cut) for name in FILES for seed in range(10)
]


@pytest.mark.parametrize(("kind", "name", "seed"), ACCIDENTS)
def test_an_accident_names_the_file(run, kind, name, seed):
    begun(run)
    path = run.last() / name
    path.write_bytes(kind(path.read_bytes(), random.Random(seed)))
    with pytest.raises(lesson.CheckpointError, match=r"trial.step-000000"):
        lesson.resume(run, torch.device("cpu"))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(run, name):
    begun(run)
    (run.last() / name).unlink()
    with pytest.raises(lesson.CheckpointError, match=re.escape(name)):
        lesson.load_checkpoint(run.last())


class Harm:
    """A pickle that would leave a trace if anybody read it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def change_card(**changes):
    def change(files):
        told = json.loads(files[lesson.CARD_FILE]) | changes
        files[lesson.CARD_FILE] = json.dumps(told).encode()

    return change


def change_weights(change):
    def changed(files):
        weights = load(files[lesson.WEIGHTS])
        files[lesson.WEIGHTS] = save(change(weights) or weights)

    return changed


def instead(name, data):
    def change(files):
        files[name] = data

    return change


def swap(files):
    names = lesson.WEIGHTS, lesson.CARD_FILE
    files[names[0]], files[names[1]] = files[names[1]], files[names[0]]


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
HOSTILE = {
    "files swapped": (swap, "card.json: "),
    "wrong shape": (
        change_weights(lambda w: w.update({"embed.weight": torch.zeros(8, 9)})),
        r"embed\.weight is torch.float32 \(8, 9\), the card says",
    ),
    "wrong kind": (
        change_weights(lambda w: w.update({"embed.weight": torch.zeros(8, 8).long()})),
        "embed.weight is torch.int64",
    ),
    "NaN": (
        change_weights(lambda w: w | {"embed.weight": torch.full((8, 8), torch.nan)}),
        "embed.weight has numbers that are not finite",
    ),
    "a tensor missing": (
        change_weights(lambda w: {n: t for n, t in w.items() if n != "norm.bias"}),
        "norm.bias is missing, or too many",
    ),
    "a tensor too many": (
        change_weights(lambda w: w.update({"more": torch.zeros(1)})),
        "more is missing, or too many",
    ),
    "no JSON": (
        instead(lesson.CARD_FILE, b"hello"),
        "card.json: the file: Invalid JSON",
    ),
    "no UTF-8": (
        instead(lesson.CARD_FILE, b"\xff\xfe"),
        "card.json: the file: Invalid JSON",
    ),
    "a list": (instead(lesson.CARD_FILE, b"[]"), "card.json: the file"),
    "deep JSON": (instead(lesson.CARD_FILE, DEEP), "card.json: the file: Invalid JSON"),
    "NaN in JSON": (
        change_card(validation_loss=float("nan")),
        "card.json: validation_l",
    ),
    "a huge number": (change_card(step=10**400), "card.json: .*is not one of 24"),
    "a text for a number": (change_card(step="3"), "card.json: step"),
    "an unknown field": (change_card(run="rm"), "card.json: run"),
    "an architecture to import": (
        change_card(architecture="os.system"),
        "card.json: no architecture 'os.system'",
    ),
    "a shape to call": (change_card(shape={"vocab_size": "x"}), "cannot be built"),
    "a negative shape": (change_card(shape={"vocab_size": -8}), "card.json|weights"),
    "a terabyte": (
        change_card(shape={**SHAPE, "vocab_size": 10**12}),
        "too small for a model",
    ),
    "a million blocks": (
        change_card(architecture="GPT", shape={"vocab_size": 8, "depth": 10**6}),
        "too small for a model",
    ),
    "no heads": (change_card(shape={**SHAPE, "heads": 0}), "'block' cannot be built"),
    "other characters": (change_card(characters="abc"), "3 characters, but the model"),
    "a character twice": (
        change_card(characters="aabcdefg"),
        "card.json: a vocabulary",
    ),
    "no training": (change_card(training={"steps": 0}), "card.json: training"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_checkpoint_with_right_hashes_is_an_error(run, kind):
    begun(run)
    files = lesson.read_checkpoint(run.last())
    change, message = HOSTILE[kind]
    change(files)
    put(run.last(), files)
    with pytest.raises(lesson.CheckpointError, match=message):
        lesson.load_checkpoint(run.last())


@pytest.mark.parametrize("name", [lesson.WEIGHTS, lesson.CARD_FILE, lesson.STATE])
@pytest.mark.parametrize("torch_file", [False, True])
def test_a_pickle_is_refused_and_not_run(run, tmp_path, name, torch_file):
    begun(run)
    harm = Harm(tmp_path / "harm")
    if torch_file:
        torch.save(harm, tmp_path / "pickle")
    else:
        (tmp_path / "pickle").write_bytes(pickle.dumps(harm))
    files = lesson.read_checkpoint(run.last())
    files[name] = (tmp_path / "pickle").read_bytes()
    put(run.last(), files)
    kind = "ZIP" if torch_file else "pickle"
    message = "Invalid JSON" if name == lesson.CARD_FILE else f"is a {kind}.*refused"
    with pytest.raises(lesson.CheckpointError, match=message):
        lesson.resume(run, torch.device("cpu"))
    assert not (tmp_path / "harm").exists()


STATES = {
    "another shape": {"optimizer.0.exp_avg": torch.zeros(3, 3)},
    "another parameter": {"optimizer.999.exp_avg": torch.zeros(8, 8)},
    "no number": {"optimizer.x.exp_avg": torch.zeros(8, 8)},
    "half a name": {"optimizer.0": torch.zeros(8, 8)},
    "random numbers": {"random.cpu": torch.zeros(3, dtype=torch.uint8)},
    "random kind": {"random.cpu": torch.zeros(5056)},
}


@pytest.mark.parametrize("kind", STATES)
def test_a_state_that_does_not_fit_is_an_error(run, kind):
    begun(run)
    list(islice(train_on(run), 2))
    files = lesson.read_checkpoint(run.last())
    files[lesson.STATE] = save(load(files[lesson.STATE]) | STATES[kind])
    put(run.last(), files)
    with pytest.raises(
        lesson.CheckpointError, match=r"state\.safetensors does not fit"
    ):
        lesson.resume(run, torch.device("cpu"))


def test_sums_may_name_no_other_files(run, tmp_path):
    begun(run)
    path = run.last() / lesson.SUMS
    path.write_text(path.read_text() + f"{'0' * 64}  ../../secret\n")
    with pytest.raises(lesson.CheckpointError, match="does not list the files"):
        lesson.load_checkpoint(run.last())


# What it costs


def test_saving_takes_its_share_of_the_time_and_no_more(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(lesson.time, "perf_counter", lambda: clock[0])

    class Timed(lesson.Run):
        saves = 0

        def save(self, *given):
            type(self).saves += 1
            clock[0] += 0.5

    model = lesson.build("bigram", {"vocab_size": 8})
    progress = Progress.start(model, CONFIG)
    config = replace(CONFIG, steps=2000, evaluate_every=10**6)
    run, card = Timed("x", tmp_path), replace(CARD, training=config)
    records = train(model, *texts(), config, progress)
    for _ in lesson.recorded(records, run, model, progress, card, texts()[1]):
        clock[0] += 0.5  # a step takes as long as a save
    # 1000 s of training: 1 % are 20 saves, the last one is among them.
    assert 18 <= Timed.saves <= 21


@pytest.mark.parametrize("architecture", sorted(lesson.ARCHITECTURES))
def test_an_outline_has_all_shapes_and_no_numbers(architecture):
    shape = {"vocab_size": 7}
    outline = lesson.outline(architecture, shape).state_dict()
    built = lesson.build(architecture, shape).state_dict()
    assert outline.keys() == built.keys()
    for name, tensor in built.items():
        assert outline[name].is_meta
        assert outline[name].shape == tensor.shape


def test_loading_a_model_loads_no_compiler():
    """PyTorch's takes more than a second, before the first character."""
    code = (
        "import sys; from gpt_lib import catalog; catalog.load('shakespeare');"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
