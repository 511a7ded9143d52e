"""A checkpoint is whole or not there, and read without trust, however old it is."""

import json
import os
import pickle
import random
import re
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from gpt_lib import catalog, runs
from gpt_lib import checkpoints as lesson
from gpt_lib.data import load_text
from gpt_lib.generation import SamplingConfig, generate, next_logits
from gpt_lib.modern import ModernConfig
from gpt_lib.text import train_validation_test_split
from gpt_lib.training import TrainingConfig, TrainingState, train
from tests.lessons.small_run import (
    CARD,
    SHAPE,
    TOKENIZER,
    begin,
    replace_checkpoint,
    resume_and_train,
    same_tensors,
)


@pytest.fixture
def run(tmp_path):
    return runs.CheckpointWriter("trial", tmp_path)


# Whole or not there


def test_what_is_written_is_read_and_the_tool_agrees(tmp_path):
    files = {lesson.WEIGHTS_FILE: b"weights", lesson.CARD_FILE: b"{}"}
    lesson.write_checkpoint_files(tmp_path / "step-000001", files)
    assert lesson.read_checkpoint_files(tmp_path / "step-000001") == files
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    if sys.platform == "linux":
        command = ["sha256sum", "--check", "--strict", lesson.HASHES_FILE]
        subprocess.run(command, cwd=tmp_path / "step-000001", check=True)


class DyingError(Exception):
    pass


def die_at(monkeypatch, calls):
    """Let the process "die" in its call number `calls` to the file system."""
    remaining = [calls]

    def counted(function):
        def call(*arguments, **options):
            remaining[0] -= 1
            if remaining[0] < 0:
                raise DyingError
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(lesson.Path, "open", counted(lesson.Path.open))
    monkeypatch.setattr(lesson.Path, "rename", counted(lesson.Path.rename))
    monkeypatch.setattr(lesson.Path, "mkdir", counted(lesson.Path.mkdir))
    # Not used: a copy is there in parts. A rename is there at once.
    monkeypatch.setattr(lesson.shutil, "copyfile", counted(lesson.shutil.copyfile))
    # A dead process cleans nothing up.
    monkeypatch.setattr(lesson.shutil, "rmtree", lambda *_, **__: None)


@pytest.mark.parametrize("calls", range(14))
def test_a_death_in_any_moment_of_a_write_leaves_the_old_or_the_new(
    tmp_path, monkeypatch, calls
):
    before, after = (
        {lesson.WEIGHTS_FILE: w, lesson.CARD_FILE: b"{}"} for w in (b"1", b"2")
    )
    lesson.write_checkpoint_files(tmp_path / "step-000001", before)
    with monkeypatch.context() as context:
        die_at(context, calls)
        try:
            lesson.write_checkpoint_files(tmp_path / "step-000002", after)
            died = False
        except DyingError:
            died = True
    steps = runs.checkpoint_steps(path.name for path in tmp_path.iterdir())
    assert lesson.read_checkpoint_files(tmp_path / "step-000001") == before
    if 2 in steps:
        assert lesson.read_checkpoint_files(tmp_path / "step-000002") == after
    assert died or 2 in steps
    if 2 not in steps:  # over what was left
        lesson.write_checkpoint_files(tmp_path / "step-000002", after)
    assert lesson.read_checkpoint_files(tmp_path / "step-000002") == after


def test_every_moment_of_a_write_was_tried(tmp_path, monkeypatch):
    files = {lesson.WEIGHTS_FILE: b"1", lesson.CARD_FILE: b"{}"}
    with monkeypatch.context() as context:
        die_at(context, 13)
        lesson.write_checkpoint_files(tmp_path / "step-000001", files)
    assert lesson.read_checkpoint_files(tmp_path / "step-000001") == files


# Every architecture


@pytest.mark.parametrize("architecture", lesson.ARCHITECTURES)
def test_every_architecture_comes_back_as_it_was(architecture, tmp_path):
    run = runs.CheckpointWriter("trial", tmp_path)
    card = replace(CARD, architecture=architecture, shape={"vocab_size": 8})
    model, _ = begin(run, card)
    again = lesson.load_checkpoint(run.last())
    ids = torch.tensor([[0, 3, 5]])
    assert torch.equal(again.model(ids), model.eval()(ids))
    assert again.card == card


