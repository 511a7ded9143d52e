"""A compiled step equals the eager one, and is used where it fits."""

import pytest
import torch
import torch._inductor

from gpt_lib import compiled as lesson
from gpt_lib.cache import KVCache, PackedWeightsReader
from gpt_lib.generation import generate, next_logits
from gpt_lib.gpt import GPT, GPTConfig
from tests.conftest import need_compiler
from tests.lessons.test_cache import (
    CONTEXT,
    MODEL,
    assert_near,
    make_model,
    pieces_of,
    random_ids,
)


@pytest.fixture(scope="module")
def reader():
    """A reader whose step is compiled: it takes the compiler some ten seconds."""
    reader = lesson.CompiledReader(MODEL)
    need_compiler(reader.problem)
    return reader


@pytest.mark.slow
def test_compiled_equals_eager_at_every_position(reader):
    ids = random_ids(1, CONTEXT)
    for prompt_length in (1, 4):
        eager = PackedWeightsReader(MODEL)
        eager.cache, reader.cache = (KVCache.for_model(MODEL) for _ in range(2))
        sizes = [prompt_length] + [1] * (CONTEXT - prompt_length)
        for piece in pieces_of(ids, sizes):
            assert_near(reader.forward(piece), eager.forward(piece))
        for ours, theirs in zip(reader.cache.layers, eager.cache.layers):
            assert_near(ours, theirs)


@pytest.mark.slow
def test_the_compiled_step_is_used_where_it_fits_and_nowhere_else(monkeypatch, reader):
    lengths, compiled = [], reader.compiled

    def spy(ids, cache):
        lengths.append(cache.length + 1)
        return compiled(ids, cache)

    monkeypatch.setattr(reader, "compiled", spy)
    ids = random_ids(2, CONTEXT)
    for rows in (1, 2):
        reader.cache = KVCache.for_model(MODEL, rows)
        for piece in pieces_of(ids[:rows], [1, 1, 2] + [1] * (CONTEXT - 4)):
            assert reader.forward(piece).shape[:2] == piece.shape
    assert lengths == [2, *range(5, CONTEXT)]


@pytest.mark.slow
def test_the_same_text_is_generated_compiled_and_not(reader):
    ids = random_ids(1, 3)
    texts = [
        [t.ids.item() for t in generate(MODEL, ids, 2 * CONTEXT, seed=4, reader=each)]
        for each in (None, reader, reader)  # a reader can be used again
    ]
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize("context", [1, 2, 3])
def test_a_context_too_short_to_compile_for_is_read_eagerly(context):
    model = make_model(context=context, depth=1)
    reader, ids = lesson.CompiledReader(model), random_ids(1, context)
    assert reader.problem == f"a context of {context} is too short to compile for"
    assert_near(reader(ids), next_logits(model, ids))


@pytest.mark.slow
def test_where_cpp_products_cannot_be_generated_the_librarys_are_taken(reader):
    model = GPT(GPTConfig(7, context=8, width=8, heads=2, depth=1)).double()
    ids, packed = torch.randint(7, (1, 6)), PackedWeightsReader(model)
    step = lesson.compile_decoding_step(
        packed
    )  # of 64 bits, for which none are generated
    packed.cache = KVCache.for_model(model)
    packed.forward(ids[:, :5])
    assert_near(step(ids[:, 5:], packed.cache), model(ids)[:, 5:])


def test_only_a_cpus_step_is_compiled():
    reader = lesson.CompiledReader(make_model(depth=1).to("meta"))
    assert reader.problem == "only a CPU's step is compiled, and the model is on meta"


CPP_ERROR = (
    "C++ compile error\n\nCommand:\ng++ /my files/x.cpp\n\nOutput:\n"
    "g++: error: files/x.cpp: No such file\ncompilation terminated."
)


@pytest.mark.parametrize(
    ("raised", "problem"),
    [
        ("no g++ here\nand a long trace", "no g++ here"),
        (CPP_ERROR, "C++ compile error: g++: error: files/x.cpp: No such file"),
        ("", "RuntimeError"),
    ],
)
def test_a_compiler_that_fails_is_a_problem_in_words(monkeypatch, raised, problem):
    def fails(program, **options):
        raise RuntimeError(raised)

    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", fails)
    monkeypatch.setattr(lesson, "export_step", lambda reader: None)
    reader = lesson.CompiledReader(MODEL)
    assert reader.problem == problem
    ids = random_ids(1, 5)
    assert_near(reader(ids), next_logits(MODEL, ids))
