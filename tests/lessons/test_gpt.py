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
    ("fields", "message"),
    [
        ({"heads": 5}, "heads=5 does not divide width=128"),
        ({"depth": 0}, "depth=0 must be from 1 to 1,000"),
        ({"context": -1}, "context=-1 must be from 1 to 1,000,000"),
        ({"vocab_size": 0}, "vocab_size=0 must be from 1 to 10,000,000"),
        ({"dropout": 1.0}, r"dropout=1\.0 must be 0 or more, and below 1"),
        ({"dropout": math.nan}, "dropout=nan must be 0 or more, and below 1"),
    ],
)
def test_an_impossible_shape_says_what_is_allowed(fields, message):
    with pytest.raises(ValueError, match=message):
        lesson.GPTConfig(**{"vocab_size": 65} | fields)


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
        "embeddings": [model.embed, model.position_embedding],
        "attention": [block.attention for block in model.blocks],
        "mlp": [block.mlp for block in model.blocks],
        "norms": [n for n in model.modules() if isinstance(n, nn.LayerNorm)],
        "unembed": [model.unembed],
    }
    counts = {
        name: sum(p.numel() for module in modules for p in module.parameters())
        for name, modules in parts.items()
    }
    assert lesson.parameters_by_part(config) == counts
    total = sum(parameter.numel() for parameter in model.parameters())
    assert sum(counts.values()) == total


@pytest.mark.parametrize("depth", [1, 4, 12])
def test_a_new_model_has_no_opinion_at_any_depth(depth, device):
    torch.manual_seed(0)
    model = lesson.GPT(lesson.GPTConfig(65, depth=depth)).to(device)
    ids = torch.randint(65, (8, 64), device=device)
    loss = cross_entropy(model(ids).flatten(0, 1), ids.flatten())
    assert loss.item() == pytest.approx(math.log(65), abs=0.06)
    for block in model.blocks:
        for layer in (block.attention.output, block.mlp.down):
            expected = 0.02 / math.sqrt(2 * depth)
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)


def test_a_text_longer_than_the_context_is_a_clear_error(device):
    model = lesson.GPT(SMALL).to(device)
    ids = torch.zeros(1, 9, dtype=torch.long, device=device)
    with pytest.raises(ValueError, match="9 ids are more than the context of 8"):
        model(ids)
    assert model(ids[:, :8]).shape == (1, 8, 11)
    assert len(list(generate(model, ids[0], 20))) == 20  # the generator crops


class ListCache:
    """The smallest cache that a GPT can use: keys and values in a list of tensors."""

    def __init__(self, config):
        self.length, self.ids = 0, []
        self.keys, self.values = ([None] * config.depth for _ in range(2))

    def position_ids(self, T):
        return torch.arange(self.length, self.length + T)

    def update(self, layer, keys, values):
        for tensors, new in ((self.keys, keys), (self.values, values)):
            old = [] if tensors[layer] is None else [tensors[layer]]
            tensors[layer] = torch.cat([*old, new], dim=-2)
        return self.keys[layer], self.values[layer]

    def causal_mask(self, T):
        end = self.length + T
        return torch.ones(T, end, dtype=torch.bool).tril(self.length)

    def advance(self, ids):
        self.ids.append(ids)
        self.length += ids.size(1)


def random_gpt(**options):
    """A small GPT with weights so large that every part of it matters."""
    torch.manual_seed(0)
    model = lesson.GPT(SMALL, **options)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("sizes", [[8], [5, 1, 2], [1] * 8])
def test_logits_with_a_cache_are_those_without(sizes):
    model, ids = random_gpt(), torch.randint(11, (2, 8))
    cache = ListCache(SMALL)
    logits = [model(part, cache) for part in ids.split(sizes, dim=1)]
    torch.testing.assert_close(torch.cat(logits, 1), model(ids), rtol=0, atol=1e-6)
    assert torch.equal(torch.cat(cache.ids, dim=1), ids)


def test_more_ids_than_the_context_are_refused_with_a_cache_as_well():
    model, cache = random_gpt(), ListCache(SMALL)
    model(torch.zeros(1, 6, dtype=torch.long), cache)
    with pytest.raises(ValueError, match="9 ids are more than the context of 8"):
        model(torch.zeros(1, 3, dtype=torch.long), cache)
    assert cache.length == 6


def test_every_block_gets_the_attention_that_the_gpt_is_built_with():
    def average(q, k, v, is_causal, dropout_p):
        return v.mean(dim=-2, keepdim=True).expand_as(q)

    model = random_gpt(attention=average)
    assert [block.attention.attend for block in model.blocks] == [average] * 2
    ids = torch.randint(11, (2, 8))
    assert not torch.allclose(model(ids), random_gpt()(ids))


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
def test_the_window_slides_over_the_text(length, device):
    torch.manual_seed(0)
    config = lesson.GPTConfig(11, context=8, width=12, heads=3, depth=1, dropout=0.5)
    model = lesson.GPT(config).to(device)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    ids = torch.randint(11, (length,), device=device)
    log_probabilities = lesson.next_token_log_distributions(model, ids)
    assert model.training
    model.eval()
    for t in range(1, length):
        expected = model(ids[None, max(0, t - 8) : t])[0, -1].log_softmax(-1)
        torch.testing.assert_close(
            log_probabilities[t - 1], expected, atol=1e-4, rtol=1e-4
        )
    assert len(log_probabilities) == length - 1


def test_a_model_without_a_context_gets_the_whole_past():
    model = Bigram(5)
    nn.init.normal_(model.bigram_logits.weight)
    ids = torch.tensor([0, 3, 1, 4])
    expected = model.bigram_logits.weight[ids[:-1]].log_softmax(-1)
    torch.testing.assert_close(
        lesson.next_token_log_distributions(model, ids), expected
    )
