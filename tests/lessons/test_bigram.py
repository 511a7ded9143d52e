"""The smallest model, counted and trained, and how it generates text."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gpt_lib import bigram as lesson
from gpt_lib.text import CharTokenizer
from tests.byte_tokenizer import ByteTokenizer

TEXT = "abracadabra"


@pytest.fixture
def tokenizer():
    return CharTokenizer.from_text(TEXT)


def test_pairs_of_abracadabra_by_hand(tokenizer):
    counts = lesson.bigram_counts(tokenizer.encode(TEXT), 5)
    #  a  b  c  d  r      after
    assert counts.tolist() == [
        [0, 2, 1, 1, 0],  # a
        [0, 0, 0, 0, 2],  # b
        [1, 0, 0, 0, 0],  # c
        [1, 0, 0, 0, 0],  # d
        [2, 0, 0, 0, 0],  # r
    ]


@given(st.lists(st.integers(0, 6), min_size=2, max_size=60))
def test_every_pair_is_counted_once(ids):
    counts = lesson.bigram_counts(torch.tensor(ids), 7)
    assert counts.sum() == len(ids) - 1
    for before, after in pairwise(ids):
        assert counts[before, after] > 0


def test_probabilities_by_hand():
    probabilities = lesson.bigram_probabilities(torch.tensor([[0, 3], [1, 1]]))
    torch.testing.assert_close(
        probabilities, torch.tensor([[1 / 5, 4 / 5], [0.5, 0.5]])
    )
    probabilities = lesson.bigram_probabilities(torch.tensor([[0, 3], [1, 1]]), 0.5)
    torch.testing.assert_close(probabilities[0], torch.tensor([0.5 / 4, 3.5 / 4]))


def test_a_new_model_knows_nothing(device):
    model = lesson.Bigram(65).to(device)
    ids = torch.arange(10, device=device)[None]
    logits = model(ids)
    assert logits.shape == (1, 10, 65)
    loss = nn.functional.cross_entropy(logits[0], ids[0])
    assert loss.item() == pytest.approx(math.log(65), abs=1e-5)


def test_a_counted_model_gives_back_its_probabilities(tokenizer):
    counts = lesson.bigram_counts(tokenizer.encode(TEXT), 5)
    probabilities = lesson.bigram_probabilities(counts)
    model = lesson.Bigram.from_probabilities(probabilities)
    of_model = model(torch.arange(5)[None])[0].softmax(dim=-1)
    torch.testing.assert_close(of_model, probabilities)


def test_the_model_sees_no_future_and_runs_on_meta():
    model = lesson.Bigram(9)
    nn.init.normal_(model.bigram_logits.weight)
    ids = torch.arange(8)[None]
    changed = ids.clone()
    changed[0, 5:] = 0
    assert torch.equal(model(ids)[:, :5], model(changed)[:, :5])
    assert model.to("meta")(ids.to("meta")).shape == (1, 8, 9)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=12), st.floats(0.05, 5))
def test_temperature_is_softmax_of_divided_logits(logits, temperature):
    logits = torch.tensor(logits)
    probabilities = lesson.softmax_with_temperature(logits, temperature)
    expected = torch.tensor([math.exp((x - max(logits)) / temperature) for x in logits])
    torch.testing.assert_close(
        probabilities, expected / expected.sum(), atol=1e-5, rtol=1e-4
    )


def test_temperature_zero_takes_the_likeliest_and_below_is_an_error():
    logits = torch.tensor([1.0, 3.0, 2.0])
    assert lesson.softmax_with_temperature(logits, 0).tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(ValueError, match=r"temperature=-0\.5 must be 0 or more"):
        lesson.softmax_with_temperature(logits, -0.5)


def test_generated_ids_follow_the_probabilities_and_the_seed(device):
    ring = lesson.Bigram.from_probabilities(torch.eye(4).roll(1, dims=1)).to(device)
    start = torch.tensor([2])
    assert list(lesson.generate(ring, start, 5)) == [3, 0, 1, 2, 3]
    uniform = lesson.Bigram(50).to(device)
    runs = [list(lesson.generate(uniform, start, 30, seed=seed)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_generation_samples_by_the_probabilities():
    model = lesson.Bigram.from_probabilities(torch.tensor([[0.8, 0.2], [0.8, 0.2]]))
    ids = list(lesson.generate(model, torch.tensor([0]), 4000))
    assert sum(ids) / 4000 == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("training", [True, False])
def test_a_generation_that_is_closed_restores_the_mode(training):
    model = lesson.Bigram(4).train(training)
    ids = lesson.generate(model, torch.tensor([0]), 10)
    next(ids)
    assert not model.training
    ids.close()
    assert model.training is training


def test_only_the_context_is_read():
    class RecordsLengths(nn.Module):
        context, vocab_size = 3, 2

        def __init__(self):
            super().__init__()
            self.weight, self.lengths = nn.Parameter(torch.zeros(1)), []

        def forward(self, ids):
            self.lengths.append(ids.size(1))
            return torch.zeros(1, ids.size(1), 2)

    model = RecordsLengths()
    list(lesson.generate(model, torch.tensor([0, 1]), 4))
    assert model.lengths == [2, 3, 3, 3]


def test_an_empty_prompt_and_an_unknown_character_are_errors(tokenizer):
    model = lesson.Bigram(5)
    with pytest.raises(ValueError, match="prompt is empty"):
        next(lesson.stream_text(tokenizer, model, "", 3))
    with pytest.raises(ValueError, match="'z' at position 1"):
        next(lesson.stream_text(tokenizer, model, "az", 3))


def test_text_is_written_character_by_character(tokenizer):
    counts = lesson.bigram_counts(tokenizer.encode(TEXT), 5)
    model = lesson.Bigram.from_probabilities(lesson.bigram_probabilities(counts))
    pieces = list(lesson.stream_text(tokenizer, model, "a", 20))
    assert len(pieces) == 20
    assert set(pieces) <= set(TEXT)


def model_of(text, tokenizer):
    counts = lesson.bigram_counts(tokenizer.encode(text), tokenizer.vocab_size)
    return lesson.Bigram.from_probabilities(lesson.bigram_probabilities(counts, 1e-9))


def test_generated_text_holds_whole_characters_only():
    tokenizer, text = ByteTokenizer(), "é🙂я"  # no byte occurs twice
    model = model_of(2 * text, tokenizer)
    pieces = list(lesson.stream_text(tokenizer, model, "é", 6, temperature=0))
    assert pieces == ["🙂", "я"]
    pieces = list(lesson.stream_text(tokenizer, model, "é", 5, temperature=0))
    assert pieces == ["🙂", "\ufffd"]  # cut within the last character


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32])
def test_ids_of_a_small_type_are_counted(dtype):
    ids = torch.arange(4000) * 7 % 300
    expected = lesson.bigram_counts(ids, 300)
    assert torch.equal(lesson.bigram_counts(ids.to(dtype), 300), expected)


def test_a_language_model_is_known_by_what_it_has():
    assert isinstance(lesson.Bigram(5), lesson.LanguageModel)
    assert not isinstance(nn.Linear(5, 5), lesson.LanguageModel)