def test_an_unknown_architecture_or_shape_is_an_error():
    with pytest.raises(
        ValueError, match="no architecture 'RNN': there are bigram, aver"
    ):
        lesson.build_architecture("RNN", {})
    with pytest.raises(ValueError, match=r"'bigram' cannot be built with .*'depth'"):
        lesson.build_architecture("bigram", {"vocab_size": 3, "depth": 2})


def test_loading_draws_no_random_numbers_and_gives_evaluation_mode(run):
    begin(run)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model = lesson.load_checkpoint(run.last()).model
    assert torch.rand(1) == expected
    assert not model.training


def test_a_weight_may_lie_in_memory_in_any_order(run):
    model, state = begin(run)
    with torch.no_grad():
        model.embed.weight.set_(model.embed.weight.detach().mT.contiguous().mT)
    assert not model.embed.weight.is_contiguous()
    state.step = 1
    run.save(model, state, CARD)
    again = lesson.load_checkpoint(run.last()).model
    assert same_tensors(again.state_dict(), model.state_dict())


def test_what_a_session_has_set_does_not_decide_what_is_loaded(run, monkeypatch):
    model, _ = begin(run)
    monkeypatch.chdir("/")
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        again = lesson.load_checkpoint(run.last()).model
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert same_tensors(again.state_dict(), model.state_dict())
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    ("architecture", "number"), [("modern-gpt", 13), ("ngram-gpt", 15)]
)
def test_an_architecture_of_a_later_lesson_is_an_error_that_says_which(
    run, architecture, number
):
    card = replace(CARD, architecture=architecture)
    files = {
        lesson.CARD_FILE: lesson.CARD_SCHEMA.dump_json(card),
        lesson.WEIGHTS_FILE: save({"embed.weight": torch.zeros(8, 8)}),
    }
    lesson.write_checkpoint_files(run.at(0), files)
    with pytest.raises(
        lesson.CheckpointError, match=f"{architecture}.*lesson {number} brings it"
    ):
        lesson.load_checkpoint(run.last())


def test_other_architectures_and_tokenizers_are_passed_in(run):
    card = replace(CARD, architecture="mine", tokenizer={"kind": "mine"})
    kinds = (
        {"mine": lesson.ARCHITECTURES["one-block"]},
        {"mine": lambda card: TOKENIZER},
    )
    model = lesson.build_architecture("mine", SHAPE, kinds[0])
    run.save(model, TrainingState.start(model, card.training), card)
    loaded = lesson.load_checkpoint(run.last(), *kinds)
    assert loaded.tokenizer is TOKENIZER
    (resumed, _, _), _ = runs.load_for_resuming(run, torch.device("cpu"), *kinds)
    assert same_tensors(resumed.state_dict(), model.state_dict())
    with pytest.raises(lesson.CheckpointError, match="no architecture 'mine'"):
        lesson.load_checkpoint(run.last())
    with pytest.raises(lesson.CheckpointError, match="no tokenizer 'mine'"):
        lesson.load_checkpoint(run.last(), kinds[0])


def test_an_optimizer_of_a_later_lesson_is_an_error_that_says_which(run):
    begin(run)
    with pytest.raises(lesson.CheckpointError, match="no optimizer 'AdamW': there are"):
        runs.load_for_resuming(
            run, torch.device("cpu"), optimizers={"SGD": torch.optim.SGD}
        )
    with pytest.raises(ValueError, match=r"no optimizer 'Muon'.*lesson 14 brings it"):
        lesson.look_up_by_name("optimizer", "Muon", {"SGD": torch.optim.SGD})


# Old formats, and one that is to come: old_run/ was written by the code of 0.1, which
# also wrote what it made of it into expected.json.


OLD_RUNS = Path(__file__).parent / "old_run"
EXPECTED = json.loads((OLD_RUNS / "expected.json").read_text(encoding="utf-8"))
KINDS = catalog.ARCHITECTURES, lesson.TOKENIZER_LOADERS
QUESTION = "to be or not to be, that is the question\n" * 40  # what "modern" read


