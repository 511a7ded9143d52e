"""Beams against all continuations, and against greedy generation."""

import itertools
import math

import pytest
import torch

from gpt_lib import beam as lesson
from gpt_lib.bigram import Bigram
from gpt_lib.generation import SamplingConfig, generate, next_logits


def test_an_extension_is_the_best_of_every_beam_with_every_id(gpt):
    ids, beams = (
        torch.tensor([0, 1]),
        [lesson.Beam((3,), -0.5), lesson.Beam((2,), -0.9)],
    )
    expected = []
    for beam in beams:
        row = next_logits(gpt, torch.tensor([[0, 1, *beam.ids]])).double()[0]
        for id, new in enumerate(row.log_softmax(-1).tolist()):
            expected.append(((*beam.ids, id), beam.log_probability + new))
    expected.sort(key=lambda pair: pair[1], reverse=True)
    for count in (1, 5, 99):
        extended = lesson.extend_beams(gpt, ids, beams, count)
        assert [beam.ids for beam in extended] == [ids for ids, _ in expected[:count]]
        totals = [beam.log_probability for beam in extended]
        assert totals == pytest.approx([total for _, total in expected[:count]])


def all_continuations(model, ids, length):
    """The log-probability of every continuation, and its ids, best first."""
    continuations = []
    for new in itertools.product(range(model.vocab_size), repeat=length):
        text = torch.cat([ids, torch.tensor(new)])[None]
        rows = model(text)[0].double().log_softmax(-1)[len(ids) - 1 :]
        total = sum(row[id].item() for row, id in zip(rows, new))
        continuations.append((total, new))
    return sorted(continuations, reverse=True)


@pytest.fixture
def bigram():
    torch.manual_seed(1)
    return Bigram.from_probabilities(torch.randn(4, 4).mul(2).softmax(-1))


def test_enough_beams_find_the_likeliest_continuations(bigram):
    start = torch.tensor([0])
    continuations = all_continuations(bigram, start, 4)
    beams = lesson.beam_search(bigram, start, 4, width=64)
    expected = [total for total, _ in continuations[:10]]
    assert [beam.log_probability for beam in beams[:10]] == pytest.approx(expected)
    total_of = {ids: total for total, ids in continuations}
    assert [total_of[beam.ids] for beam in beams[:10]] == pytest.approx(expected)


def test_one_beam_is_greedy(bigram):
    [beam] = lesson.beam_search(bigram, torch.tensor([2]), 12, width=1)
    greedy = generate(bigram, torch.tensor([[2]]), 12, SamplingConfig(temperature=0))
    assert list(beam.ids) == [token.ids.item() for token in greedy]


def test_two_beams_see_further_than_one():
    probabilities = torch.tensor(
        [[0, 0.5, 0.4, 0.1], [0, 0.4, 0.3, 0.3], [0, 0.1, 0, 0.9]]
    )
    bigram = Bigram.from_probabilities(torch.cat([probabilities, probabilities[:1]]))
    one, two = (
        lesson.beam_search(bigram, torch.tensor([0]), 2, width=width)[0]
        for width in (1, 2)
    )
    assert (one.ids, two.ids) == ((1, 1), (2, 3))
    assert math.exp(two.log_probability) == pytest.approx(0.36)


def test_rounds_show_what_was_pruned(bigram):
    rounds = list(lesson.beam_rounds(bigram, torch.tensor([0]), 3, width=2))
    assert [len(beams) for beams, _ in rounds] == [2, 2, 2]
    for beams, pruned in rounds:
        assert len(pruned) == 2
        worst = min(beam.log_probability for beam in beams)
        assert worst >= max(beam.log_probability for beam in pruned)


def test_a_beam_stops_and_length_normalisation_favours_long_ones():
    # After 0 the end (2) has 0.4; after 1 comes 1 with 0.95.
    bigram = Bigram.from_probabilities(
        torch.tensor([[0.0, 0.6, 0.4], [0.0, 0.9, 0.1], [0.5, 0.5, 0.0]])
    )
    options = {"length": 12, "width": 3, "stop": 2}
    short = lesson.beam_search(bigram, torch.tensor([0]), alpha=0.0, **options)
    long = lesson.beam_search(bigram, torch.tensor([0]), alpha=1.0, **options)
    assert short[0].ids == (2,)
    assert len(long[0].ids) == 12
    assert long[0].score(1.0) == pytest.approx(long[0].log_probability / 12)
    ended = [b for b in long + short if 2 in b.ids]
    assert all(beam.ids.index(2) == len(beam.ids) - 1 for beam in ended)


def test_logits_that_are_no_numbers_are_an_error(bigram):
    with torch.no_grad():
        next(bigram.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match="logits with NaN"):
        lesson.beam_search(bigram, torch.tensor([0]), 3)


def test_beams_read_only_the_context(gpt):
    beams = lesson.beam_search(gpt, torch.tensor([0, 1, 2, 3]), 10, width=2)
    assert [len(beam.ids) for beam in beams] == [10, 10]
    with pytest.raises(ValueError, match="0 ids and width=4"):
        lesson.beam_search(gpt, torch.tensor([]).long(), 3)
    with pytest.raises(ValueError, match="1 ids and width=0"):
        lesson.beam_search(gpt, torch.tensor([1]), 3, width=0)
    assert lesson.beam_search(gpt, torch.tensor([1]), 0) == []
