"""Cached equals uncached: in pieces, for padded rows, at the end of the context."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt_lib import cache as lesson
from gpt_lib.block import OneBlock
from gpt_lib.generation import Sampling, Writer, next_logits, reading, stream
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.text import CharTokenizer
from tests.conftest import need_compiler

V, CONTEXT = 11, 12
near = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-4)


def make_model(device="cpu", dropout=0.0, **shape):
    torch.manual_seed(0)
    shape = {"width": 24, "heads": 3, "depth": 2, "context": CONTEXT} | shape
    model = GPT(GPTConfig(V, dropout=dropout, **shape)).to(device).eval()
    for parameter in model.parameters():  # far from the quiet start
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def some_ids(rows, length, seed=1):
    dice = torch.Generator().manual_seed(seed)
    return torch.randint(V, (rows, length), generator=dice)


MODEL = make_model()


@given(st.lists(st.integers(1, 5), min_size=1, max_size=CONTEXT), st.integers(1, 3))
def test_read_in_any_pieces_it_is_the_same_model(sizes, rows):
    ids = some_ids(rows, min(sum(sizes), CONTEXT))
    cached = lesson.CachedGPT(MODEL, rows)
    found = torch.cat([cached.read(piece) for piece in pieces_of(ids, sizes)], dim=1)
    near(found, MODEL(ids))
    assert cached.length == ids.size(1)


def pieces_of(ids, sizes):
    """The ids cut into pieces of these sizes, as far as they go."""
    begin = 0
    for size in sizes:
        if begin < ids.size(1):
            yield ids[:, begin : begin + size]
        begin += size


@pytest.mark.parametrize(
    "shape", [{"heads": 1}, {"depth": 1}, {"width": 6, "heads": 6}]
)
def test_any_shape_on_any_device(shape, device):
    model = make_model(device, **shape)
    ids = some_ids(2, CONTEXT).to(device)
    cached = lesson.CachedGPT(model, 2)
    found = torch.cat([cached.read(piece) for piece in ids.split(5, dim=1)], dim=1)
    near(found, model(ids), atol=1e-4)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 6))
def test_padded_rows_are_what_they_are_alone(lengths, more):
    prompts = [some_ids(1, n, seed)[0] for seed, n in enumerate(lengths)]
    following = some_ids(len(prompts), more, seed=99)
    ids, starts = lesson.left_padded(prompts)
    cached = lesson.CachedGPT(MODEL, starts=starts)
    logits = [cached.read(ids)[:, -1]]
    logits += [cached.read(each)[:, -1] for each in following.split(1, dim=1) if more]
    for row, prompt in enumerate(prompts):
        alone = MODEL(torch.cat([prompt, following[row]])[None])[0]
        near(torch.stack([each[row] for each in logits]), alone[len(prompt) - 1 :])


def test_what_stands_in_the_padding_does_not_matter():
    ids, starts = lesson.left_padded([some_ids(1, 5)[0], some_ids(1, 2)[0]])
    other = ids.clone()
    other[1, : starts[1]] = 7
    read = [lesson.CachedGPT(MODEL, starts=starts).read(each) for each in (ids, other)]
    torch.testing.assert_close(read[0][1, 3:], read[1][1, 3:], atol=0, rtol=0)
    assert read[0].isfinite().all()


def test_padding_by_finger():
    prompts = [torch.tensor([7, 8, 9]), torch.tensor([5]), torch.tensor([3, 4])]
    ids, starts = lesson.left_padded(prompts)
    assert ids.tolist() == [[7, 8, 9], [0, 0, 5], [0, 3, 4]]
    assert starts.tolist() == [0, 2, 1]


@pytest.mark.parametrize("prompts", [[], [torch.tensor([1]), torch.tensor([]).long()]])
def test_an_empty_prompt_is_refused(prompts):
    with pytest.raises(ValueError, match="at least one token"):
        lesson.left_padded(prompts)


def test_a_full_cache_says_so_and_loses_nothing():
    cached = lesson.CachedGPT(MODEL)
    ids = some_ids(1, CONTEXT)
    cached.read(ids[:, :-1])
    with pytest.raises(ValueError, match="2 ids after 11 are more than the context of"):
        cached.read(ids[:, :2])
    near(cached.read(ids[:, -1:])[:, -1], MODEL(ids)[:, -1])


@pytest.mark.parametrize(("rows", "length"), [(2, 1), (2, 4), (0, 1)])
def test_other_rows_are_refused(rows, length):
    """One id of two rows must not be read as two ids of one."""
    cached = lesson.CachedGPT(MODEL)
    with pytest.raises(ValueError, match=f"{rows} rows of ids for a cache that has 1"):
        cached.read(some_ids(rows, length))
    assert cached.length == 0


def test_a_shorter_length_forgets_what_is_behind_it():
    cached, ids = lesson.CachedGPT(MODEL), some_ids(1, 6)
    cached.read(ids)
    cached.length = 2
    near(cached.read(ids[:, 2:]), MODEL(ids)[:, 2:])


def test_dropout_is_off_and_the_mode_stays():
    model = make_model(dropout=0.5).train()
    ids = some_ids(1, 4)
    found = lesson.CachedGPT(model).read(ids)
    assert model.training
    near(found, model.eval()(ids))


def test_the_memory_is_what_the_formula_says():
    kept = [t for memory in lesson.CachedGPT(MODEL, rows=3).kept for t in memory]
    assert sum(t.nbytes for t in kept) == lesson.cache_bytes(2, 24, CONTEXT, 3)


# Reading, as `stream` does it


def test_a_gpt_is_read_with_a_memory_and_other_models_without():
    assert isinstance(reading(MODEL), lesson.Reading)
    assert not isinstance(reading(OneBlock(V, 4, 8, 2)), lesson.Reading)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=6))
def test_any_series_of_texts_reads_as_without_a_memory(series):
    """Longer, shorter, the same, another branch, beyond the context: all agree."""
    read, text = lesson.Reading(MODEL), some_ids(2, 1)
    for seed, (keep, more) in enumerate(series):
        new = some_ids(2, more, seed)
        text = torch.cat([text[:, :keep], new], dim=1)
        near(read(text), next_logits(MODEL, text))


def test_only_what_is_new_is_read(monkeypatch):
    sizes = []
    plain = lesson.CachedGPT.read

    def spy(self, ids):
        sizes.append(ids.size(1))
        return plain(self, ids)

    monkeypatch.setattr(lesson.CachedGPT, "read", spy)
    ids, read = some_ids(1, CONTEXT + 2), lesson.Reading(MODEL)
    for length in (5, 6, 7, 7, 4):
        read(ids[:, :length])
    branch = ids[:, :7].clone()
    branch[0, 2] = (branch[0, 2] + 1) % V
    read(branch)
    assert sizes == [5, 1, 1, 1, 1, 5]
    sizes.clear()
    for length in (CONTEXT, CONTEXT + 1, CONTEXT + 2):
        read(ids[:, :length])
    assert sizes[1:] == [CONTEXT, CONTEXT]  # positions moved: everything is new


def test_another_number_of_rows_starts_anew():
    read = lesson.Reading(MODEL)
    for rows in (1, 3, 2):
        ids = some_ids(rows, 5)
        near(read(ids), next_logits(MODEL, ids))


def test_nothing_to_read_is_refused():
    with pytest.raises(ValueError, match="the prompt is empty"):
        lesson.Reading(MODEL)(torch.zeros(1, 0, dtype=torch.long))


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.7, "top_k": 4}])
def test_the_stream_writes_the_same_text_with_and_without(
    monkeypatch, settings, device
):
    model = make_model(device)
    ids, how = some_ids(3, 2), (40, Sampling(**settings), 5)  # far beyond the context
    with_memory = list(stream(model, ids, *how))
    monkeypatch.setattr(
        "gpt_lib.generation.reading", lambda model: partial(next_logits, model)
    )
    without = list(stream(model, ids, *how))
    for ours, theirs in zip(with_memory, without, strict=True):
        assert torch.equal(ours.ids, theirs.ids)
        near(ours.chances, theirs.chances, atol=1e-4)


def test_two_streams_of_one_model_do_not_mix():
    ids = some_ids(1, 3)
    alone = [step.ids for step in stream(MODEL, ids, 8, seed=1)]
    pair = zip(stream(MODEL, ids, 8, seed=1), stream(MODEL, ids, 8, seed=2))
    assert alone == [one.ids for one, _ in pair]


def test_a_writer_gets_it_without_asking(monkeypatch):
    calls = []
    plain = lesson.Reading.__call__
    monkeypatch.setattr(
        lesson.Reading, "__call__", lambda *given: calls.append(1) or plain(*given)
    )
    writer = Writer(MODEL, CharTokenizer("abcdefghijk"))
    list(writer.stream([1, 2], 5))
    assert len(calls) == 5


def test_a_read_that_was_interrupted_leaves_nothing_to_trust(monkeypatch):
    ids, read = some_ids(1, 8), lesson.Reading(MODEL)
    read(ids)
    other = (ids + 1) % V

    def interrupted(self, given):
        for memory in self.kept:
            memory[0].zero_()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(lesson.CachedGPT, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read(other)
    near(read(ids), next_logits(MODEL, ids))


# The compiled step


@pytest.fixture(scope="module")
def compiled():
    """A model whose step is compiled: it takes the compiler some ten seconds."""
    model = lesson.CompiledGPT(MODEL)
    need_compiler(model.problem)
    return model


def test_compiled_equals_eager_at_every_place(compiled):
    ids = some_ids(1, CONTEXT)
    for first in (1, 4):  # the length of the prompt
        eager = lesson.CachedGPT(MODEL)
        cached = lesson.CompiledCache(compiled)
        for piece in pieces_of(ids, [first] + [1] * (CONTEXT - first)):
            near(cached.read(piece), eager.read(piece))
        for (keys, values), (like_keys, like_values) in zip(cached.kept, eager.kept):
            near(keys, like_keys)
            near(values, like_values)


def test_the_compiled_step_is_used_where_it_fits_and_nowhere_else(compiled):
    sizes = []

    class Spied(lesson.CompiledCache):
        def __init__(self, model, rows=1):
            super().__init__(model, rows)

            def step(ids, slots, kept):
                sizes.append(len(slots))
                return compiled.step(ids, slots, kept)

            self.compiled = step

    one, two = Spied(compiled), Spied(compiled, rows=2)
    ids = some_ids(2, CONTEXT)
    for piece in pieces_of(ids, [1, 1, 2] + [1] * (CONTEXT - 4)):
        one.read(piece[:1])
        near(two.read(piece)[:1].size(1), piece.size(1))
    assert sizes == [2, *range(5, CONTEXT)]


def test_streams_write_the_same_compiled_and_not(compiled):
    ids = some_ids(1, 3)
    texts = [
        [step.ids.item() for step in stream(model, ids, 2 * CONTEXT, seed=4)]
        for model in (MODEL, compiled)
    ]
    assert texts[0] == texts[1]
    assert isinstance(reading(compiled), lesson.CompiledReading)
    near(compiled(ids), MODEL(ids))


@pytest.mark.parametrize("context", [1, 2, 3])
def test_a_context_too_short_to_compile_for_is_read_eagerly(context):
    model = lesson.CompiledGPT(make_model(context=context, depth=1))
    assert model.problem == f"a context of {context} is too short to compile for"
    ids = some_ids(1, context)
    near(lesson.CompiledCache(model).read(ids), model(ids))


def test_where_own_products_cannot_be_written_the_librarys_are_taken(compiled):
    model = GPT(GPTConfig(7, context=8, width=8, heads=2, depth=1)).double()
    ids = torch.randint(7, (1, 6))
    step = lesson.compile_step(model)  # of 64 bits, for which none are written
    cached = lesson.CachedGPT(model)
    cached.read(ids[:, :5])
    near(step(ids[:, 5:], cached.slots[:6], cached.kept), model(ids)[:, 5:])


def test_only_a_cpus_step_is_compiled():
    model = lesson.CompiledGPT(make_model(depth=1).to("meta"))
    assert model.problem == "only a CPU's step is compiled, and the model is on meta"
