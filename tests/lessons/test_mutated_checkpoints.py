"""Two hundred foreign checkpoints: each is refused in one line, soon and cheaply."""

import json
import os
import random
import resource
import time
from hashlib import sha256

import pytest
import torch
from safetensors.torch import load, save

from gpt_lib import checkpoints, runs
from gpt_lib.training import TRAINING_RANGES
from tests.lessons.small_run import begin, resume_and_train

COUNT = 200
MAX_SECONDS, MAX_MEMORY = 2.0, 200 * 1024**2
NUMBERS = [-1, 0, 2**31, 10**12, 10**30, 1e30, -1e-9, 0.5]
VALUES = [None, "", "x" * 10**5, "\x1b[2J", [], {}, True, [[]], {"a": {}}]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of a checkpoint that is right."""
    run = runs.CheckpointWriter("good", tmp_path_factory.mktemp("runs"))
    begin(run)
    records = resume_and_train(run)
    for _ in range(5):
        next(records)
    records.close()
    return checkpoints.read_checkpoint_files(run.last())


# Each changes a folder, or its files; hashes are made anew, as an attacker would.


def odd_file(folder, generator):
    """A file that is no file, or not the right one."""
    path = folder / generator.choice(sorted(os.listdir(folder)))
    data = path.read_bytes()
    kind = generator.choice(
        ["gone", "folder", "link", "pipe", "device", "sparse", "cut", "flip"]
    )
    path.unlink()
    if kind == "folder":
        path.mkdir()
    if kind == "link":
        path.symlink_to("/etc/hostname")
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "device":
        path.symlink_to("/dev/zero")
    if kind == "sparse":
        with path.open("wb") as file:
            file.write(data)
            file.truncate(100 * 1024**3)
    if kind == "cut":
        path.write_bytes(data[: generator.randrange(len(data))])
    if kind == "flip":
        place = generator.randrange(len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    return f"{kind} {path.name}"


def odd_card(folder, generator):
    """A field of the card, of its shape or of its training that cannot be."""
    card = json.loads((folder / checkpoints.CARD_FILE).read_bytes())
    part = generator.choice(["card", "shape", "training", "tokenizer"])
    target = card if part == "card" else card[part]
    name = generator.choice(sorted(target))
    right = target[name]
    wrong = [v for v in NUMBERS + VALUES if type(v) is not type(right)]
    if name in TRAINING_RANGES:
        low, high = TRAINING_RANGES[name]
        wrong = [
            v for v in NUMBERS + VALUES if not (type(v) is int and low <= v <= high)
        ]
        wrong = [
            v
            for v in wrong
            if not (
                isinstance(right, float)
                and type(v) in (int, float)
                and low <= v <= high
            )
        ]
    if part == "shape" and name != "dropout":
        wrong = [-1, 0, 10**12, 10**30, "x" * 10**5, "\x1b[2J", 0.5]
    if name == "dropout":
        wrong = [-1, 2**31, 1e30, -1e-9, "", "x" * 10**5]
    if right is None or name in ("test_loss", "validation_loss", "seconds"):
        wrong = ["", [], {}, "x" * 10**5]
    if generator.random() < 0.1:
        name, wrong = "more", [1]
    target[name] = generator.choice(wrong)
    (folder / checkpoints.CARD_FILE).write_text(json.dumps(card))
    return f"{part}.{name} = {str(target[name])[:30]!r}"


def odd_tensors(folder, generator):
    """A tensor of the weights or of the state that does not belong there."""
    path = folder / generator.choice([checkpoints.WEIGHTS_FILE, checkpoints.STATE_FILE])
    tensors = load(path.read_bytes())
    name = generator.choice(sorted(tensors))
    tensor = tensors.pop(name)
    kind = generator.choice(
        ["gone", "scalar", "int8", "NaN", "renamed", "long", "flat"]
    )
    if kind == "NaN" and not tensor.is_floating_point():
        kind = "gone"
    others = {
        "scalar": {
            name: torch.zeros((), dtype=tensor.dtype)
            if tensor.dim()
            else torch.zeros(3)
        },
        "int8": {name: torch.zeros(tensor.shape, dtype=torch.int8)},
        "NaN": {name: torch.full_like(tensor, torch.nan) if kind == "NaN" else tensor},
        "renamed": {
            generator.choice(
                [f"{name}.x", "optimizer.-1.exp_avg", "x", "optimizer.0"]
            ): tensor
        },
        "long": {name: torch.zeros(tensor.numel() + 1, dtype=tensor.dtype)},
        "flat": {name: tensor.reshape(1, -1).clone()},
    }
    path.write_bytes(save(tensors | others.get(kind, {})))
    return f"{path.name}: {kind} {name}"


def remake_hashes(folder):
    lines = [
        f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (
            checkpoints.CARD_FILE,
            checkpoints.WEIGHTS_FILE,
            checkpoints.STATE_FILE,
        )
    ]
    (folder / checkpoints.HASHES_FILE).write_text("".join(lines))


def highest_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and devices")
@pytest.mark.parametrize("seed", range(COUNT))
def test_a_mutated_checkpoint_is_refused(files, tmp_path, seed):
    generator = random.Random(seed)
    run = runs.CheckpointWriter("foreign", tmp_path)
    checkpoints.write_checkpoint_files(run.at(5), files)
    mutation = generator.choice([odd_file, odd_card, odd_tensors])
    what = mutation(run.at(5), generator)
    if mutation is not odd_file:
        remake_hashes(run.at(5))
    memory, start = highest_memory(), time.monotonic()
    with pytest.raises(checkpoints.CheckpointError) as refusal:
        print(what, runs.load_for_resuming(run, torch.device("cpu")))
    assert time.monotonic() - start < MAX_SECONDS, what
    assert highest_memory() - memory < MAX_MEMORY, what
    assert str(run.at(5)) in str(refusal.value) or "there is no run" in str(
        refusal.value
    )
