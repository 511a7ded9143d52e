"""The whole model: shape, start, learning, and what it expected."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gpt_lib import gpt as lesson
from gpt_lib.bigram import Bigram, generate

SMALL = lesson.GPTConfig(11, context=8, width=12, heads=3, depth=2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"heads": 5}, "heads=5 does not divide width=128"),
        ({"depth": 0}, "depth=0 must be at least 1"),
        ({"context": -1}, "context=-1 must be at least 1"),
        ({"vocab_size": 0}, "vocab_size=0 must be at least 1"),
        ({"dropout": 1.0}, r"dropout=1\.0 must be 0 or more, and below 1"),
        ({"dropout": math.nan}, "dropout=nan must be 0 or more, and below 1"),
    ],
)
def test_an_impossible_shape_says_what_is_allowed(wrong, message):
    with pytest.raises(ValueError, match=message):
        lesson.GPTConfig(**{"vocab_size": 65} | wrong)


def test_a_config_is_frozen_and_comparable():
    assert lesson.GPTConfig(65) == lesson.GPTConfig.preset("nanogpt-cpu", 65)
    with pytest.raises(AttributeError):
        lesson.GPTConfig(65).depth = 3


def test_presets_by_name_for_any_vocabulary():
    lecture = lesson.GPTConfig.preset("lecture", 77)
    shape = lecture.depth, lecture.heads, lecture.width, lecture.context
    assert (*shape, lecture.vocab_size) == (6, 6, 384, 256, 77)
    with pytest.raises(
        ValueError, match="no preset 'huge': there are cpu, nanogpt-cpu"
    ):
        lesson.GPTConfig.preset("huge", 65)


@pytest.mark.parametrize("config", [SMALL, *lesson.PRESETS.values()])
def test_the_formula_counts_every_parameter(config):
    with torch.device("meta"):
        model = lesson.GPT(config)
    parts = {
        "embeddings": [model.embed, model.position],
        "attention": [block.attention for block in model.blocks],
        "mlp": [block.mlp for block in model.blocks],
        "norms": [n for n in model.modules() if isinstance(n, nn.LayerNorm)],
        "unembed": [model.unembed],
    }
    counted = {
        name: sum(p.numel() for module in modules for p in module.parameters())
        for name, modules in parts.items()
    }
    assert lesson.parameters_by_part(config) == counted
    total = sum(parameter.numel() for parameter in model.parameters())
    assert sum(counted.values()) == total


@pytest.mark.parametrize("depth", [1, 4, 12])
def test_a_new_model_has_no_opinion_at_any_depth(depth, device):
    torch.manual_seed(0)
    model = lesson.GPT(lesson.GPTConfig(65, depth=depth)).to(device)
    ids = torch.randint(65, (8, 64), device=device)
    loss = cross_entropy(model(ids).flatten(0, 1), ids.flatten())
    assert loss.item() == pytest.approx(math.log(65), abs=0.06)
    for block in model.blocks:
        for table in (block.attention.merge, block.mlp.narrow):
            expected = 0.02 / math.sqrt(2 * depth)
            assert table.weight.std().item() == pytest.approx(expected, rel=0.05)


def test_a_text_longer_than_the_context_is_a_clear_error(device):
    model = lesson.GPT(SMALL).to(device)
    ids = torch.zeros(1, 9, dtype=torch.long, device=device)
    with pytest.raises(ValueError, match="9 ids are more than the context of 8"):
        model(ids)
    assert model(ids[:, :8]).shape == (1, 8, 11)
    assert len(list(generate(model, ids[0], 20))) == 20  # the generator crops


def test_it_learns_one_batch_by_heart(device):
    torch.manual_seed(0)
    model = lesson.GPT(SMALL).to(device)
    x, y = torch.randint(11, (2, 2, 8), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(150):
        loss = cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_it_runs_on_meta():
    with torch.device("meta"):
        model = lesson.GPT(lesson.GPTConfig.preset("lecture", 65))
        ids = torch.zeros(2, 256, dtype=torch.long)
    assert model(ids).shape == (2, 256, 65)


@pytest.mark.parametrize("length", [2, 8, 9, 10, 25])
def test_predictions_slide_over_the_text(length, device):
    torch.manual_seed(0)
    dropping = lesson.GPTConfig(11, context=8, width=12, heads=3, depth=1, dropout=0.5)
    model = lesson.GPT(dropping).to(device)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    ids = torch.randint(11, (length,), device=device)
    found = lesson.predictions(model, ids)
    assert model.training
    model.eval()
    for t in range(1, length):
        expected = model(ids[None, max(0, t - 8) : t])[0, -1].log_softmax(-1)
        torch.testing.assert_close(found[t - 1], expected, atol=1e-4, rtol=1e-4)
    assert len(found) == length - 1


def test_predictions_of_a_model_that_reads_any_length():
    model = Bigram(5)
    nn.init.normal_(model.table.weight)
    ids = torch.tensor([0, 3, 1, 4])
    expected = model.table.weight[ids[:-1]].log_softmax(-1)
    torch.testing.assert_close(lesson.predictions(model, ids), expected)