@pytest.fixture
def old_run(request, tmp_path):
    """A copy of an old run, since whoever resumes it writes there."""
    lesson.shutil.copytree(OLD_RUNS / request.param, tmp_path / request.param)
    return runs.CheckpointWriter(request.param, tmp_path)


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("bigram", "bigram"), ("averaging", "averaging"), ("one-head", "one-head"),
     ("many-heads", "multi-head"), ("block", "one-block"), ("counts", "ngram-gpt")],
)  # fmt: skip
def test_an_old_model_of_every_architecture_says_the_same(name, architecture):
    model, tokenizer, card = lesson.load_checkpoint(OLD_RUNS / name, *KINDS)
    logits = next_logits(model, torch.tensor([[0, 1, 2, 3, 1]]))[0]
    expected = torch.tensor(EXPECTED[name]["logits"])
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    assert (card.architecture, card.format) == (architecture, lesson.FORMAT)
    assert tokenizer.decode(torch.arange(4)) == " abe"


@pytest.mark.parametrize("old_run", ["gpt", "modern"], indirect=True)
def test_an_old_run_writes_the_same_text(old_run):
    model, tokenizer, _ = lesson.load_checkpoint(old_run.last(), *KINDS)
    expected = EXPECTED[old_run.name]
    prompt = tokenizer.encode(expected["prompt"])[None]
    for seed, settings in ((3, {}), (4, {"temperature": 0.7, "top_k": 5})):
        key = "".join([f"seed {seed}", *(f", {k} {v}" for k, v in settings.items())])
        written = expected["written"][key]
        tokens = list(generate(model, prompt, 60, SamplingConfig(**settings), seed))
        ids = torch.cat([token.ids for token in tokens])
        assert ids.tolist() == written["ids"]
        assert tokenizer.decode(ids) == written["text"]
        probabilities = torch.cat([token.probabilities for token in tokens[:5]])
        assert probabilities.tolist() == pytest.approx(
            written["probabilities"], rel=1e-4
        )


def resume_old(run):
    return runs.load_for_resuming(
        run, torch.device("cpu"), *KINDS, optimizers=catalog.OPTIMIZERS
    )


# Muon makes every direction of an update equally long, rounding errors included.
@pytest.mark.parametrize(
    ("old_run", "count", "tolerance"),
    [("gpt", 7, 1e-3), ("modern", 3, 1e-2)],
    indirect=["old_run"],
)
def test_an_old_run_is_resumed_with_the_same_losses(old_run, count, tolerance):
    (model, tokenizer, card), state = resume_old(old_run)
    text = load_text(card.text) if old_run.name == "gpt" else QUESTION
    assert sha256(text.encode()).hexdigest() == card.text_sha256
    ids = tokenizer.encode(text)
    assert card.split == "90/0/10"  # what was not written down
    train_ids, validation_ids, _ = train_validation_test_split(ids, split=card.split)
    records = train(model, train_ids, validation_ids, card.training, state)
    progress = runs.TrainingProgress(old_run, model, state, card, validation_ids)
    records = runs.checkpointed(records, progress)
    losses = [
        (r.batch_loss, r.validation_estimate or 0, r.step)
        for r in list(records)[:count]
    ]
    expected = [
        (loss, estimate or 0, step)
        for step, loss, _, estimate in EXPECTED[old_run.name]["losses"][:count]
    ]
    for ours, theirs in zip(losses, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=tolerance)
    card = lesson.load_checkpoint(old_run.last(), *KINDS).card
    assert (card.step, card.format) == (card.training.steps, lesson.FORMAT)
    steps = [record.step for record in card.history]
    assert steps == sorted(set(steps))
    assert steps[-1] == card.training.steps


@pytest.mark.parametrize("old_run", ["gpt", "modern"], indirect=True)
def test_an_optimizer_goes_on_with_its_old_state(old_run):
    """Every tensor of it, under names that the optimizer uses."""
    tensors = load((old_run.last() / lesson.STATE_FILE).read_bytes())
    (model, tokenizer, card), state = resume_old(old_run)
    groups = state.optimizer.param_groups
    parameters = [parameter for group in groups for parameter in group["params"]]
    names = {"average": "exp_avg", "square": "exp_avg_sq"}
    for index, parameter in enumerate(parameters):
        prefix = f"optimizer.{index}."
        old = {
            n.removeprefix(prefix): t
            for n, t in tensors.items()
            if n.startswith(prefix)
        }
        muon = old.keys() == {"average"}
        new = {
            "momentum_buffer" if muon else names.get(name, name): tensor
            for name, tensor in old.items()
        }
        assert same_tensors(new, state.optimizer.state[parameter])
    keys = [set(state.optimizer.state[parameter]) for parameter in parameters]
    ids = tokenizer.encode("to be " * 12)
    next(train(model, ids, ids, replace(card.training, steps=99), state))
    assert [set(state.optimizer.state[parameter]) for parameter in parameters] == keys


