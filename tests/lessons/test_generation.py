"""Sampling against brute force, and what is generated against itself."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from torch import nn

from gpt_lib import generation as lesson
from gpt_lib.bigram import Bigram
from gpt_lib.text import CharTokenizer
from tests.byte_tokenizer import ByteTokenizer

# Coarse numbers on purpose: they tie, and ties are where sorting goes wrong.
coarse = some.integers(-8, 8).map(lambda number: number / 2)
top_p_inputs = some.integers(1, 7).flatmap(
    lambda V: arrays(float, (3, V), elements=coarse)
)
fractions = some.sampled_from([0.05, 0.2, 0.5, 0.75, 0.9, 0.99])


def softmax(row):
    """Softmax of a list, by hand; of −∞ it is 0."""
    powers = [math.exp(x) if x > -math.inf else 0.0 for x in row]
    return [power / sum(powers) for power in powers]


def by_rank(row):
    """Ids, likeliest first; of equals the smaller id."""
    return sorted(range(len(row)), key=lambda id: (-row[id], id))


def brute_top_p(row, p):
    probabilities, nucleus, covered = softmax(row), set(), 0.0
    for id in by_rank(row):
        if covered >= p - 1e-12:
            break
        nucleus.add(id)
        covered += probabilities[id]
    return nucleus


def finite_ids(logits):
    return [{id for id, x in enumerate(row) if x > -math.inf} for row in logits]


# By hand first: what breaks them is found at once, without a search for an example.


def test_cuts_by_hand():
    logits = torch.tensor([[0.15, 0.5, 0.05, 0.3], [0.9, 0.05, 0.03, 0.02]]).log()
    assert finite_ids(lesson.keep_top_p(logits, 0.6).tolist()) == [{1, 3}, {0}]
    assert finite_ids(lesson.keep_top_p(logits, 0.95).tolist()) == [{0, 1, 3}, {0, 1}]
    assert finite_ids(lesson.keep_top_k(logits, 2).tolist()) == [{1, 3}, {0, 1}]
    assert finite_ids(lesson.keep_min_p(logits, 0.31).tolist()) == [{1, 3}, {0}]


def test_penalty_by_hand():
    logits, ids = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([0, 1, 1])
    assert lesson.penalize_repetition(logits, ids, 2.0).tolist() == [1.0, -2.0, 0.5]


def test_sample_by_hand():
    probabilities = torch.tensor([0.2, 0.5, 0.3])
    throws = torch.tensor([0.0, 0.45, 0.6, 0.95])
    assert lesson.sample_at_uniform(probabilities.expand(4, 3), throws).tolist() == [
        1,
        1,
        2,
        0,
    ]


@given(top_p_inputs, some.integers(1, 9))
def test_top_k_keeps_the_k_likeliest_of_each_row(rows, k):
    logits = lesson.keep_top_k(torch.tensor(rows), k)
    assert finite_ids(logits.tolist()) == [
        set(by_rank(row)[:k]) for row in rows.tolist()
    ]


@given(top_p_inputs, fractions)
def test_top_p_keeps_the_fewest_that_reach_p_row_by_row(rows, p):
    logits = lesson.keep_top_p(torch.tensor(rows), p).tolist()
    for row, after in zip(rows.tolist(), logits):
        assert finite_ids([after]) == [brute_top_p(row, p)]
        assert all(x in (y, -math.inf) for x, y in zip(after, row))


@pytest.mark.parametrize(
    ("dtype", "probabilities", "p", "count"),
    [
        (torch.float32, [0.5, 0.25, 0.25], 0.5, 1),  # exactly on the border
        (torch.float64, [0.6, 0.3, 0.1], 0.9, 2),  # 0.6 + 0.3 is a little below 0.9
        (torch.float64, [0.7, 0.1, 0.1, 0.1], 0.8, 2),
        (torch.float32, [0.4, 0.3, 0.3], 1e-46, 1),  # 0 in 32 bits
        (torch.float32, [0.4, 0.3, 0.3], 5e-324, 1),
    ],
)
def test_top_p_on_the_border_keeps_no_id_too_few_and_none_too_many(
    dtype, probabilities, p, count
):
    logits = torch.tensor(probabilities, dtype=torch.float64).log().to(dtype)
    assert lesson.keep_top_p(logits, p).isfinite().sum() == count


def test_top_p_is_exact_over_a_large_vocabulary():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 50_257, generator=generator, dtype=torch.float64)
    assert torch.equal(lesson.keep_top_p(logits, 1.0), logits)
    for row, after in zip(logits.softmax(-1), lesson.keep_top_p(logits, 0.9)):
        inside = row[~after.isinf()]
        assert inside.sum() >= 0.9 > inside.sum() - inside.min()
        assert inside.min() >= row[after.isinf()].max()


@given(top_p_inputs, fractions)
def test_min_p_keeps_what_is_near_the_likeliest(rows, p):
    # A hair off, so that no chance lies exactly on the border.
    logits = lesson.keep_min_p(torch.tensor(rows), p * 1.0001).tolist()
    for row, after in zip(map(softmax, rows.tolist()), logits):
        border = p * 1.0001 * max(row)
        assert finite_ids([after]) == [{id for id, c in enumerate(row) if c >= border}]


@given(top_p_inputs, some.sampled_from([0.1, 0.5, 1.0, 2.0]))
def test_temperature_takes_ratios_to_a_power(rows, temperature):
    cold = lesson.apply_temperature(torch.tensor(rows), temperature).softmax(-1)
    expected = [softmax([x / temperature for x in row]) for row in rows.tolist()]
    torch.testing.assert_close(cold, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("temperature", [0, 1e-300])
def test_a_temperature_of_nothing_is_greedy_without_overflow(temperature):
    logits = torch.tensor([[1.0, 900.0, 3.0], [-900.0, -2.0, -3.0]])
    probabilities = lesson.apply_temperature(logits.double(), temperature).softmax(-1)
    assert probabilities.tolist() == [[0, 1, 0], [0, 1, 0]]


@given(top_p_inputs, some.data(), some.sampled_from([0.5, 1.3, 2.0]))
def test_the_penalty_makes_ids_that_occurred_less_likely(rows, data, penalty):
    V = rows.shape[1]
    ids = torch.tensor(data.draw(arrays(int, (3, 4), elements=some.integers(0, V - 1))))
    logits = lesson.penalize_repetition(torch.tensor(rows), ids, penalty).tolist()
    for row, occurred, after in zip(rows.tolist(), ids.tolist(), logits):
        for id, (x, y) in enumerate(zip(row, after)):
            factor = 1 if id not in occurred else 1 / penalty if x > 0 else penalty
            assert y == pytest.approx(x * factor)
            if penalty > 1:
                assert y <= x


@given(top_p_inputs, some.floats(0, 1, exclude_max=True))
def test_a_sample_lands_where_the_bar_says(rows, u):
    probabilities = torch.tensor(
        [softmax(row) for row in rows.tolist()], dtype=torch.float64
    )
    ids = lesson.sample_at_uniform(
        probabilities, torch.full((3,), u, dtype=torch.float64)
    )
    for row, id in zip(probabilities.tolist(), ids.tolist()):
        order = by_rank(row)
        start = sum(row[other] for other in order[: order.index(id)])
        assert start - 1e-9 <= u <= start + row[id] + 1e-9


def test_no_rounding_can_hit_what_has_no_probability():
    probabilities = torch.tensor([0.0, 0.1, 0.1, 0.1, 0.0]).double()
    almost = torch.tensor(1 - 2**-53, dtype=torch.float64)
    assert lesson.sample_at_uniform(probabilities, almost).item() == 3
    assert (
        lesson.sample_at_uniform(probabilities * (1 + 1e-9) / 0.3, almost).item() == 3
    )


def chi_square(observed, expected):
    return ((observed - expected) ** 2 / expected).sum().item()


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.5}, {"top_k": 4}, {"top_p": 0.8}, {"min_p": 0.1}],
    ids=str,
)
def test_ten_thousand_samples_follow_the_exact_probabilities(settings):
    logits = torch.tensor([0.3, -1.0, 1.2, 0.0, 0.9, -0.4, -2.0, 0.5])
    config = lesson.SamplingConfig(**settings)
    probabilities = lesson.sampling_probabilities(logits, config, torch.tensor([0]))
    ids = lesson.sample_at_uniform(
        probabilities.expand(10_000, 8), lesson.uniforms(3, 10_000)
    )
    counts = ids.bincount(minlength=8).double()
    possible = probabilities > 0
    assert counts[~possible].sum() == 0
    # Seven degrees of freedom exceed 26 once in 2,000; fewer do so less often.
    assert chi_square(counts[possible], 10_000 * probabilities[possible]) < 26


def test_settings_are_applied_in_the_stated_order():
    logits = torch.tensor([2.0, 1.9, 1.0, -1.0, 0.2])
    ids = torch.tensor([0, 3])
    config = lesson.SamplingConfig(0.5, 4, 0.95, 0.05, 1.5)
    by_hand = lesson.penalize_repetition(logits.double(), ids, 1.5)
    by_hand = lesson.apply_temperature(by_hand, 0.5)
    by_hand = lesson.keep_top_k(by_hand, 4)
    by_hand = lesson.keep_top_p(by_hand, 0.95)
    by_hand = lesson.keep_min_p(by_hand, 0.05).softmax(-1)
    probabilities = lesson.sampling_probabilities(logits, config, ids)
    torch.testing.assert_close(probabilities, by_hand)
    assert (probabilities > 0).sum() == 3
    penalized = lesson.penalize_repetition(logits, ids, 1.5)
    other_order = lesson.keep_top_p(penalized, 0.95) / 0.5
    assert (~other_order.isinf()).sum() == 4


def test_neutral_settings_are_the_models_own_probabilities():
    logits = torch.randn(4, 9)
    probabilities = lesson.sampling_probabilities(
        logits, lesson.SamplingConfig(), torch.zeros(4, 1).long()
    )
    torch.testing.assert_close(probabilities, logits.double().softmax(-1))


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
        lesson.SamplingConfig(**settings)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 0.5}, {"top_p": 0.9}], ids=str
)
def test_logits_without_probabilities_are_an_error(bad, settings):
    logits = torch.tensor([0.0, bad, 1.0])
    with pytest.raises(ValueError, match="give no probabilities"):
        lesson.sampling_probabilities(
            logits, lesson.SamplingConfig(**settings), torch.tensor([0])
        )
    nothing = torch.full((3,), -math.inf)
    with pytest.raises(ValueError, match="give no probabilities"):
        lesson.sampling_probabilities(
            nothing, lesson.SamplingConfig(**settings), torch.tensor([0])
        )


# Token after token

TOKENIZER = CharTokenizer("abcdefg\n")


def ids_of(tokens):
    """(B, length)"""
    return torch.stack([token.ids for token in tokens], dim=1)


def test_random_numbers_belong_to_their_positions():
    assert torch.equal(lesson.uniforms(5, 40)[:7], lesson.uniforms(5, 7))
    assert lesson.uniforms(5, 7).tolist() != lesson.uniforms(6, 7).tolist()


def test_the_same_seed_writes_the_same_and_a_batch_what_its_rows_write(gpt):
    prompts = torch.tensor([[0, 1, 2], [3, 3, 3], [7, 0, 1]])
    config = lesson.SamplingConfig(0.9, top_p=0.95, repetition_penalty=1.2)
    batch = ids_of(lesson.generate(gpt, prompts, 20, config, seed=4))
    assert torch.equal(batch, ids_of(lesson.generate(gpt, prompts, 20, config, seed=4)))
    for row, prompt in enumerate(prompts):
        alone = ids_of(lesson.generate(gpt, prompt[None], 20, config, seed=4 + row))
        assert torch.equal(alone[0], batch[row])


def test_stopped_and_continued_equals_never_stopped(gpt):
    prompt = torch.tensor([[0, 1]])
    whole = ids_of(lesson.generate(gpt, prompt, 20))
    stopped = torch.cat([prompt, whole[:, :8]], dim=1)
    assert torch.equal(ids_of(lesson.generate(gpt, stopped, 12, skip=8)), whole[:, 8:])


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_comes_back_after_every_token(gpt, training):
    gpt.train(training)
    prompt, probabilities = torch.tensor([[1, 2]]), []
    for token in lesson.generate(gpt, prompt, 12):
        assert gpt.training is training
        probabilities.append(token.probabilities.item())
    tokens = lesson.generate(gpt.eval(), prompt, 12)
    assert probabilities == [token.probabilities.item() for token in tokens]


@pytest.mark.parametrize("training", [True, False])
def test_next_logits_are_without_dropout_and_the_mode_comes_back(gpt, training):
    ids = torch.tensor([[1, 2], [0, 2]])
    expected = lesson.next_logits(gpt.eval(), ids)
    gpt.train(training)
    assert torch.equal(lesson.next_logits(gpt, ids), expected)
    assert gpt.training is training


def test_a_token_carries_the_models_own_probability(gpt):
    prompt = torch.tensor([[0, 1, 2]])
    [token] = lesson.generate(gpt, prompt, 1, lesson.SamplingConfig(temperature=0))
    with torch.inference_mode():
        probabilities = gpt.eval()(prompt.to(next(gpt.parameters()).device))[
            0, -1
        ].softmax(-1)
    assert token.ids.item() == probabilities.argmax().item()
    assert token.probabilities.item() == pytest.approx(
        probabilities.max().item(), rel=1e-4
    )


class Recording(nn.Module):
    """Generates b after everything, and records the ids that it read."""

    vocab_size = 8

    def __init__(self, context):
        super().__init__()
        self.context, self.texts = context, []
        self.weight = nn.Parameter(torch.zeros(8))

    def forward(self, ids):
        self.texts += ids.tolist()
        logits = torch.zeros(*ids.shape, 8)
        logits[..., 1] = 50.0
        return logits


def test_only_the_context_is_read():
    prompt, model = torch.tensor([[3, 2]]), Recording(context=3)
    list(lesson.generate(model, prompt, 4))
    assert model.texts == [[3, 2], [3, 2, 1], [2, 1, 1], [1, 1, 1]]
    model = Recording(context=None)
    list(lesson.generate(model, prompt, 4))
    assert model.texts == [[3, 2], [3, 2, 1], [3, 2, 1, 1], [3, 2, 1, 1, 1]]


def test_impossible_requests_are_errors(gpt):
    with pytest.raises(ValueError, match="prompt is empty"):
        next(lesson.generate(gpt, torch.zeros(1, 0).long(), 3))
    with pytest.raises(ValueError, match="length=-1 must be from 0 to 10,000,000"):
        next(lesson.generate(gpt, torch.zeros(1, 1).long(), -1))
    text_generator = lesson.TextGenerator(gpt, TOKENIZER)
    with pytest.raises(ValueError, match="prompt is empty"):
        next(lesson.stream_text(text_generator, "", 3))
    with pytest.raises(ValueError, match="'z' at position 1"):
        next(lesson.stream_text(text_generator, "az", 3))
    with pytest.raises(ValueError, match="prompt is empty"):
        text_generator.logits([])
    with pytest.raises(ValueError, match="temperature=-1"):
        next(lesson.stream_text(text_generator, "a", 3, temperature=-1))


# With a tokenizer


def test_a_text_is_what_its_tokens_say(gpt):
    text_generator = lesson.TextGenerator(gpt, TOKENIZER)
    text = "".join(lesson.stream_text(text_generator, "ab", 15, temperature=0.8))
    prompt = text_generator.encode("ab")
    ids, probabilities, texts = zip(
        *text_generator.generate(prompt, 15, 1, temperature=0.8)
    )
    assert text == "".join(texts) == text_generator.decode(ids)
    assert texts == tuple(text_generator.labels[id] for id in ids)
    assert all(0 < probability <= 1 for probability in probabilities)
    assert list(lesson.stream_text(text_generator, "ab", 0)) == []


def test_the_playground_can_explain_every_token(gpt):
    """A token is what logits, probabilities and random number say it had to be."""
    text_generator = lesson.TextGenerator(gpt, TOKENIZER)
    settings = {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.3}
    ids = text_generator.encode("abc")
    tokens = text_generator.generate(ids, 12, seed=2, **settings)
    for position, token in enumerate(tokens):
        logits = text_generator.logits(ids)
        probabilities = text_generator.probabilities(logits, ids, **settings)
        u = torch.tensor(text_generator.uniform(2, position), dtype=torch.float64)
        assert lesson.sample_at_uniform(probabilities, u).item() == token.id
        own = logits.softmax(-1)[token.id].item()
        assert token.probability == pytest.approx(own, rel=1e-3)
        ids = [*ids, token.id]


@pytest.fixture
def alphabet():
    """Writes a b c d e f g ↵ a b …"""
    return Bigram.from_probabilities(torch.eye(8).roll(1, dims=1))


def test_a_stop_text_ends_the_text_within_one_token(alphabet):
    text_generator = lesson.TextGenerator(alphabet, TOKENIZER)

    def text(prompt, length, stop):
        return "".join(lesson.stream_text(text_generator, prompt, length, stop=stop))

    assert text("a", 30, stop="ef") == "bcdef"
    assert text("a", 30, stop="\n") == "bcdefg\n"
    assert text("e", 30, stop="ef") == "fg\nabcdef"  # the prompt does not count
    assert text("a", 9, stop="xy") == "bcdefg\nab"
    counting = Recording(context=4)
    tokens = lesson.TextGenerator(counting, TOKENIZER).generate([0], 9, stop="bb")
    assert len(list(tokens)) == 2
    assert len(counting.texts) == 2  # nothing was computed after it


def test_each_row_of_a_batch_has_a_stop_of_its_own(alphabet):
    prompts = torch.tensor([[0], [3], [5]])
    stop = [lesson.StopAfterText(TOKENIZER, text) for text in ("cd", "f", "xy")]
    tokens = list(lesson.generate(alphabet, prompts, 6, stop=stop))
    running = torch.stack([token.running for token in tokens], dim=1).tolist()
    assert running == [
        [True, True, False, False, False, False],
        [True, False, False, False, False, False],
        [True] * 6,
    ]
    assert torch.equal(ids_of(tokens), ids_of(lesson.generate(alphabet, prompts, 6)))
    stop = [lesson.StopAfterText(TOKENIZER, text) for text in ("cd", "f")]
    tokens = list(lesson.generate(alphabet, prompts[:2], 30, stop=stop))
    assert len(tokens) == 3  # until no row is running
    assert not tokens[-1].running.any()


def test_a_stop_is_told_every_id_of_its_row_until_it_ends(alphabet):
    calls = {0: [], 1: []}

    def until(row, last):
        return lambda id: calls[row].append(id) or id == last

    prompts, stop = torch.tensor([[0], [0]]), [until(0, 2), until(1, 4)]
    assert len(list(lesson.generate(alphabet, prompts, 9, stop=stop))) == 4
    assert calls == {0: [1, 2], 1: [1, 2, 3, 4]}


def test_stops_that_do_not_fit_are_errors(alphabet):
    prompts = torch.tensor([[0], [1]])
    stop = [lesson.StopAfterText(TOKENIZER, "a")]
    with pytest.raises(ValueError, match="1 stops for 2 rows: give one for each"):
        next(lesson.generate(alphabet, prompts, 3, stop=stop))
    with pytest.raises(ValueError, match="at least one character"):
        lesson.StopAfterText(TOKENIZER, "")


def test_the_reader_reads_what_was_generated(gpt):
    """And is made anew for each text."""
    lengths = []

    def make_reader(model):
        lengths.append([])

        def reader(ids):
            lengths[-1].append(ids.size(1))
            return lesson.next_logits(model, ids)

        return reader

    own, other = (
        lesson.TextGenerator(gpt, TOKENIZER, *reader) for reader in ((), (make_reader,))
    )
    expected = [token.id for token in own.generate([0, 1], 8)]
    for _ in range(2):
        assert [token.id for token in other.generate([0, 1], 8)] == expected
    assert lengths == [[2, 3, 4, 5, 6, 7, 7, 7]] * 2


# Tokens that are less than a character


BYTES = ByteTokenizer()


class Script(nn.Module):
    """Generates one text after another: id n is followed by id n + 1 of `ids`."""

    vocab_size, context = 256, None

    def __init__(self, ids, prompt):
        super().__init__()
        self.script, self.prompt = ids, prompt
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        logits = torch.zeros(*ids.shape, self.vocab_size)
        logits[:, -1, self.script[ids.size(1) - self.prompt]] = 50.0
        return logits


def scripted(text, prompt="x"):
    """A text generator that writes `text` after a prompt, byte by byte."""
    size = len(BYTES.encode(prompt))
    return lesson.TextGenerator(Script(BYTES.encode(text).tolist(), size), BYTES)


def test_no_half_character_is_ever_given():
    text = "é, 🙂!"
    text_generator = scripted(text)
    tokens = list(text_generator.generate([120], 9))
    assert [token.text for token in tokens] == [
        "",
        "é",
        ",",
        " ",
        "",
        "",
        "",
        "🙂",
        "!",
    ]
    assert list(lesson.stream_text(text_generator, "x", 9)) == list(text)
    assert text_generator.decode([token.id for token in tokens]) == text


def test_a_cut_character_is_marked_at_the_end():
    tokens = scripted("a🙂").generate([120], 3)
    assert [token.text for token in tokens] == ["a", "", "\ufffd"]


def test_a_character_that_began_in_the_prompt_is_completed():
    e_acute = BYTES.encode("é").tolist()
    script = Script([e_acute[1], 33], 1)
    tokens = lesson.TextGenerator(script, BYTES).generate(e_acute[:1], 2)
    assert [token.text for token in tokens] == ["é", "!"]


def test_a_stop_text_of_several_bytes():
    tokens = scripted("no🙂 more").generate([120], 11, stop="🙂")
    assert "".join(token.text for token in tokens) == "no🙂"
