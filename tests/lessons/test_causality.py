"""No model of the course sees the future, and none gets below a known floor."""

import importlib
import inspect
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import pad, scaled_dot_product_attention

from gpt_lib import modern
from gpt_lib.attention import future_leak
from gpt_lib.course.export import ROOT, lessons
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.muon import CountedGPT, Counts
from gpt_lib.text import CharTokenizer, diary_surprise, split, write_diary
from gpt_lib.training import TrainingConfig, train, validation_loss
from tests.lessons.test_modern import each_swap

V = 9


def is_model(thing):
    """Whether a class has the face of a model: it says its context."""
    return (
        inspect.isclass(thing)
        and issubclass(thing, nn.Module)
        and "self.vocab_size" in inspect.getsource(thing)
    )


def model_classes():
    """Every model that a lesson exports."""
    for path in lessons(ROOT):
        name = path.stem.split("_", 1)[1]
        module = importlib.import_module(f"gpt_lib.{name}")
        for thing in vars(module).values():
            if is_model(thing) and thing.__module__ == module.__name__:
                yield thing


MODELS = {model.__name__: model for model in model_classes()}


def build(name, dropout=0.0, vocab_size=V):
    if name == "GPT":
        config = GPTConfig(vocab_size, context=8, width=12, heads=3, dropout=dropout)
        return GPT(config)
    if name == "ModernGPT":
        shape = {"context": 8, "width": 12, "heads": 3, "key_heads": 1}
        return ModernGPT(ModernConfig(vocab_size, **shape, dropout=dropout))
    if name == "Counts":
        dice = torch.Generator().manual_seed(1)
        return Counts(torch.randint(vocab_size, (300,), generator=dice), vocab_size, 3)
    if name == "CountedGPT":
        parts = build("ModernGPT", dropout, vocab_size), build("Counts", 0, vocab_size)
        return CountedGPT(*parts)
    return MODELS[name](vocab_size)


def test_every_stage_is_found():
    assert list(MODELS) == [
        "Bigram", "Averaging", "OneHead", "ManyHeads", "OneBlock", "GPT", "ModernGPT",
        "Counts", "CountedGPT",
    ]  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_no_model_sees_the_future(name, device):
    torch.manual_seed(0)
    model = build(name, dropout=0.3).to(device)
    for parameter in model.parameters():  # a model of zeros hides what it sees
        nn.init.normal_(parameter, std=0.3)
    ids = torch.randint(V, (3, 8), device=device)
    assert future_leak(model, ids) < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_the_same_face(name):
    model = build(name)
    assert model.vocab_size == V
    assert model.context is None or model.context >= 8
    ids = torch.zeros(2, 8, dtype=torch.long)
    assert model(ids).shape == (2, 8, V)  # counts are counted when first asked
    model = model.to("meta")  # a tensor left on the CPU raises here
    assert model(ids.to("meta")).shape == (2, 8, V)


@pytest.mark.parametrize("name", MODELS)
def test_a_sequence_does_not_know_the_others_of_its_batch(name):
    torch.manual_seed(0)
    model = build(name).eval()
    ids = torch.randint(V, (3, 8))
    torch.testing.assert_close(model(ids)[1:2], model(ids[1:2]), atol=1e-5, rtol=1e-5)


class Peeking(nn.Module):
    """A model that reads the next character, and guesses at the last place."""

    context = None

    def __init__(self, vocab_size):
        super().__init__()
        self.vocab_size = vocab_size
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, ids):
        return pad(self.table(ids[:, 1:]), (0, 0, 0, 1))


@pytest.fixture(scope="module")
def diary():
    text = write_diary(entries=1200)
    ids = CharTokenizer.from_text(text).encode(text)
    hidden = split(ids)[1]
    return ids, diary_surprise(text)[-(len(hidden) - 1) :].mean().item()


def diary_loss(model, ids, rate, steps=150):
    parts = split(ids.to(next(model.parameters()).device))
    config = TrainingConfig(
        steps=steps, warmup=20, learning_rate=rate, evaluate_every=steps
    )
    list(train(model, *parts, config))
    return validation_loss(model, parts[1])


@pytest.mark.parametrize("name", ["OneBlock", "ModernGPT"])
def test_the_floor_tells_an_honest_model_from_one_that_peeks(diary, name, device):
    ids, floor = diary
    vocab_size = int(ids.max()) + 1
    honest = build(name, vocab_size=vocab_size).to(device)
    assert floor < diary_loss(honest, ids, 0.006) < 1.5
    peeking = Peeking(vocab_size).to(device)
    peeking.table.weight.data.copy_(20 * torch.eye(vocab_size))
    assert validation_loss(peeking, split(ids.to(device))[1]) < floor


def modern_loss(swap, diary, device):
    """Of a small modern GPT, trained long enough to use a leak if there is one."""
    ids, _ = diary
    torch.manual_seed(0)
    config = ModernConfig(int(ids.max()) + 1, context=8, width=16, heads=4, key_heads=2)
    model = ModernGPT(replace(config, depth=2, **swap)).to(device)
    return diary_loss(model, ids, 0.02, steps=400)


@each_swap
def test_no_switch_of_a_modern_gpt_gets_it_below_the_floor(swap, diary, device):
    assert diary[1] < modern_loss(swap, diary, device) < 1.1


def test_attention_to_the_future_would_get_it_there(diary, device, monkeypatch):
    def attend_all(q, k, v, scale, window=0):
        return scaled_dot_product_attention(q, k, v, scale=scale)

    monkeypatch.setattr(modern, "attend", attend_all)
    assert modern_loss({}, diary, device) < diary[1]


def test_counting_does_not_get_below_the_floor(diary, device):
    ids, floor = diary
    known, hidden = split(ids.to(device))
    loss = validation_loss(Counts(known, int(ids.max()) + 1, 4), hidden)
    assert floor < loss < 1.5
