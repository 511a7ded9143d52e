"""Sampling against brute force, the stream against itself, beams against all walks."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from torch import nn

from gpt_lib import generation as lesson
from gpt_lib.bigram import Bigram
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.text import CharTokenizer

# Coarse numbers on purpose: they tie, and ties are where sorting goes wrong.
coarse = some.integers(-8, 8).map(lambda number: number / 2)
rows_of_logits = some.integers(1, 7).flatmap(
    lambda V: arrays(float, (3, V), elements=coarse)
)
shares = some.sampled_from([0.05, 0.2, 0.5, 0.75, 0.9, 0.99])


def soft(row):
    """Softmax of a list, by hand; −∞ has no share."""
    powers = [math.exp(x) if x > -math.inf else 0.0 for x in row]
    return [power / sum(powers) for power in powers]


def ranked(row):
    """Ids, likeliest first; of equals the smaller id."""
    return sorted(range(len(row)), key=lambda id: (-row[id], id))


def brute_top_p(row, p):
    chances, kept, covered = soft(row), set(), 0.0
    for id in ranked(row):
        if covered >= p - 1e-12:
            break
        kept.add(id)
        covered += chances[id]
    return kept


def kept_ids(logits):
    return [{id for id, x in enumerate(row) if x > -math.inf} for row in logits]


# By hand first: what breaks them is found at once, without a search for an example.


def test_cuts_by_hand():
    logits = torch.tensor([[0.15, 0.5, 0.05, 0.3], [0.9, 0.05, 0.03, 0.02]]).log()
    assert kept_ids(lesson.keep_top_p(logits, 0.6).tolist()) == [{1, 3}, {0}]
    assert kept_ids(lesson.keep_top_p(logits, 0.95).tolist()) == [{0, 1, 3}, {0, 1}]
    assert kept_ids(lesson.keep_top_k(logits, 2).tolist()) == [{1, 3}, {0, 1}]
    assert kept_ids(lesson.keep_min_p(logits, 0.31).tolist()) == [{1, 3}, {0}]


def test_penalty_by_hand():
    logits, said = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([0, 1, 1])
    assert lesson.penalize_repetition(logits, said, 2.0).tolist() == [1.0, -2.0, 0.5]


def test_draw_by_hand():
    chances = torch.tensor([0.2, 0.5, 0.3])
    throws = torch.tensor([0.0, 0.45, 0.6, 0.95])
    assert lesson.draw(chances.expand(4, 3), throws).tolist() == [1, 1, 2, 0]


@given(rows_of_logits, some.integers(1, 9))
def test_top_k_keeps_the_k_likeliest_of_each_row(rows, k):
    kept = lesson.keep_top_k(torch.tensor(rows), k)
    assert kept_ids(kept.tolist()) == [set(ranked(row)[:k]) for row in rows.tolist()]


@given(rows_of_logits, shares)
def test_top_p_keeps_the_fewest_that_reach_p_row_by_row(rows, p):
    kept = lesson.keep_top_p(torch.tensor(rows), p).tolist()
    for row, after in zip(rows.tolist(), kept):
        assert kept_ids([after]) == [brute_top_p(row, p)]
        assert all(x in (y, -math.inf) for x, y in zip(after, row))


def test_top_p_is_exact_over_a_large_vocabulary():
    dice = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 50_257, generator=dice, dtype=torch.float64)
    assert torch.equal(lesson.keep_top_p(logits, 1.0), logits)
    kept = lesson.keep_top_p(logits, 0.9)
    for row, after in zip(logits.softmax(-1), kept):
        inside = row[~after.isinf()]
        assert inside.sum() >= 0.9 > inside.sum() - inside.min()
        assert inside.min() >= row[after.isinf()].max()


@given(rows_of_logits, shares)
def test_min_p_keeps_what_is_near_the_likeliest(rows, p):
    # A hair off, so that no chance lies exactly on the border.
    kept = lesson.keep_min_p(torch.tensor(rows), p * 1.0001).tolist()
    for row, after in zip(map(soft, rows.tolist()), kept):
        border = p * 1.0001 * max(row)
        assert kept_ids([after]) == [{id for id, c in enumerate(row) if c >= border}]


@given(rows_of_logits, some.sampled_from([0.1, 0.5, 1.0, 2.0]))
def test_temperature_takes_ratios_to_a_power(rows, temperature):
    cold = lesson.apply_temperature(torch.tensor(rows), temperature).softmax(-1)
    expected = [soft([x / temperature for x in row]) for row in rows.tolist()]
    torch.testing.assert_close(cold, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("temperature", [0, 1e-300])
def test_a_temperature_of_nothing_is_greedy_without_overflow(temperature):
    logits = torch.tensor([[1.0, 900.0, 3.0], [-900.0, -2.0, -3.0]])
    chances = lesson.apply_temperature(logits.double(), temperature).softmax(-1)
    assert chances.tolist() == [[0, 1, 0], [0, 1, 0]]


@given(rows_of_logits, some.data(), some.sampled_from([0.5, 1.3, 2.0]))
def test_the_penalty_makes_what_was_said_less_likely(rows, data, penalty):
    V = rows.shape[1]
    said = data.draw(arrays(int, (3, 4), elements=some.integers(0, V - 1)))
    given_ids = torch.tensor(said)
    less = lesson.penalize_repetition(torch.tensor(rows), given_ids, penalty).tolist()
    for row, ids, after in zip(rows.tolist(), said.tolist(), less):
        for id, (x, y) in enumerate(zip(row, after)):
            factor = 1 if id not in ids else 1 / penalty if x > 0 else penalty
            assert y == pytest.approx(x * factor)
            if penalty > 1:
                assert y <= x


@given(rows_of_logits, some.floats(0, 1, exclude_max=True))
def test_a_draw_lands_where_the_bar_says(rows, u):
    chances = torch.tensor([soft(row) for row in rows.tolist()], dtype=torch.float64)
    ids = lesson.draw(chances, torch.full((3,), u, dtype=torch.float64))
    for row, id in zip(chances.tolist(), ids.tolist()):
        order = ranked(row)
        start = sum(row[other] for other in order[: order.index(id)])
        assert start - 1e-9 <= u <= start + row[id] + 1e-9


def test_no_rounding_can_hit_what_has_no_chance():
    chances = torch.tensor([0.0, 0.1, 0.1, 0.1, 0.0]).double()
    almost = torch.tensor(1 - 2**-53, dtype=torch.float64)
    assert lesson.draw(chances, almost).item() == 3
    assert lesson.draw(chances * (1 + 1e-9) / 0.3, almost).item() == 3


def chi_square(observed, expected):
    return ((observed - expected) ** 2 / expected).sum().item()


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.5}, {"top_k": 4}, {"top_p": 0.8}, {"min_p": 0.1}],
    ids=str,
)
def test_ten_thousand_draws_follow_the_exact_chances(settings):
    logits = torch.tensor([0.3, -1.0, 1.2, 0.0, 0.9, -0.4, -2.0, 0.5])
    sampling = lesson.Sampling(**settings)
    chances = lesson.next_chances(logits, sampling, torch.tensor([0]))
    ids = lesson.draw(chances.expand(10_000, 8), lesson.uniforms(3, 10_000))
    counts = ids.bincount(minlength=8).double()
    kept = chances > 0
    assert counts[~kept].sum() == 0
    # Seven degrees of freedom exceed 26 once in 2,000; fewer do so less often.
    assert chi_square(counts[kept], 10_000 * chances[kept]) < 26


def test_settings_are_applied_in_the_stated_order():
    logits = torch.tensor([2.0, 1.9, 1.0, -1.0, 0.2])
    seen = torch.tensor([0, 3])
    sampling = lesson.Sampling(0.5, 4, 0.95, 0.05, 1.5)
    by_hand = lesson.penalize_repetition(logits.double(), seen, 1.5)
    by_hand = lesson.apply_temperature(by_hand, 0.5)
    by_hand = lesson.keep_top_k(by_hand, 4)
    by_hand = lesson.keep_top_p(by_hand, 0.95)
    by_hand = lesson.keep_min_p(by_hand, 0.05).softmax(-1)
    chances = lesson.next_chances(logits, sampling, seen)
    torch.testing.assert_close(chances, by_hand)
    assert (chances > 0).sum() == 3
    penalized = lesson.penalize_repetition(logits, seen, 1.5)
    other_order = lesson.keep_top_p(penalized, 0.95) / 0.5
    assert (~other_order.isinf()).sum() == 4


def test_neutral_settings_are_the_models_own_chances():
    logits = torch.randn(4, 9)
    chances = lesson.next_chances(logits, lesson.Sampling(), torch.zeros(4, 1).long())
    torch.testing.assert_close(chances, logits.double().softmax(-1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.1}, r"temperature=-0\.1 must be 0 or more"),
        ({"temperature": math.nan}, "temperature=nan must be 0 or more"),
        ({"temperature": math.inf}, "temperature=inf must be 0 or more, and finite"),
        ({"top_k": -1}, "top_k=-1 must be 1 or more"),
        ({"top_p": 0}, "top_p=0 must be above 0 and at most 1"),
        ({"top_p": 1.5}, r"top_p=1\.5 must be above 0 and at most 1"),
        ({"min_p": -0.1}, r"min_p=-0\.1 must be from 0 to 1"),
        ({"repetition_penalty": 0}, "repetition_penalty=0 must be above 0"),
    ],
)
def test_an_impossible_setting_is_refused_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        lesson.Sampling(**settings)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 0.5}, {"top_p": 0.9}], ids=str
)
def test_logits_without_chances_are_an_error(bad, settings):
    logits = torch.tensor([0.0, bad, 1.0])
    with pytest.raises(ValueError, match="give no chances"):
        lesson.next_chances(logits, lesson.Sampling(**settings), torch.tensor([0]))
    nothing = torch.full((3,), -math.inf)
    with pytest.raises(ValueError, match="give no chances"):
        lesson.next_chances(nothing, lesson.Sampling(**settings), torch.tensor([0]))


# The stream

TOKENIZER = CharTokenizer("abcdefg\n")


@pytest.fixture
def gpt(device):
    torch.manual_seed(0)
    config = GPTConfig(8, context=6, width=12, heads=2, depth=1, dropout=0.5)
    model = GPT(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.to(device)


def ids_of(steps):
    """(B, length)"""
    return torch.stack([step.ids for step in steps], dim=1)


def test_luck_belongs_to_the_place():
    assert torch.equal(lesson.uniforms(5, 40)[:7], lesson.uniforms(5, 7))
    assert lesson.uniforms(5, 7).tolist() != lesson.uniforms(6, 7).tolist()


def test_the_same_seed_writes_the_same_and_a_batch_what_its_rows_write(gpt):
    prompts = torch.tensor([[0, 1, 2], [3, 3, 3], [7, 0, 1]])
    sampling = lesson.Sampling(0.9, top_p=0.95, repetition_penalty=1.2)
    batch = ids_of(lesson.stream(gpt, prompts, 20, sampling, seed=4))
    assert torch.equal(batch, ids_of(lesson.stream(gpt, prompts, 20, sampling, seed=4)))
    for row, prompt in enumerate(prompts):
        alone = ids_of(lesson.stream(gpt, prompt[None], 20, sampling, seed=4 + row))
        assert torch.equal(alone[0], batch[row])


def test_stopped_and_continued_equals_never_stopped(gpt):
    prompt = torch.tensor([[0, 1]])
    whole = ids_of(lesson.stream(gpt, prompt, 20))
    begun = torch.cat([prompt, whole[:, :8]], dim=1)
    assert torch.equal(ids_of(lesson.stream(gpt, begun, 12, skip=8)), whole[:, 8:])


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_comes_back_after_every_step(gpt, training):
    gpt.train(training)
    steps = lesson.stream(gpt, torch.tensor([[1, 2]]), 12)
    chances = []
    for step in steps:
        assert gpt.training is training
        chances.append(step.chances.item())
    gpt.eval()
    quiet = [s.chances.item() for s in lesson.stream(gpt, torch.tensor([[1, 2]]), 12)]
    assert chances == quiet


@pytest.mark.parametrize("training", [True, False])
def test_next_logits_are_without_dropout_and_the_mode_comes_back(gpt, training):
    ids = torch.tensor([[1, 2], [0, 2]])
    expected = lesson.next_logits(gpt.eval(), ids)
    gpt.train(training)
    assert torch.equal(lesson.next_logits(gpt, ids), expected)
    assert gpt.training is training


def test_a_step_carries_the_models_own_chance(gpt):
    prompt = torch.tensor([[0, 1, 2]])
    [step] = lesson.stream(gpt, prompt, 1, lesson.Sampling(temperature=0))
    with torch.inference_mode():
        chances = gpt.eval()(prompt.to(next(gpt.parameters()).device))[0, -1].softmax(
            -1
        )
    assert step.ids.item() == chances.argmax().item()
    assert step.chances.item() == pytest.approx(chances.max().item(), rel=1e-4)


class Recording(nn.Module):
    """Says b after everything, and remembers how much it was given."""

    vocab_size = 8

    def __init__(self, context):
        super().__init__()
        self.context, self.lengths = context, []
        self.weight = nn.Parameter(torch.zeros(8))

    def forward(self, ids):
        self.lengths.append(ids.size(1))
        logits = torch.zeros(*ids.shape, 8)
        logits[..., 1] = 50.0
        return logits


def test_only_the_context_is_read():
    model = Recording(context=3)
    list(lesson.stream(model, torch.tensor([[0, 1]]), 4))
    assert model.lengths == [2, 3, 3, 3]
    model = Recording(context=None)
    list(lesson.stream(model, torch.tensor([[0, 1]]), 4))
    assert model.lengths == [2, 3, 4, 5]


def test_impossible_requests_are_errors(gpt):
    with pytest.raises(ValueError, match="prompt is empty"):
        next(lesson.stream(gpt, torch.zeros(1, 0).long(), 3))
    with pytest.raises(ValueError, match="length=-1 must be 0 or more"):
        next(lesson.stream(gpt, torch.zeros(1, 1).long(), -1))
    writer = lesson.Writer(gpt, TOKENIZER)
    with pytest.raises(ValueError, match="prompt is empty"):
        next(lesson.write(writer, "", 3))
    with pytest.raises(ValueError, match="'z' at position 1"):
        next(lesson.write(writer, "az", 3))
    with pytest.raises(ValueError, match="prompt is empty"):
        writer.logits([])
    with pytest.raises(ValueError, match="temperature=-1"):
        next(lesson.write(writer, "a", 3, temperature=-1))


# The writer


def test_a_writer_writes_what_its_stream_says(gpt):
    writer = lesson.Writer(gpt, TOKENIZER)
    text = "".join(lesson.write(writer, "ab", 15, seed=3, temperature=0.8))
    ids, chances = zip(*writer.stream(writer.encode("ab"), 15, 3, temperature=0.8))
    assert text == "".join(writer.tokens[id] for id in ids)
    assert all(0 < chance <= 1 for chance in chances)
    assert list(lesson.write(writer, "ab", 0)) == []


def test_the_playground_can_explain_every_token(gpt):
    """What a stream chose is what logits, chances and luck say it had to choose."""
    writer = lesson.Writer(gpt, TOKENIZER)
    settings = {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.3}
    ids = writer.encode("abc")
    for place, (id, own) in enumerate(writer.stream(ids, 12, seed=2, **settings)):
        logits = writer.logits(ids)
        chances = writer.chances(logits, ids, **settings)
        u = torch.tensor(writer.luck(2, place), dtype=torch.float64)
        assert lesson.draw(chances, u).item() == id
        assert logits.softmax(-1)[id].item() == pytest.approx(own, rel=1e-3)
        ids = [*ids, id]


def test_a_stop_string_ends_the_text_within_one_token():
    model = Bigram.from_probabilities(torch.eye(8).roll(1, dims=1))  # a b c … ↵ a b …
    writer = lesson.Writer(model, TOKENIZER)
    assert "".join(lesson.write(writer, "a", 30, stop="ef")) == "bcdef"
    assert "".join(lesson.write(writer, "a", 30, stop="\n")) == "bcdefg\n"
    assert (
        "".join(lesson.write(writer, "e", 30, stop="ef")) == "fg\nabcdef"
    )  # not the prompt's
    assert "".join(lesson.write(writer, "a", 9, stop="xy")) == "bcdefg\nab"
    counting = Recording(context=4)
    assert (
        len(list(lesson.write(lesson.Writer(counting, TOKENIZER), "a", 9, stop="bb")))
        == 2
    )
    assert len(counting.lengths) == 2  # nothing was computed after it


# Beams


def all_walks(model, ids, length):
    """Every continuation with its log-chance, best first."""
    walks = []
    for walk in itertools.product(range(model.vocab_size), repeat=length):
        text = torch.cat([ids, torch.tensor(walk)])[None]
        logs = model(text)[0].double().log_softmax(-1)
        places = range(len(ids) - 1, len(ids) + length - 1)
        walks.append((sum(logs[p, id].item() for p, id in zip(places, walk)), walk))
    return sorted(walks, reverse=True)


@pytest.fixture
def table():
    torch.manual_seed(1)
    return Bigram.from_probabilities(torch.randn(4, 4).mul(2).softmax(-1))


def test_enough_beams_find_the_likeliest_walk(table):
    start = torch.tensor([0])
    walks = all_walks(table, start, 4)
    beams = lesson.beam_search(table, start, 4, width=64)
    best = {walk: log_chance for log_chance, walk in walks}
    found = [beam.log_chance for beam in beams[:10]]
    assert found == pytest.approx([log_chance for log_chance, _ in walks[:10]])
    assert found == pytest.approx([best[beam.ids] for beam in beams[:10]])


def test_one_beam_is_greedy(table):
    [beam] = lesson.beam_search(table, torch.tensor([2]), 12, width=1)
    greedy = lesson.stream(table, torch.tensor([[2]]), 12, lesson.Sampling(0))
    assert list(beam.ids) == ids_of(greedy)[0].tolist()


def test_two_beams_see_further_than_one():
    chances = torch.tensor([[0, 0.5, 0.4, 0.1], [0, 0.4, 0.3, 0.3], [0, 0.1, 0, 0.9]])
    table = Bigram.from_probabilities(torch.cat([chances, chances[:1]]))
    one, two = (
        lesson.beam_search(table, torch.tensor([0]), 2, width=width)[0]
        for width in (1, 2)
    )
    assert (one.ids, two.ids) == ((1, 1), (2, 3))
    assert math.exp(two.log_chance) == pytest.approx(0.36)


def test_rounds_show_what_was_pruned(table):
    rounds = list(lesson.beam_rounds(table, torch.tensor([0]), 3, width=2))
    assert [len(kept) for kept, _ in rounds] == [2, 2, 2]
    for kept, pruned in rounds:
        assert len(pruned) == 2
        assert min(b.log_chance for b in kept) >= max(b.log_chance for b in pruned)


def test_a_beam_stops_and_length_normalisation_favours_long_ones():
    # After 0 the end (2) has 0.4; after 1 comes 1 with 0.95.
    table = Bigram.from_probabilities(
        torch.tensor([[0.0, 0.6, 0.4], [0.0, 0.9, 0.1], [0.5, 0.5, 0.0]])
    )
    options = {"length": 12, "width": 3, "stop": 2}
    short = lesson.beam_search(table, torch.tensor([0]), alpha=0.0, **options)
    long = lesson.beam_search(table, torch.tensor([0]), alpha=1.0, **options)
    assert short[0].ids == (2,)
    assert len(long[0].ids) == 12
    assert long[0].score(1.0) == pytest.approx(long[0].log_chance / 12)
    ended = [b for b in long + short if 2 in b.ids]
    assert all(beam.ids.index(2) == len(beam.ids) - 1 for beam in ended)


def test_beams_read_only_the_context(gpt):
    beams = lesson.beam_search(gpt, torch.tensor([0, 1, 2, 3]), 10, width=2)
    assert [len(beam.ids) for beam in beams] == [10, 10]
    with pytest.raises(ValueError, match="0 ids and width=4"):
        lesson.beam_search(gpt, torch.tensor([]).long(), 3)
    with pytest.raises(ValueError, match="1 ids and width=0"):
        lesson.beam_search(gpt, torch.tensor([1]), 3, width=0)
    assert lesson.beam_search(gpt, torch.tensor([1]), 0) == []
