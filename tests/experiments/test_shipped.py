"""The models that come with the course, and how every model is found by its name."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save

from gpt_lib import catalog
from gpt_lib.attention import future_leak
from gpt_lib.bigram import write
from gpt_lib.checkpoints import (
    WEIGHTS,
    Card,
    CheckpointError,
    Run,
    build,
    read_checkpoint,
    write_checkpoint,
)
from gpt_lib.experiments import shipped
from gpt_lib.experiments.ladder import read_results
from gpt_lib.text import TEXTS, load_text, split
from gpt_lib.training import Progress, TrainingConfig, validation_loss

CONFIG = TrainingConfig(steps=3, warmup=1, batch=4, evaluation_batches=1)


def test_the_folder_holds_what_has_a_recipe_and_is_small():
    assert tuple(shipped.RECIPES) == catalog.SHIPPED
    assert {path.name for path in catalog.MODELS.iterdir()} == {*catalog.SHIPPED}
    files = [path for path in catalog.MODELS.rglob("*") if path.is_file()]
    assert sum(file.stat().st_size for file in files) <= 8_000_000


@pytest.mark.parametrize("name", catalog.SHIPPED)
def test_a_card_tells_how_it_was_made(name):
    card, recipe = catalog.load(name).card, shipped.RECIPES[name]
    assert card.architecture == recipe.architecture
    assert card.training == recipe.plan
    assert card.shape == {"vocab_size": 65, **recipe.shape}
    assert card.text_sha256 == TEXTS["tinyshakespeare"].sha256
    assert card.step == card.training.steps
    assert card.seconds > 1
    assert card.machine["PyTorch"]
    assert card.date


@pytest.mark.parametrize("name", catalog.SHIPPED)
def test_its_loss_is_what_the_card_says_and_it_sees_no_future(name, device):
    model, tokenizer, card = catalog.load(name)
    assert not model.training
    ids = split(tokenizer.encode(load_text(card.text)))[1].to(device)
    loss = validation_loss(model.to(device), ids)
    assert loss == pytest.approx(card.validation_loss, abs=1e-3)
    assert future_leak(model, ids[None, :24]) < 1e-4


def test_the_losses_fall_from_stage_to_stage_as_on_the_ladder():
    losses = {name: catalog.load(name).card.validation_loss for name in catalog.SHIPPED}
    assert list(losses.values()) == sorted(losses.values())
    assert losses["shakespeare"] < 1.55
    rungs = {"block": "block", "one-head": "one head", "many-heads": "+ position"}
    for name, stage in {**rungs, "averaging": "averaging"}.items():
        [row] = [
            row["val_loss"]
            for row in read_results()
            if (row["stage"], row["budget"], row["seed"]) == (stage, "tokens", 1)
            and row["text"] == "tinyshakespeare"
        ]
        assert losses[name] == pytest.approx(row, abs=0.02), name


def test_it_writes_words():
    model, tokenizer, _ = catalog.load("shakespeare")
    written = "".join(write(tokenizer, model, "JULIET:\n", 200, temperature=0.7))
    assert sum(word in written.split() for word in ("the", "and", "to", "of", "I")) >= 2


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """One tiny recipe, in a folder of its own."""
    shape = {"context": 16, "width": 8, "heads": 2, "depth": 1}
    for module in (shipped, catalog):
        monkeypatch.setattr(module, "MODELS", tmp_path / "models")
    monkeypatch.setattr(catalog, "SHIPPED", ("tiny",))
    recipes = {"tiny": shipped.Recipe("GPT", CONFIG, shape)}
    monkeypatch.setattr(shipped, "RECIPES", recipes)
    return tmp_path / "models" / "tiny"


def test_missing_files_are_named(elsewhere):
    with pytest.raises(CheckpointError, match=r"tiny is no checkpoint: it has no SHA"):
        catalog.load("tiny")


def test_the_command_makes_a_model_that_loads_again(elsewhere, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["shipped"])
    shipped.main()
    model, tokenizer, card = catalog.load("tiny")
    assert model.config.width == 8
    assert tokenizer.vocab_size == 65
    told = f"tiny: validation loss {card.validation_loss}"
    assert told in capsys.readouterr().out
    ids = split(tokenizer.encode(load_text("tinyshakespeare")))[1]
    loss = validation_loss(model, ids)
    assert loss == pytest.approx(card.validation_loss, abs=1e-3)


def test_an_unknown_name_is_an_error_that_lists_the_known(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["shipped", "hamlet"])
    with pytest.raises(SystemExit):
        shipped.main()
    assert "no model hamlet: there are shakespeare, block" in capsys.readouterr().err


def test_weights_of_another_shape_are_an_error(elsewhere):
    shipped.make("tiny")
    files = read_checkpoint(elsewhere)
    weights = load(files[WEIGHTS]) | {"embed.weight": torch.zeros(65, 9)}
    shutil.rmtree(elsewhere)
    write_checkpoint(elsewhere, files | {WEIGHTS: save(weights)})
    with pytest.raises(
        CheckpointError, match=r"embed\.weight is .*\(65, 9\), the card"
    ):
        catalog.load("tiny")


# The learner's own runs beside them


def a_run(name, root):
    card = Card("bigram", {"vocab_size": 3}, "abc", "letters", "0" * 64, CONFIG)
    model = build(card.architecture, card.shape)
    run, progress = Run(name, root), Progress.start(model, CONFIG)
    for step, loss in enumerate([2.0, 1.0, 3.0], 1):
        progress.step = step
        with torch.no_grad():
            model.table.weight.fill_(loss)
        run.save(model, progress, replace(card, step=step, validation_loss=loss))
    return run


def test_runs_stand_behind_the_models_of_the_course(tmp_path):
    assert catalog.names(tmp_path / "none yet") == [*catalog.SHIPPED]
    for name in ("zebra", "apple"):
        a_run(name, tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "not a name").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    assert catalog.names(tmp_path) == [*catalog.SHIPPED, "apple", "zebra"]


def test_a_run_writes_with_its_best_checkpoint(tmp_path):
    a_run("apple", tmp_path)
    assert catalog.load("apple", tmp_path).model.table.weight[0, 0] == 1
    row = catalog.row("apple", tmp_path)
    assert (row["kind"], row["parameters"], row["loss"]) == ("bigram", 9, 1.0)


def test_a_run_may_not_hide_a_model_of_the_course(tmp_path):
    a_run("shakespeare", tmp_path)
    assert catalog.names(tmp_path) == [*catalog.SHIPPED]
    assert catalog.load("shakespeare", tmp_path).tokenizer.vocab_size == 65


def test_one_damaged_run_does_not_take_the_others_along(tmp_path, capsys):
    a_run("apple", tmp_path)
    run = a_run("bad", tmp_path)
    for step in run.steps():
        (run.at(step) / WEIGHTS).write_bytes(b"")
    assert list(catalog.writers(tmp_path)) == [*catalog.SHIPPED, "apple"]
    assert "left out: " in capsys.readouterr().err


def test_an_unknown_model_is_an_error_that_lists_the_known(tmp_path):
    a_run("apple", tmp_path)
    with pytest.raises(ValueError, match=r"no model 'pear': there are shake.*, apple$"):
        catalog.load("pear", tmp_path)
