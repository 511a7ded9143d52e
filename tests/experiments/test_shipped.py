"""The models that come with the course are made by `make shipped`."""

import pytest

from gpt_lib import catalog
from gpt_lib.data import load_corpus
from gpt_lib.experiments import shipped
from gpt_lib.experiments.ladder import read_ladder_runs
from gpt_lib.training import TrainingConfig, evaluate_loss

CONFIG = TrainingConfig(steps=3, warmup_steps=1, batch_size=4, evaluation_batches=1)


def test_the_losses_fall_from_stage_to_stage_as_on_the_ladder():
    losses = {
        name: catalog.load(name).card.test_loss for name in catalog.SHIPPED_STAGE_NAMES
    }
    assert list(losses.values()) == sorted(losses.values())
    assert losses["shakespeare"] < 1.55
    labels = {"block": "block", "one-head": "one head", "many-heads": "+ position"}
    for name, stage in {**labels, "averaging": "averaging"}.items():
        [loss] = [
            row["test_loss"]
            for row in read_ladder_runs()
            if (row["stage"], row["budget"], row["seed"]) == (stage, "tokens", 1)
            and row["text"] == "tinyshakespeare"
        ]
        assert losses[name] == pytest.approx(loss, abs=0.02), name


@pytest.fixture
def tiny_folder(tmp_path, monkeypatch):
    """One tiny recipe, and the folder that its model will be in."""
    shape = {"context": 16, "width": 8, "heads": 2, "depth": 1}
    for module in (shipped, catalog):
        monkeypatch.setattr(module, "SHIPPED_MODELS_FOLDER", tmp_path / "models")
    monkeypatch.setattr(catalog, "SHIPPED_MODEL_NAMES", ("tiny",))
    monkeypatch.setattr(shipped, "SHIPPED_MODEL_NAMES", ("tiny",))
    recipes = {"tiny": catalog.Recipe("gpt", CONFIG, shape)}
    monkeypatch.setattr(catalog, "TRAINING_RECIPES", recipes)
    return tmp_path / "models" / "tiny"


def test_the_command_makes_a_model_that_loads_again(tiny_folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["shipped"])
    shipped.main()
    model, tokenizer, card = catalog.load("tiny")
    assert model.config.width == 8
    assert tokenizer.vocab_size == 65
    message = f"tiny: validation {card.validation_loss}, test {card.test_loss}"
    assert message in capsys.readouterr().out
    ids = load_corpus("tinyshakespeare", tokenizer).validation
    loss = evaluate_loss(model, ids)
    assert loss == pytest.approx(card.validation_loss, abs=1e-3)


def test_an_unknown_name_is_an_error_that_lists_the_known(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["shipped", "hamlet"])
    with pytest.raises(SystemExit):
        shipped.main()
    assert (
        "no model hamlet: there are shakespeare, presidents" in capsys.readouterr().err
    )