@pytest.mark.parametrize("old_run", ["gpt"], indirect=True)
def test_the_card_of_an_old_run_is_told_in_the_new_names(old_run):
    card = lesson.load_checkpoint(old_run.last()).card
    assert card.text == "toy-diary"
    assert card.shape == {
        "vocab_size": card.shape["vocab_size"],
        "context": 16,
        "width": 8,
        "heads": 2,
        "depth": 2,
        "dropout": 0.1,
    }
    assert card.training == TrainingConfig(
        steps=40, batch_size=4, context=16, learning_rate=1e-2, warmup_steps=4,
        record_every=4, evaluate_every=8, evaluation_batches=2, final_lr_fraction=0.2,
        max_grad_norm=0.5,
    )  # fmt: skip
    assert (card.split, card.private, card.loss_unit) == (
        "90/0/10",
        False,
        "nats per token",
    )


def test_every_old_name_is_used_by_some_old_run():
    """Or the table holds a name that nobody tested."""
    cards = [path.read_text(encoding="utf-8") for path in OLD_RUNS.rglob("card.json")]
    names = []
    for path in OLD_RUNS.rglob("*.safetensors"):
        names += [f".{name}." for name in load(path.read_bytes())]
    for old in (old for table in lesson.RENAMED_KEYS.values() for old in table):
        assert any(f'"{old}":' in card for card in cards), old
    for old in (old for table in lesson.RENAMED_VALUES.values() for old in table):
        assert any(f': "{old}"' in card for card in cards), old
    for old in lesson.RENAMED_TENSOR_NAME_PARTS.keys() - {"average alone"}:
        assert any(f".{old}." in name for name in names), old


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ({}, {"embedding_norm": True, "attention_scale": 1.3}),
        ({"norm": "layer"}, {"embedding_norm": False, "zero_init_unembed": True}),
        ({"qk_norm": False, "quiet": False}, {"attention_scale": 1.0}),
        ({"quiet": False}, {"zero_init": False, "zero_init_unembed": False}),
    ],
)
def test_an_old_modern_gpt_keeps_what_its_shape_did_not_say(shape, fields):
    card, _ = lesson.upgrade({"architecture": "modern GPT", "shape": shape}, {})
    expected = fields | {"norm_eps": 0.0}
    assert expected.items() <= card["shape"].items()
    ModernConfig(5, **card["shape"])


def test_what_is_new_is_not_upgraded(run):
    begin(run)
    files = lesson.read_checkpoint_files(run.last())
    card = json.loads(files[lesson.CARD_FILE])
    tensors = {"table": torch.zeros(1), "optimizer.0.average": torch.ones(1)}
    assert lesson.upgrade(card, tensors) == (card, tensors)


@pytest.mark.parametrize("number", [3, 99, -1, 0, 1.5, None, [2]])
def test_an_unknown_format_is_an_error(run, number):
    begin(run)
    files = lesson.read_checkpoint_files(run.last())
    change_card(format=number, better=True)(files)
    replace_checkpoint(run.last(), files)
    message = (
        r"card\.json: format .* is none that this gpt_lib reads \(1 to 2\): update"
    )
    with pytest.raises(lesson.CheckpointError, match=message):
        lesson.load_checkpoint(run.last())


# A hundred ways to be wrong


def flip(data, generator):
    position = generator.randrange(len(data))
    byte = bytes([data[position] ^ (1 << generator.randrange(8))])
    return data[:position] + byte + data[position + 1 :]


def cut(data, generator):
    return data[: generator.randrange(len(data))]


FILES = (lesson.WEIGHTS_FILE, lesson.CARD_FILE, lesson.STATE_FILE, lesson.HASHES_FILE)
ACCIDENTS = [
    (kind, name, seed) for kind in (flip, cut) for name in FILES for seed in range(10)
]


@pytest.mark.parametrize(("kind", "name", "seed"), ACCIDENTS)
def test_an_accident_names_the_file(run, kind, name, seed):
    begin(run)
    path = run.last() / name
    path.write_bytes(kind(path.read_bytes(), random.Random(seed)))
    with pytest.raises(lesson.CheckpointError, match=r"trial.step-000000"):
        runs.load_for_resuming(run, torch.device("cpu"))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(run, name):
    begin(run)
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
        card = json.loads(files[lesson.CARD_FILE]) | changes
        files[lesson.CARD_FILE] = json.dumps(card).encode()

    return change


