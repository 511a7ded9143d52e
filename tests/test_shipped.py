"""The model that comes with the course: small, honest, and made by its command."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt_lib.apps import shipped
from gpt_lib.attention import future_leak
from gpt_lib.bigram import write
from gpt_lib.text import TEXTS, load_text, split
from gpt_lib.training import TrainingConfig, validation_loss


def test_it_is_small_and_its_card_tells_everything():
    assert shipped.WEIGHTS.stat().st_size <= 6_000_000
    card = json.loads(shipped.CARD.read_text(encoding="utf-8"))
    assert card["text_sha256"] == TEXTS["tinyshakespeare"].sha256
    assert card["command"] == "make model"
    for name in ("config", "characters", "seed", "training", "machine", "date"):
        assert card[name], name


def test_its_loss_is_what_the_card_says(device):
    model, tokenizer, card = shipped.load_shipped()
    ids = split(tokenizer.encode(load_text(card["text"])))[1].to(device)
    loss = validation_loss(model.to(device), ids)
    assert loss == pytest.approx(card["validation_loss"], abs=1e-3)
    assert loss < 1.55


def test_it_sees_no_future_and_writes():
    model, tokenizer, _ = shipped.load_shipped()
    assert not model.training
    ids = tokenizer.encode("First Citizen:\nWe are accounted")[None]
    assert future_leak(model, ids) < 1e-4
    written = "".join(write(tokenizer, model, "JULIET:\n", 200, temperature=0.7))
    assert sum(word in written.split() for word in ("the", "and", "to", "of", "I")) >= 2


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    weights = tmp_path / "models" / "shakespeare.safetensors"
    monkeypatch.setattr(shipped, "WEIGHTS", weights)
    monkeypatch.setattr(shipped, "CARD", weights.with_suffix(".json"))
    return weights


def test_missing_files_say_how_to_get_them(elsewhere):
    with pytest.raises(FileNotFoundError, match=r"shakespeare\.json .*`make model`"):
        shipped.load_shipped()


def test_the_command_makes_a_model_that_loads_again(elsewhere, monkeypatch, capsys):
    shape = {"context": 16, "width": 8, "heads": 2, "depth": 1}
    plan = TrainingConfig(steps=3, warmup=1, batch=4, evaluation_batches=1)
    monkeypatch.setattr(shipped, "SHAPE", shape)
    monkeypatch.setattr(shipped, "PLAN", plan)
    shipped.main()
    model, tokenizer, card = shipped.load_shipped()
    assert model.config.width == 8
    assert tokenizer.vocab_size == 65
    assert card["tokens"] == 3 * 4 * 16
    assert f"validation loss {card['validation_loss']}" in capsys.readouterr().out
    ids = split(tokenizer.encode(load_text("tinyshakespeare")))[1]
    assert validation_loss(model, ids) == pytest.approx(
        card["validation_loss"], abs=1e-3
    )


def test_weights_of_another_shape_are_an_error(elsewhere, monkeypatch):
    monkeypatch.setattr(shipped, "SHAPE", {"context": 16, "width": 8, "heads": 2})
    monkeypatch.setattr(
        shipped,
        "PLAN",
        TrainingConfig(steps=1, warmup=0, batch=2, evaluation_batches=1),
    )
    shipped.main()
    weights = load_file(elsewhere)
    weights["embed.weight"] = torch.zeros(65, 9)
    save_file(weights, elsewhere)
    with pytest.raises(RuntimeError, match=r"size mismatch for embed\.weight"):
        shipped.load_shipped()
