"""Every model by one name: its recipe, and how it is found and read."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save

from gpt_lib import catalog
from gpt_lib.attention import future_leak
from gpt_lib.bigram import stream_text
from gpt_lib.cache import CachedReader, PackedWeightsReader
from gpt_lib.checkpoints import (
    WEIGHTS_FILE,
    CheckpointError,
    ModelCard,
    build_architecture,
    read_checkpoint_files,
    write_checkpoint_files,
)
from gpt_lib.data import PUBLIC_TEXTS
from gpt_lib.generation import TextGenerator
from gpt_lib.prepare import prepare_text
from gpt_lib.runs import CheckpointWriter
from gpt_lib.training import TrainingConfig, TrainingState, evaluate_loss

CONFIG = TrainingConfig(steps=3, warmup_steps=1, batch_size=4, evaluation_batches=1)

# Recipes


@pytest.mark.parametrize("name", catalog.TRAINING_RECIPES)
def test_every_recipe_builds_a_model_and_names_an_optimizer(name):
    model = catalog.build_model(name, 11)
    assert model.vocab_size == 11
    recipe = catalog.find_recipe(name)
    assert recipe.architecture in catalog.ARCHITECTURES
    state = TrainingState.start(model, recipe.training, catalog.OPTIMIZERS)
    assert state.step == 0


def test_one_name_is_one_thing():
    assert {*catalog.SHIPPED_MODEL_NAMES, *catalog.LADDER_MODEL_NAMES} <= set(
        catalog.TRAINING_RECIPES
    )
    with pytest.raises(ValueError, match=r"no preset 'huge': there are bigram, aver"):
        catalog.find_recipe("huge")


def test_a_shape_can_be_changed_where_the_architecture_has_the_field():
    shape = catalog.shape_from_recipe("cpu", 65, width=32, depth=1)
    assert (shape["vocab_size"], shape["width"], shape["depth"]) == (65, 32, 1)
    with pytest.raises(ValueError, match=r"one-block has no depth: it has context, wi"):
        catalog.shape_from_recipe("block", 65, depth=2)
    with pytest.raises(ValueError, match=r"bigram has no width: it has nothing to ch"):
        catalog.shape_from_recipe("bigram", 65, width=2)


def test_a_modern_shape_fits_the_heads_and_the_vocabulary():
    for vocab_size, has_bigrams in ((65, True), (3000, False)):
        shape = catalog.shape_from_recipe("modern", vocab_size, heads=1)
        assert (shape["kv_heads"], shape["bigram_embedding"]) == (1, has_bigrams)


# The models that come with the course


def test_the_folder_holds_what_has_a_recipe_and_is_small():
    assert set(catalog.SHIPPED_MODEL_NAMES) <= set(catalog.TRAINING_RECIPES)
    assert {path.name for path in catalog.SHIPPED_MODELS_FOLDER.iterdir()} == {
        *catalog.SHIPPED_MODEL_NAMES
    }
    files = [
        path for path in catalog.SHIPPED_MODELS_FOLDER.rglob("*") if path.is_file()
    ]
    assert sum(file.stat().st_size for file in files) <= 12_000_000


@pytest.mark.parametrize("name", catalog.SHIPPED_MODEL_NAMES)
def test_a_card_says_how_its_model_was_trained(name):
    card, recipe = catalog.load(name).card, catalog.find_recipe(name)
    assert card.architecture == recipe.architecture
    assert card.training == recipe.training
    vocab_size = catalog.load(name).tokenizer.vocab_size
    assert card.shape == catalog.shape_from_recipe(name, vocab_size)
    assert card.text == recipe.text
    if not card.preparation:
        assert card.text_sha256 == PUBLIC_TEXTS[card.text].sha256
    assert card.step == card.training.steps
    assert card.seconds >= 1  # the bigram's takes one
    assert card.machine["PyTorch"]
    assert card.date


@pytest.mark.parametrize("name", catalog.SHIPPED_MODEL_NAMES)
def test_its_loss_is_what_the_card_says_and_it_sees_no_future(name, device):
    model, tokenizer, card = catalog.load(name)
    assert not model.training
    text = prepare_text(card.text, catalog.card_preparation(card))
    assert text.sha256 == card.text_sha256
    corpus = text.to_corpus(tokenizer, split=card.split).to(device)
    model = model.to(device)
    losses = [evaluate_loss(model, ids) for ids in (corpus.validation, corpus.test)]
    assert losses == pytest.approx([card.validation_loss, card.test_loss], abs=1e-3)
    assert future_leak(model, corpus.test[None, :24].long()) < 1e-4


def test_it_writes_words():
    model, tokenizer, _ = catalog.load("shakespeare")
    text = "".join(stream_text(tokenizer, model, "JULIET:\n", 200, temperature=0.7))
    assert sum(word in text.split() for word in ("the", "and", "to", "of", "I")) >= 2


@pytest.mark.parametrize("is_clone", [True, False])
def test_a_wheel_has_the_models_in_the_package(tmp_path, is_clone):
    package, clone = tmp_path / "gpt_lib", tmp_path / "data" / "models"
    if is_clone:
        clone.mkdir(parents=True)
    expected = clone if is_clone else package / "shipped_models"
    assert catalog.shipped_models_folder(package) == expected


def test_a_cache_makes_a_text_faster_and_changes_nothing():
    generator = catalog.load_text_generator("shakespeare")
    assert generator.make_reader is PackedWeightsReader
    assert catalog.load_text_generator("block").make_reader is None
    assert catalog.CACHED_READERS["ngram-gpt"] is CachedReader
    plain = TextGenerator(generator.model, generator.tokenizer)
    texts = [
        [token.text for token in each.generate(each.encode("JULIET:"), 150, seed=3)]
        for each in (generator, plain)
    ]
    assert texts[0] == texts[1]


@pytest.fixture
def tiny_folder(tmp_path, monkeypatch):
    """The folder of a tiny model that comes with the course."""
    monkeypatch.setattr(catalog, "SHIPPED_MODELS_FOLDER", tmp_path / "models")
    monkeypatch.setattr(catalog, "SHIPPED_MODEL_NAMES", ("tiny",))
    return tmp_path / "models" / "tiny"


def make_card(architecture, shape):
    return ModelCard(
        architecture=architecture,
        shape=shape,
        tokenizer={"kind": "characters", "characters": "abc"},
        text="letters",
        text_sha256="0" * 64,
        training=CONFIG,
    )


def test_missing_files_are_named(tiny_folder):
    with pytest.raises(CheckpointError, match=r"tiny is no checkpoint: it has no SHA"):
        catalog.load("tiny")


def test_weights_of_another_shape_are_an_error(tiny_folder):
    shape = {"vocab_size": 3, "context": 16, "width": 8, "heads": 2, "depth": 1}
    catalog.save_model(
        tiny_folder, build_architecture("gpt", shape), make_card("gpt", shape)
    )
    assert catalog.load("tiny").model.config.width == 8
    files = read_checkpoint_files(tiny_folder)
    weights = load(files[WEIGHTS_FILE]) | {"embed.weight": torch.zeros(3, 9)}
    shutil.rmtree(tiny_folder)
    write_checkpoint_files(tiny_folder, files | {WEIGHTS_FILE: save(weights)})
    with pytest.raises(
        CheckpointError, match=r"embed\.weight is .*\(3, 9\), not .*\(3, 8\)"
    ):
        catalog.load("tiny")


# The learner's own runs beside them


def make_run(name, root):
    card = make_card("bigram", {"vocab_size": 3})
    model = build_architecture(card.architecture, card.shape)
    run, state = CheckpointWriter(name, root), TrainingState.start(model, CONFIG)
    for step, loss in enumerate([2.0, 1.0, 3.0], 1):
        state.step = step
        with torch.no_grad():
            model.bigram_logits.weight.fill_(loss)
        run.save(model, state, replace(card, step=step, validation_loss=loss))
    return run


def test_runs_stand_behind_the_models_of_the_course(tmp_path):
    assert catalog.model_names(tmp_path / "none yet") == [*catalog.SHIPPED_MODEL_NAMES]
    for name in ("zebra", "apple"):
        make_run(name, tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "not a name").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    assert catalog.model_names(tmp_path) == [
        *catalog.SHIPPED_MODEL_NAMES,
        "apple",
        "zebra",
    ]


def test_a_run_writes_with_its_best_checkpoint(tmp_path):
    make_run("apple", tmp_path)
    assert catalog.load("apple", tmp_path).model.bigram_logits.weight[0, 0] == 1
    row = catalog.model_table_row("apple", tmp_path)
    assert (row["kind"], row["parameters"], row["loss"]) == ("bigram", 9, 1.0)


def test_a_run_may_not_hide_a_model_of_the_course(tmp_path):
    make_run("shakespeare", tmp_path)
    assert catalog.model_names(tmp_path) == [*catalog.SHIPPED_MODEL_NAMES]
    assert catalog.load("shakespeare", tmp_path).tokenizer.vocab_size == 65


def test_one_damaged_run_does_not_take_the_others_along(tmp_path, capsys):
    make_run("apple", tmp_path)
    run = make_run("bad", tmp_path)
    for step in run.steps():
        (run.at(step) / WEIGHTS_FILE).write_bytes(b"")
    assert list(catalog.load_all_text_generators(tmp_path)) == [
        *catalog.SHIPPED_MODEL_NAMES,
        "apple",
    ]
    assert "left out: " in capsys.readouterr().err


def test_an_unknown_model_is_an_error_that_lists_the_known(tmp_path):
    make_run("apple", tmp_path)
    with pytest.raises(ValueError, match=r"no model 'pear': there are shake.*, apple$"):
        catalog.load("pear", tmp_path)