def change_weights(change):
    def changed(files):
        weights = load(files[lesson.WEIGHTS_FILE])
        files[lesson.WEIGHTS_FILE] = save(change(weights) or weights)

    return changed


def instead(name, data):
    def change(files):
        files[name] = data

    return change


def swap(files):
    names = lesson.WEIGHTS_FILE, lesson.CARD_FILE
    files[names[0]], files[names[1]] = files[names[1]], files[names[0]]


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
HOSTILE = {
    "files swapped": (swap, "card.json: "),
    "wrong shape": (
        change_weights(lambda w: w.update({"embed.weight": torch.zeros(8, 9)})),
        r"embed\.weight is torch.float32 \(8, 9\), not torch.float32 \(8, 8\)",
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
        r"a model of .* takes .* GiB, and this machine has",
    ),
    "a million blocks": (
        change_card(architecture="gpt", shape={"vocab_size": 8, "depth": 10**6}),
        "depth=1000000 must be from 1 to 1,000",
    ),
    "no heads": (change_card(shape={**SHAPE, "heads": 0}), "heads=0 does not divide"),
    "half a head": (
        change_card(shape={**SHAPE, "heads": 0.5}),
        "'one-block' cannot be built with heads=0.5: it must be a whole number",
    ),
    "a tokenizer with more": (
        change_card(tokenizer={"kind": "characters", "characters": "abcdefgh", "a": 1}),
        "card.json: the card of a tokenizer of kind 'characters' has no 'a'",
    ),
    "other characters": (
        change_card(tokenizer={"kind": "characters", "characters": "abc"}),
        "card.json: the tokenizer has 3 tokens, but the model has a vocabulary of 8",
    ),
    "a character twice": (
        change_card(tokenizer={"kind": "characters", "characters": "aabcdefg"}),
        "card.json: a vocabulary",
    ),
    "a tokenizer to import": (
        change_card(tokenizer={"kind": "os.system", "characters": "ls"}),
        "card.json: no tokenizer 'os.system': there are characters",
    ),
    "a tokenizer of no kind": (
        change_card(tokenizer={"kind": ["characters"]}),
        r"card.json: no tokenizer \['characters'\]",
    ),
    "half a tokenizer": (
        change_card(tokenizer={"kind": "characters"}),
        "card.json: the card of a tokenizer of kind 'characters' is not whole",
    ),
    "characters that are a number": (
        change_card(tokenizer={"kind": "characters", "characters": 8}),
        "card.json: the card of a tokenizer of kind 'characters' is not whole",
    ),
    "fields of two formats": (change_card(characters="abc"), "card.json: characters"),
    "a format that is a text": (
        change_card(format="2"),
        "card.json: format '2' is none that this gpt_lib reads",
    ),
    "an old shape that is a list": (
        change_card(format=1, shape=["quiet"]),
        "card.json: shape",
    ),
    "an old history of numbers": (
        change_card(format=1, history=[1, 2]),
        "card.json: history",
    ),
    "no training": (change_card(training={"steps": 0}), "card.json: training"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_checkpoint_with_right_hashes_is_an_error(run, kind):
    begin(run)
    files = lesson.read_checkpoint_files(run.last())
    change, message = HOSTILE[kind]
    change(files)
    replace_checkpoint(run.last(), files)
    with pytest.raises(lesson.CheckpointError, match=message):
        lesson.load_checkpoint(run.last())


@pytest.mark.parametrize(
    "name", [lesson.WEIGHTS_FILE, lesson.CARD_FILE, lesson.STATE_FILE]
)
@pytest.mark.parametrize("torch_file", [False, True])
def test_a_pickle_is_refused_and_not_run(run, tmp_path, name, torch_file):
    begin(run)
    harm = Harm(tmp_path / "harm")
    if torch_file:
        torch.save(harm, tmp_path / "pickle")
    else:
        (tmp_path / "pickle").write_bytes(pickle.dumps(harm))
    files = lesson.read_checkpoint_files(run.last())
    files[name] = (tmp_path / "pickle").read_bytes()
    replace_checkpoint(run.last(), files)
    kind = "ZIP" if torch_file else "pickle"
    message = "Invalid JSON" if name == lesson.CARD_FILE else f"is a {kind}.*refused"
    with pytest.raises(lesson.CheckpointError, match=message):
        runs.load_for_resuming(run, torch.device("cpu"))
    assert not (tmp_path / "harm").exists()


STATES = {
    "another shape": {"optimizer.0.exp_avg": torch.zeros(3, 3)},
    "no shape": {"optimizer.0.exp_avg": torch.tensor(0.0)},  # fused AdamW would crash
    "another kind": {"optimizer.0.exp_avg": torch.zeros(8, 8, dtype=torch.int8)},
    "not finite": {"optimizer.0.exp_avg": torch.full((8, 8), torch.inf)},
    "another parameter": {"optimizer.999.exp_avg": torch.zeros(8, 8)},
    "a parameter before the first": {"optimizer.-1.exp_avg": torch.zeros(8, 8)},
    "no number": {"optimizer.x.exp_avg": torch.zeros(8, 8)},
    "half a name": {"optimizer.0": torch.zeros(8, 8)},
    "another name": {"more": torch.zeros(1)},
    "random numbers": {"random.cpu": torch.zeros(3, dtype=torch.uint8)},
    "random kind": {"random.cpu": torch.zeros(5056)},
    "no generator": {"random.cpu": torch.full((5056,), 255, dtype=torch.uint8)},
}


@pytest.mark.parametrize("kind", STATES)
def test_a_state_that_does_not_fit_is_an_error(run, kind):
    begin(run)
    list(islice(resume_and_train(run), 2))
    files = lesson.read_checkpoint_files(run.last())
    files[lesson.STATE_FILE] = save(load(files[lesson.STATE_FILE]) | STATES[kind])
    replace_checkpoint(run.last(), files)
    with pytest.raises(
        lesson.CheckpointError,
        match=r"state\.safetensors: (optimizer|random|more|no st)",
    ):
        runs.load_for_resuming(run, torch.device("cpu"))


@pytest.mark.parametrize("forgotten", ["optimizer", "optimizer.0.exp_avg_sq", "random"])
def test_a_state_that_lacks_something_is_an_error(run, forgotten):
    """Without it another run would go on, and nobody would know."""
    begin(run)
    list(islice(resume_and_train(run), 2))
    files = lesson.read_checkpoint_files(run.last())
    tensors = load(files[lesson.STATE_FILE])
    rest = {n: tensor for n, tensor in tensors.items() if not n.startswith(forgotten)}
    files[lesson.STATE_FILE] = save(rest)
    replace_checkpoint(run.last(), files)
    with pytest.raises(lesson.CheckpointError, match="is missing, or too many"):
        runs.load_for_resuming(run, torch.device("cpu"))


@pytest.mark.skipif(os.name != "posix", reason="links")
@pytest.mark.parametrize("name", FILES)
def test_no_file_is_followed_out_of_its_run(run, tmp_path, name):
    """Its content is right: only that it is a link gives it away."""
    begin(run)
    path = run.last() / name
    path.rename(tmp_path / name)
    path.symlink_to(tmp_path / name)
    with pytest.raises(lesson.CheckpointError, match=f"{name} is no regular file"):
        lesson.load_checkpoint(run.at(0))


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_checkpoint_elsewhere_is_none_of_the_run(run, tmp_path):
    begin(run)
    run.at(0).rename(tmp_path / "elsewhere")
    run.at(0).symlink_to(tmp_path / "elsewhere")
    assert run.steps() == []


def test_the_file_of_hashes_may_name_no_other_files(run, tmp_path):
    begin(run)
    path = run.last() / lesson.HASHES_FILE
    path.write_text(path.read_text() + f"{'0' * 64}  ../../secret\n")
    with pytest.raises(lesson.CheckpointError, match="does not list the files"):
        lesson.load_checkpoint(run.last())


@pytest.mark.parametrize("architecture", sorted(lesson.ARCHITECTURES))
def test_a_model_on_meta_has_all_shapes_and_no_numbers(architecture):
    shape = {"vocab_size": 7}
    on_meta = lesson.build_on_meta(architecture, shape).state_dict()
    built = lesson.build_architecture(architecture, shape).state_dict()
    assert on_meta.keys() == built.keys()
    for name, tensor in built.items():
        assert on_meta[name].is_meta
        assert on_meta[name].shape == tensor.shape


def test_loading_a_model_loads_no_compiler():
    """PyTorch's takes more than a second, before the first character."""
    code = (
        "import sys; from gpt_lib import catalog; catalog.load('shakespeare');"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
