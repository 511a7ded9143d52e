"""The smallest model: counted, trained, and writing."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gpt_lib import bigram as lesson
from gpt_lib.text import CharTokenizer

TEXT = "abracadabra"


@pytest.fixture
def tokenizer():
    return CharTokenizer.from_text(TEXT)


def test_pairs_of_abracadabra_by_finger(tokenizer):
    counts = lesson.count_pairs(tokenizer.encode(TEXT), 5)
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
    counts = lesson.count_pairs(torch.tensor(ids), 7)
    assert counts.sum() == len(ids) - 1
    for before, after in pairwise(ids):
        assert counts[before, after] > 0


def test_probabilities_by_hand():
    table = lesson.pair_probabilities(torch.tensor([[0, 3], [1, 1]]))
    torch.testing.assert_close(table, torch.tensor([[1 / 5, 4 / 5], [0.5, 0.5]]))
    half = lesson.pair_probabilities(torch.tensor([[0, 3], [1, 1]]), add=0.5)
    torch.testing.assert_close(half[0], torch.tensor([0.5 / 4, 3.5 / 4]))


def test_a_new_model_knows_nothing(device):
    model = lesson.Bigram(65).to(device)
    ids = torch.arange(10, device=device)[None]
    logits = model(ids)
    assert logits.shape == (1, 10, 65)
    loss = nn.functional.cross_entropy(logits[0], ids[0])
    assert loss.item() == pytest.approx(math.log(65), abs=1e-5)


def test_a_counted_model_gives_its_table_back(tokenizer):
    counts = lesson.count_pairs(tokenizer.encode(TEXT), 5)
    table = lesson.pair_probabilities(counts)
    model = lesson.Bigram.from_probabilities(table)
    given_each = model(torch.arange(5)[None])[0].softmax(dim=-1)
    torch.testing.assert_close(given_each, table)


def test_the_model_sees_no_future_and_runs_on_meta():
    model = lesson.Bigram(9)
    nn.init.normal_(model.table.weight)
    ids = torch.arange(8)[None]
    changed = ids.clone()
    changed[0, 5:] = 0
    assert torch.equal(model(ids)[:, :5], model(changed)[:, :5])
    assert model.to("meta")(ids.to("meta")).shape == (1, 8, 9)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=12), st.floats(0.05, 5))
def test_temperature_is_softmax_of_divided_logits(logits, temperature):
    logits = torch.tensor(logits)
    chances = lesson.next_probabilities(logits, temperature)
    expected = torch.tensor([math.exp((x - max(logits)) / temperature) for x in logits])
    torch.testing.assert_close(chances, expected / expected.sum(), atol=1e-5, rtol=1e-4)


def test_temperature_zero_takes_the_likeliest_and_below_is_an_error():
    logits = torch.tensor([1.0, 3.0, 2.0])
    assert lesson.next_probabilities(logits, 0).tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(ValueError, match=r"temperature=-0\.5 must be 0 or more"):
        lesson.next_probabilities(logits, -0.5)


def test_generated_ids_follow_the_table_and_the_seed(device):
    ring = lesson.Bigram.from_probabilities(torch.eye(4).roll(1, dims=1)).to(device)
    start = torch.tensor([2])
    assert list(lesson.generate(ring, start, 5)) == [3, 0, 1, 2, 3]
    vague = lesson.Bigram(50).to(device)
    runs = [list(lesson.generate(vague, start, 30, seed=seed)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_generation_draws_by_the_chances():
    model = lesson.Bigram.from_probabilities(torch.tensor([[0.8, 0.2], [0.8, 0.2]]))
    ids = list(lesson.generate(model, torch.tensor([0]), 4000))
    assert sum(ids) / 4000 == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("training", [True, False])
def test_generation_leaves_the_mode_and_can_be_left(training):
    model = lesson.Bigram(4).train(training)
    stream = lesson.generate(model, torch.tensor([0]), 10)
    next(stream)
    assert not model.training
    stream.close()
    assert model.training is training


def test_only_the_context_is_read():
    class Counts(nn.Module):
        context, vocab_size = 3, 2

        def __init__(self):
            super().__init__()
            self.weight, self.lengths = nn.Parameter(torch.zeros(1)), []

        def forward(self, ids):
            self.lengths.append(ids.size(1))
            return torch.zeros(1, ids.size(1), 2)

    model = Counts()
    list(lesson.generate(model, torch.tensor([0, 1]), 4))
    assert model.lengths == [2, 3, 3, 3]


def test_an_empty_prompt_and_an_unknown_character_are_errors(tokenizer):
    model = lesson.Bigram(5)
    with pytest.raises(ValueError, match="prompt is empty"):
        next(lesson.write(tokenizer, model, "", 3))
    with pytest.raises(ValueError, match="'z' at position 1"):
        next(lesson.write(tokenizer, model, "az", 3))


def test_text_is_written_character_by_character(tokenizer):
    counts = lesson.count_pairs(tokenizer.encode(TEXT), 5)
    model = lesson.Bigram.from_probabilities(lesson.pair_probabilities(counts))
    pieces = list(lesson.write(tokenizer, model, "a", 20))
    assert len(pieces) == 20
    assert set(pieces) <= set(TEXT)
