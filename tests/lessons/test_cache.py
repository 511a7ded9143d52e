"""Cached equals uncached: in pieces, for padded rows, at the end of the context."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt_lib import cache as lesson
from gpt_lib.generation import SamplingConfig, TextGenerator, generate, next_logits
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.text import CharTokenizer

V, CONTEXT = 11, 12
assert_near = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-4)


def make_model(device="cpu", dropout=0.0, **shape):
    torch.manual_seed(0)
    shape = {"width": 24, "heads": 3, "depth": 2, "context": CONTEXT} | shape
    model = GPT(GPTConfig(V, dropout=dropout, **shape)).to(device).eval()
    for parameter in model.parameters():  # far from its small initial values
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def random_ids(rows, length, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(V, (rows, length), generator=generator)


def run_forward(model, cache, ids):
    with torch.inference_mode():
        return model(ids, cache)


def run_packed(model, cache, ids):
    reader = lesson.PackedWeightsReader(model)
    reader.cache = cache
    return reader.forward(ids)


MODEL = make_model()
either_run = pytest.mark.parametrize("run", [run_forward, run_packed])
either_reader = pytest.mark.parametrize(
    "make_reader", [lesson.CachedReader, lesson.PackedWeightsReader]
)


# A cache


@either_run
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=CONTEXT),
    rows=st.integers(1, 3),
)
def test_in_any_pieces_it_is_the_same_model(run, sizes, rows):
    ids = random_ids(rows, min(sum(sizes), CONTEXT))
    cache = lesson.KVCache.for_model(MODEL, rows)
    pieces = [run(MODEL, cache, piece) for piece in pieces_of(ids, sizes)]
    assert_near(torch.cat(pieces, dim=1), MODEL(ids))
    assert cache.length == ids.size(1)
    assert torch.equal(cache.ids[:, : cache.length], ids)


def pieces_of(ids, sizes):
    """The ids cut into pieces of these sizes, as far as they go."""
    begin = 0
    for size in sizes:
        if begin < ids.size(1):
            yield ids[:, begin : begin + size]
        begin += size


@either_run
@pytest.mark.parametrize(
    "shape", [{"heads": 1}, {"depth": 1}, {"width": 6, "heads": 6}]
)
def test_any_shape_on_any_device(run, shape, device):
    model = make_model(device, **shape)
    ids, cache = random_ids(2, CONTEXT).to(device), lesson.KVCache.for_model(model, 2)
    pieces = [run(model, cache, piece) for piece in ids.split(5, dim=1)]
    assert_near(torch.cat(pieces, dim=1), model(ids), atol=1e-4)


@either_run
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), more=st.integers(0, 6)
)
def test_padded_rows_are_what_they_are_alone(run, lengths, more):
    prompts = [random_ids(1, n, seed)[0] for seed, n in enumerate(lengths)]
    following = random_ids(len(prompts), more, seed=99)
    ids, left_padding = lesson.left_pad(prompts)
    cache = lesson.KVCache.for_model(MODEL, left_padding=left_padding)
    logits = [run(MODEL, cache, ids)[:, -1]]
    pieces = following.split(1, dim=1) if more else ()
    logits += [run(MODEL, cache, piece)[:, -1] for piece in pieces]
    for row, prompt in enumerate(prompts):
        alone = MODEL(torch.cat([prompt, following[row]])[None])[0]
        assert_near(
            torch.stack([each[row] for each in logits]), alone[len(prompt) - 1 :]
        )


@either_run
def test_what_stands_in_the_padding_does_not_matter(run):
    ids, left_padding = lesson.left_pad([random_ids(1, 5)[0], random_ids(1, 2)[0]])
    other = ids.clone()
    other[1, : left_padding[1]] = 7
    caches = [
        lesson.KVCache.for_model(MODEL, left_padding=left_padding) for _ in range(2)
    ]
    zeros, sevens = (
        run(MODEL, cache, each) for cache, each in zip(caches, (ids, other))
    )
    torch.testing.assert_close(zeros[1, 3:], sevens[1, 3:], atol=0, rtol=0)
    assert zeros.isfinite().all()
    assert caches[1].ids[1, :5].tolist() == [-1, -1, -1, *ids[1, 3:].tolist()]


def test_padding_by_hand():
    prompts = [torch.tensor([7, 8, 9]), torch.tensor([5]), torch.tensor([3, 4])]
    ids, left_padding = lesson.left_pad(prompts)
    assert ids.tolist() == [[7, 8, 9], [0, 0, 5], [0, 3, 4]]
    assert left_padding.tolist() == [0, 2, 1]


def test_masks_by_hand():
    mask = lesson.causal_mask(0, 4, window=2)
    assert mask.int().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 0, 1, 1],
    ]
    assert lesson.causal_mask(3, 4, window=2).int().tolist() == [[0, 0, 1, 1]]
    assert torch.equal(lesson.causal_mask(0, 5), torch.ones(5, 5).tril().bool())
    padded = lesson.causal_mask(0, 3, left_padding=torch.tensor([0, 2]))
    assert padded[0, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert padded[1, 0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("window", [0, 1, 3, 50])
def test_mask_and_keys_of_a_window_fit_together(window):
    """Each key that comes back is one that the mask has a column for."""
    cache = lesson.KVCache(torch.zeros(1, 2, 1, 1, CONTEXT, 2))
    whole = lesson.causal_mask(0, CONTEXT, window)
    for size in (4, 1, 3, 1):
        end = cache.length + size
        new = (
            torch.arange(cache.length, end)
            .float()
            .view(1, 1, size, 1)
            .expand(1, 1, size, 2)
        )
        keys, values = cache.update(0, new, -new, window)
        slots = keys[0, 0, :, 0].long()
        assert torch.equal(keys, -values)
        mask = cache.causal_mask(size, window)
        expected = whole[cache.length : end]
        assert not expected[:, : slots[0]].any()  # what was left out, nobody attends to
        if mask is None:
            assert expected[:, slots].all()
        else:
            assert torch.equal(mask, expected[:, slots])
        cache.advance(torch.zeros(1, size, dtype=torch.long))


@pytest.mark.parametrize("prompts", [[], [torch.tensor([1]), torch.tensor([]).long()]])
def test_an_empty_prompt_is_refused(prompts):
    with pytest.raises(ValueError, match="at least one token"):
        lesson.left_pad(prompts)


@either_run
def test_a_full_cache_says_so_and_loses_nothing(run):
    cache, ids = lesson.KVCache.for_model(MODEL), random_ids(1, CONTEXT)
    run(MODEL, cache, ids[:, :-1])
    with pytest.raises(ValueError, match=r"ids .*are more than the context of 12"):
        run(MODEL, cache, ids[:, :2])
    assert_near(run(MODEL, cache, ids[:, -1:])[:, -1], MODEL(ids)[:, -1])


@pytest.mark.parametrize("length", [11, 5])
def test_the_cache_itself_says_how_many_fit(length):
    cache = lesson.KVCache.for_model(MODEL)
    cache.length = length
    message = f"{13 - length} ids after {length} are more than the context of 12"
    with pytest.raises(ValueError, match=message):
        cache.position_ids(13 - length)


@either_run
@pytest.mark.parametrize(("rows", "length"), [(2, 1), (2, 4), (0, 1)])
def test_other_rows_are_refused(run, rows, length):
    """One id of two rows must not be read as two ids of one."""
    cache = lesson.KVCache.for_model(MODEL)
    with pytest.raises(ValueError, match=f"{rows} rows of ids for a cache that has 1"):
        run(MODEL, cache, random_ids(rows, length))
    assert cache.length == 0


@either_run
def test_a_shorter_length_forgets_what_is_behind_it(run):
    cache, ids = lesson.KVCache.for_model(MODEL), random_ids(1, 6)
    run(MODEL, cache, ids)
    cache.length = 2
    assert_near(run(MODEL, cache, ids[:, 2:]), MODEL(ids)[:, 2:])


def test_no_gradient_flows_into_a_cache():
    cache = lesson.KVCache.for_model(MODEL)
    MODEL(random_ids(1, 4), cache)
    assert not any(part.requires_grad for pair in cache.layers for part in pair)


def test_the_memory_is_what_the_formula_says():
    cache = lesson.KVCache.for_model(MODEL, rows=3)
    memory = sum(part.nbytes for pair in cache.layers for part in pair)
    assert memory == lesson.cache_bytes(2, 24, CONTEXT, 3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_cache_has_the_dtype_of_the_weights(dtype):
    cache = lesson.KVCache.for_model(make_model().to(dtype))
    assert {part.dtype for pair in cache.layers for part in pair} == {dtype}


# Readers, as `generate` uses them


@either_reader
def test_dropout_is_off_and_the_mode_stays(make_reader):
    model, ids = make_model(dropout=0.5).train(), random_ids(1, 4)
    logits = make_reader(model)(ids)
    assert model.training
    assert_near(logits, model.eval()(ids)[:, -1])


@either_reader
@given(
    series=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=6),
)
def test_any_series_of_texts_reads_as_without_a_cache(make_reader, series):
    """Longer, shorter, the same, another branch, beyond the context: all agree."""
    reader, text = make_reader(MODEL), random_ids(2, 1)
    for seed, (prefix, more) in enumerate(series):
        new = random_ids(2, more, seed)
        text = torch.cat([text[:, :prefix], new], dim=1)
        assert_near(reader(text), next_logits(MODEL, text))


@either_reader
def test_only_what_is_new_is_run(monkeypatch, make_reader):
    sizes, forward = [], make_reader.forward

    def spy(self, ids):
        sizes.append(ids.size(1))
        return forward(self, ids)

    monkeypatch.setattr(make_reader, "forward", spy)
    ids, reader = random_ids(1, CONTEXT + 2), make_reader(MODEL)
    for length in (5, 6, 7, 7, 4):
        reader(ids[:, :length])
    branch = ids[:, :7].clone()
    branch[0, 2] = (branch[0, 2] + 1) % V
    reader(branch)
    assert sizes == [5, 1, 1, 1, 1, 5]
    sizes.clear()
    for length in (CONTEXT, CONTEXT + 1, CONTEXT + 2):
        reader(ids[:, :length])
    assert sizes[1:] == [CONTEXT, CONTEXT]  # positions moved: everything is new


def test_the_cached_prefix_ends_at_the_first_difference_of_any_row():
    cached = torch.tensor([[1, 2, 3], [4, 5, 6]])
    ids = torch.tensor([[1, 2, 3, 7], [4, 9, 6, 7]])
    assert lesson.cached_prefix_length(cached, ids) == 1
    assert lesson.cached_prefix_length(cached, cached) == 2  # the last id is always run
    assert lesson.cached_prefix_length(cached[:, :0], ids) == 0


@either_reader
def test_another_number_of_rows_starts_anew(make_reader):
    reader = make_reader(MODEL)
    for rows in (1, 3, 2):
        ids = random_ids(rows, 5)
        assert_near(reader(ids), next_logits(MODEL, ids))


@either_reader
def test_nothing_to_read_is_refused(make_reader):
    with pytest.raises(ValueError, match="the prompt is empty"):
        make_reader(MODEL)(torch.zeros(1, 0, dtype=torch.long))


@either_reader
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.7, "top_k": 4}])
def test_the_same_text_is_generated_with_and_without(make_reader, settings, device):
    model = make_model(device)
    options = random_ids(3, 2), 40, SamplingConfig(**settings), 5  # beyond the context
    with_cache = generate(model, *options, reader=make_reader(model))
    without = generate(model, *options)
    for ours, theirs in zip(with_cache, without, strict=True):
        assert torch.equal(ours.ids, theirs.ids)
        assert_near(ours.probabilities, theirs.probabilities, atol=1e-4)


def test_two_texts_of_one_model_do_not_mix():
    ids = random_ids(1, 3)

    def written(seed):
        return generate(MODEL, ids, 8, seed=seed, reader=lesson.CachedReader(MODEL))

    alone = [token.ids for token in written(1)]
    assert alone == [one.ids for one, _ in zip(written(1), written(2))]


@either_reader
def test_a_text_generator_makes_one_for_each_text(monkeypatch, make_reader):
    calls, call = [], make_reader.__call__
    monkeypatch.setattr(
        make_reader, "__call__", lambda *args: calls.append(args[0]) or call(*args)
    )
    text_generator = TextGenerator(MODEL, CharTokenizer("abcdefghijk"), make_reader)
    for _ in range(2):
        list(text_generator.generate([1, 2], 5))
    assert len(calls) == 10
    assert len(set(map(id, calls))) == 2


@either_reader
def test_a_run_that_was_interrupted_leaves_nothing_to_trust(monkeypatch, make_reader):
    ids, reader = random_ids(1, 8), make_reader(MODEL)
    reader(ids)
    other = (ids + 1) % V

    def interrupted(self, ids):
        for keys, _ in self.cache.layers:
            keys.zero_()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(make_reader, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reader(other)
    assert_near(reader(ids), next_logits(MODEL, ids))


def test_packed_weights_are_those_of_the_moment():
    model = make_model()
    reader, ids = lesson.PackedWeightsReader(model), random_ids(1, 5)
    logits = next_logits(model, ids)
    model.blocks[0].mlp.up.weight.data.zero_()
    assert_near(reader(ids), logits)
    assert not torch.allclose(next_logits(model, ids), logits)
