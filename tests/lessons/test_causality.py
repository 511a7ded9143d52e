"""No model of the course reads the future, and none gets below a known floor."""

import importlib
import inspect
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import pad, scaled_dot_product_attention

from gpt_lib import modern
from gpt_lib.attention import future_leak
from gpt_lib.bigram import LanguageModel, bigram_counts
from gpt_lib.course.export import ROOT, lessons, module_paths
from gpt_lib.data import exact_toy_diary_surprisals, generate_toy_diary
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.race import GPTWithNGramCounts, KneserNey
from gpt_lib.text import CharTokenizer, train_validation_test_split
from gpt_lib.training import TrainingConfig, evaluate_loss, train
from tests.lessons.test_modern import each_swap

V = 9


def is_model(thing):
    """Whether a class is a module that can be called with ids alone."""
    if not (inspect.isclass(thing) and issubclass(thing, nn.Module)):
        return False
    _, first, *others = inspect.signature(thing.forward).parameters.values()
    return first.name == "ids" and all(other.default is None for other in others)


def model_classes():
    """Every model that a lesson exports."""
    targets = [target for path in lessons(ROOT) for target in module_paths(path)]
    for module in (importlib.import_module(f"gpt_lib.{t.stem}") for t in targets):
        for thing in vars(module).values():
            if is_model(thing) and thing.__module__ == module.__name__:
                yield thing


MODELS = {model.__name__: model for model in model_classes()}


def build(name, dropout=0.0, vocab_size=V):
    if name == "GPT":
        config = GPTConfig(vocab_size, context=8, width=12, heads=3, dropout=dropout)
        return GPT(config)
    if name == "ModernGPT":
        shape = {"context": 8, "width": 12, "heads": 3, "kv_heads": 1}
        return ModernGPT(ModernConfig(vocab_size, **shape, dropout=dropout))
    if name == "KneserNey":
        generator = torch.Generator().manual_seed(1)
        ids = torch.randint(vocab_size, (300,), generator=generator)
        return KneserNey(ids, vocab_size, 3)
    if name == "GPTWithNGramCounts":
        parts = (
            build("ModernGPT", dropout, vocab_size),
            build("KneserNey", 0, vocab_size),
        )
        return GPTWithNGramCounts(*parts)
    return MODELS[name](vocab_size)


def test_every_model_is_found():
    assert list(MODELS) == [
        "Bigram", "AveragingModel", "OneHeadModel", "MultiHeadModel", "OneBlockModel",
        "GPT", "ModernGPT", "KneserNey", "GPTWithNGramCounts",
    ]  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_no_model_reads_the_future(name, device):
    torch.manual_seed(0)
    model = build(name, dropout=0.3).to(device)
    for parameter in model.parameters():  # a model of zeros hides what it reads
        nn.init.normal_(parameter, std=0.3)
    ids = torch.randint(V, (3, 8), device=device)
    assert future_leak(model, ids) < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_a_language_model(name):
    model = build(name)
    assert isinstance(model, LanguageModel)
    assert model.vocab_size == V
    assert model.context is None or model.context >= 8
    ids = torch.zeros(2, 8, dtype=torch.long)
    assert model(ids).shape == (2, 8, V)  # n-grams are counted at the first call
    model = model.to("meta")  # a tensor left on the CPU raises here
    assert model(ids.to("meta")).shape == (2, 8, V)


@pytest.mark.parametrize("name", MODELS)
def test_a_sequence_does_not_depend_on_the_others_of_its_batch(name):
    torch.manual_seed(0)
    model = build(name).eval()
    ids = torch.randint(V, (3, 8))
    torch.testing.assert_close(model(ids)[1:2], model(ids[1:2]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        *(
            MODELS[n]
            for n in ("Bigram", "AveragingModel", "OneHeadModel", "MultiHeadModel")
        ),
        lambda vocab_size: bigram_counts(torch.arange(9), vocab_size),
    ],
)
def test_a_table_for_a_large_vocabulary_is_refused_with_its_size(make):
    with pytest.raises(ValueError, match=r"50,257 numbers would take 9\.4 GiB"):
        make(50_257)


class Peeking(nn.Module):
    """A model that reads the next id, and guesses at the last position."""

    context = None

    def __init__(self, vocab_size):
        super().__init__()
        self.vocab_size = vocab_size
        self.bigram_logits = nn.Embedding(vocab_size, vocab_size)

    def forward(self, ids):
        return pad(self.bigram_logits(ids[:, 1:]), (0, 0, 0, 1))


@pytest.fixture(scope="module")
def toy_diary():
    text = generate_toy_diary(entries=1200)
    ids = CharTokenizer.from_text(text).encode(text)
    validation = train_validation_test_split(ids)[1]
    surprisal = exact_toy_diary_surprisals(text)[1 : len(validation)]
    return ids, surprisal.mean().item()


def diary_loss(model, ids, rate, steps=150):
    ids = ids.to(next(model.parameters()).device)
    train_ids, validation_ids, _ = train_validation_test_split(ids)
    config = TrainingConfig(
        steps=steps, warmup_steps=20, learning_rate=rate, evaluate_every=steps
    )
    list(train(model, train_ids, validation_ids, config))
    return evaluate_loss(model, validation_ids)


@pytest.mark.parametrize("name", ["OneBlockModel", "ModernGPT"])
def test_the_floor_tells_an_honest_model_from_one_that_peeks(toy_diary, name, device):
    ids, floor = toy_diary
    vocab_size = int(ids.max()) + 1
    honest = build(name, vocab_size=vocab_size).to(device)
    assert floor < diary_loss(honest, ids, 0.006) < 1.5
    peeking = Peeking(vocab_size).to(device)
    peeking.bigram_logits.weight.data.copy_(20 * torch.eye(vocab_size))
    validation_ids = train_validation_test_split(ids.to(device))[1]
    assert evaluate_loss(peeking, validation_ids) < floor


def modern_loss(swap, toy_diary, device):
    """The loss of a small modern GPT, trained long enough to use a leak."""
    ids, _ = toy_diary
    torch.manual_seed(0)
    config = ModernConfig(int(ids.max()) + 1, context=8, width=16, heads=4, kv_heads=2)
    model = ModernGPT(replace(config, depth=2, **swap)).to(device)
    return diary_loss(model, ids, 0.02, steps=400)


@each_swap
def test_no_switch_of_a_modern_gpt_gets_it_below_the_floor(swap, toy_diary, device):
    assert toy_diary[1] < modern_loss(swap, toy_diary, device) < 1.1


def test_attention_to_the_future_would_get_it_there(toy_diary, device, monkeypatch):
    def attend_all(q, k, v, scale, window=0):
        return scaled_dot_product_attention(q, k, v, scale=scale)

    monkeypatch.setattr(modern, "causal_attention", attend_all)
    assert modern_loss({}, toy_diary, device) < toy_diary[1]


def test_counting_does_not_get_below_the_floor(toy_diary, device):
    ids, floor = toy_diary
    train_ids, validation_ids, _ = train_validation_test_split(ids.to(device))
    model = KneserNey(train_ids, int(ids.max()) + 1, 4)
    loss = evaluate_loss(model, validation_ids)
    assert floor < loss < 1.5
