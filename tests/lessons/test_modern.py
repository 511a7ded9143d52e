"""Each swap equals its reference; the whole model is causal, cached, and saved."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention, silu

from gpt_lib import modern as lesson
from gpt_lib.attention import future_leak
from gpt_lib.cache import CachedReader, KVCache, left_pad
from gpt_lib.generation import next_logits
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.heads import MultiHeadAttention

V = 11
SMALL = lesson.ModernConfig(V, context=12, width=24, heads=4, kv_heads=2, depth=2)
SWAPS = [
    {},
    {"norm": "layer"},
    {"positions": "learned"},
    {"activation": "swiglu"},
    {"activation": "gelu"},
    {"kv_heads": 4},
    {"kv_heads": 1},
    {"qk_norm": False},
    {"zero_init": False},
    {"bigram_embedding": False},
    {"window": 4},
    {"tie_embeddings": True, "bigram_embedding": False},
    {"logit_softcap": 2.0},
]
assert_near = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-4)
each_swap = pytest.mark.parametrize("swap", SWAPS, ids=str)


def random_model(swap, device="cpu"):
    """A model with large weights: many begin at zero."""
    torch.manual_seed(0)
    model = lesson.ModernGPT(replace(SMALL, **swap)).to(device).eval()
    for weights in model.parameters():
        nn.init.normal_(weights, std=0.3)
    return model


def random_ids(rows, length, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(V, (rows, length), generator=generator)


# RMSNorm


def test_rms_norm_by_hand():
    y = lesson.rms_norm(torch.tensor([[3.0, 4.0], [-2.0, 0.0]]))
    assert_near(y, torch.tensor([[0.6, 0.8], [-1.0, 0.0]]) * 2**0.5)


@pytest.mark.parametrize("eps", [1e-6, 0.3])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 6)])
def test_rms_norm_is_pytorchs_forward_and_back(shape, eps, device):
    torch.manual_seed(0)
    x, g = torch.randn(2, *shape, device=device)
    x.requires_grad_()
    theirs = nn.RMSNorm(shape[-1], eps, elementwise_affine=False)
    ours = lesson.RMSNorm(eps)
    assert_near(ours(x), theirs(x))
    gradients = (torch.autograd.grad(f(x), x, g)[0] for f in (ours, theirs))
    assert_near(*gradients)


def test_eps_is_inside_the_root_and_0_is_the_clamp_of_before():
    x = torch.tensor([[3e-3, 4e-3], [3e-7, 4e-7]])  # mean squares 1.25e-5, 1.25e-13
    assert_near(lesson.rms_norm(x, 1e-6), x / (x.square().mean(-1, True) + 1e-6).sqrt())
    expected = torch.tensor([[0.6, 0.8], [0.3, 0.4]]) * 2**0.5  # of length 1e-6, 5e-7
    assert_near(lesson.rms_norm(x, 0.0), expected)


def test_without_gradients_rms_norm_is_the_same():
    x = torch.randn(3, 5)
    with torch.no_grad():
        y = lesson.rms_norm(x)
    assert torch.equal(lesson.rms_norm(x), y)


def test_the_gradient_written_by_hand_is_the_slope():
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(partial(lesson.rms_norm, eps=0.3), x)


def test_the_gradient_of_the_gradient_is_refused_not_wrong():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    [slope] = torch.autograd.grad(lesson.rms_norm(x)[0], x, create_graph=True)
    with pytest.raises(
        RuntimeError, match=r"does not require grad|once_differentiable"
    ):
        torch.autograd.grad(slope.sum(), x)


def test_zero_stays_zero():
    x = torch.zeros(2, 4, requires_grad=True)
    y = lesson.rms_norm(x)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(2, 4))
    assert x.grad.isfinite().all()


# RoPE


def test_a_rotation_by_hand():
    cosines, sines = lesson.rotary_tables(2, 2)
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0]])[None, :, None]  # (B, T, N, H)
    rotated = lesson.apply_rotary(x, cosines, sines)[0, :, 0]
    assert_near(rotated, torch.tensor([[1.0, 0.0], [math.cos(1), math.sin(1)]]))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60), st.integers(1, 8))
def test_a_score_depends_on_the_distance_alone(query_at, key_at, shift, pairs):
    q, k = torch.randn(2, 1, 1, 1, 2 * pairs, dtype=torch.float64)
    cosines, sines = (table.double() for table in lesson.rotary_tables(101, 2 * pairs))

    def rotate(x, position):
        rows = slice(position, position + 1)
        return lesson.apply_rotary(x, cosines[rows], sines[rows])

    def score(query_at, key_at):
        return (rotate(q, query_at) * rotate(k, key_at)).sum()

    shifted = score(query_at + shift, key_at + shift)
    assert_near(score(query_at, key_at), shifted, rtol=1e-5)


def test_rotation_keeps_the_length_and_another_distance_is_another_score():
    tables, x = lesson.rotary_tables(9, 8), torch.randn(1, 9, 1, 8)
    rotated = lesson.apply_rotary(x, *tables)
    assert_near(rotated.norm(dim=-1), x.norm(dim=-1))
    assert_near(rotated[:, 0], x[:, 0])
    same = lesson.apply_rotary(x[:, :1].expand(-1, 9, -1, -1), *tables)[0, :, 0]
    scores = same[0] @ same.mT
    assert (scores[1:] - scores[0]).abs().min() > 1e-3


def test_each_row_may_have_positions_of_its_own():
    cosines, sines = lesson.rotary_tables(9, 8)
    x, positions = torch.randn(2, 3, 1, 8), torch.tensor([[0, 0, 1], [4, 5, 6]])
    rotated = lesson.apply_rotary(x, cosines[positions], sines[positions])
    for row, of_row, one in zip(x, positions, rotated):
        alone = lesson.apply_rotary(row[None], cosines[of_row], sines[of_row])
        assert_near(one, alone[0])


def test_an_odd_head_size_is_refused():
    with pytest.raises(
        ValueError, match="size=3 of a head, width / heads, must be even"
    ):
        lesson.rotary_tables(4, 3)


# The MLP


def test_each_activation_is_what_it_is_called():
    torch.manual_seed(0)
    x = torch.randn(3, 6)
    for activation, function in {
        "gelu": gelu,
        "relu2": lambda hidden: hidden.clamp(min=0) ** 2,
        "swiglu": lambda hidden: silu(hidden[:, :16]) * hidden[:, 16:],
    }.items():
        mlp = lesson.ModernMLP(6, activation)
        assert_near(mlp(x), function(x @ mlp.up.weight.mT) @ mlp.down.weight.mT)


def test_all_activations_have_about_the_same_weights():
    counts = [
        sum(p.numel() for p in lesson.ModernMLP(96, activation).parameters())
        for activation in lesson.CHOICES["activation"]
    ]
    assert max(counts) <= 1.01 * min(counts)


# Attention


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_plain_and_fused_attention_agree(dtype, device):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 8, device=device).to(dtype)
    expected = scaled_dot_product_attention(
        q.float(), k.float(), v.float(), is_causal=True, scale=0.4
    )
    margin = 0.03 if dtype == torch.bfloat16 else 1e-5
    mixed = lesson.causal_attention(q, k, v, 0.4)
    assert mixed.dtype == dtype
    assert_near(mixed.float(), expected, atol=margin, rtol=margin)


def test_plain_heads_are_those_of_lesson_06():
    torch.manual_seed(0)
    plain = replace(SMALL, kv_heads=4, qk_norm=False, attention_scale=1.0)
    ours = lesson.ModernAttention(plain)
    theirs = MultiHeadAttention(24, 4)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 9, 24)
    assert_near(ours(x, None), theirs(x))


def test_shared_keys_are_the_same_as_copied_weights():
    """Two query heads a key head equal four heads with pairwise equal weights."""
    torch.manual_seed(0)
    few = lesson.ModernAttention(SMALL)
    many = lesson.ModernAttention(replace(SMALL, kv_heads=4))
    weight = few.qkv.weight.view(8, 6, 24)  # 4 queries, 2 keys, 2 values
    heads = [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7]
    many.qkv.weight.data.copy_(weight[heads].flatten(0, 1))
    many.output.load_state_dict(few.output.state_dict())
    x, rotary = torch.randn(2, 9, 24), lesson.rotary_tables(9, 6)
    assert_near(few(x, rotary), many(x, rotary))


def test_normed_queries_and_keys_bound_every_score():
    attention = lesson.ModernAttention(SMALL)
    nn.init.normal_(attention.qkv.weight, std=100.0)
    q, k, v = attention.project_qkv(torch.randn(2, 9, 24), lesson.rotary_tables(9, 6))
    k, _ = lesson.repeat_kv(k, v, 4)
    highest = 1.3 * 6**0.5  # |q| · |k| / √H is √H
    assert (q @ k.mT * attention.scale).abs().max() <= highest + 1e-4


# A window


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("window", [1, 3, 7, 50])
def test_attention_in_a_window_is_attention_to_the_last_few(window, dtype, device):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 8, device=device).to(dtype)
    mixed = lesson.causal_attention(q, k, v, 0.4, window)
    for t in range(7):
        keys = slice(max(0, t + 1 - window), t + 1)
        parts = q[:, :, t : t + 1], k[:, :, keys], v[:, :, keys]
        parts = (part.float() for part in parts)
        alone = scaled_dot_product_attention(*parts, scale=0.4)
        margin = 0.03 if dtype == torch.bfloat16 else 1e-5
        assert_near(mixed[:, :, t : t + 1].float(), alone, atol=margin, rtol=margin)


def test_windows_reach_as_far_as_they_add_up():
    """Two blocks of window 4 know 2 · 3 positions back, and the bigram one more."""
    model, ids = random_model({"window": 4}), random_ids(1, 12)
    last = model(ids)[0, -1]
    for back, known in ((7, True), (8, False)):
        changed = ids.clone()
        changed[0, -1 - back] = (ids[0, -1 - back] + 1) % V
        assert torch.equal(model(changed)[0, -1], last) is not known


def test_a_text_longer_than_any_in_training_brings_nothing_new():
    """The far end of a long text is read as it is read alone."""
    model, ids = random_model({"window": 3, "context": 40}), random_ids(1, 40)
    assert_near(model(ids)[:, -1], model(ids[:, -12:])[:, -1], atol=1e-4)


# The model


@each_swap
def test_no_switch_lets_it_see_the_future(swap):
    assert future_leak(random_model(swap), random_ids(1, 12)) < 1e-5


@each_swap
def test_every_switch_changes_the_model_and_every_weight_learns(swap):
    model, ids = random_model(swap), random_ids(2, 12)
    cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
    for name, weights in model.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.any(), name
    if swap:
        names = {name for name, _ in model.named_parameters()}
        plain = random_model({})
        same = names == {name for name, _ in plain.named_parameters()}
        fits = same and all(
            a.shape == b.shape for a, b in zip(model.parameters(), plain.parameters())
        )
        if fits and swap not in ({"zero_init": False},):
            plain.load_state_dict(model.state_dict())
            assert not torch.allclose(plain(ids), model(ids))


def test_with_zero_init_the_first_loss_is_that_of_a_blind_guess():
    model = lesson.ModernGPT(SMALL)
    ids = random_ids(2, 12)
    loss = cross_entropy(model(ids).flatten(0, 1), ids.flatten())
    assert loss.item() == pytest.approx(math.log(V))


def test_a_softcap_keeps_the_logits_small():
    model = random_model({"logit_softcap": 2.0})
    model.unembed.weight.data.mul_(100)
    assert model(random_ids(1, 12)).abs().max() <= 2


def test_a_tied_embedding_is_one_weight():
    model = random_model({"tie_embeddings": True})
    assert model.unembed.weight is model.input_embedding.token_embedding.weight


def test_the_bigram_embedding_knows_the_former_character():
    embedding = random_model({}).input_embedding
    one, other = torch.tensor([[3, 5]]), torch.tensor([[4, 5]])
    streams = [embedding(ids, slice(2))[0, 1] for ids in (one, other)]
    assert not torch.allclose(*streams)
    embedding.bigram_embedding.weight.data.zero_()
    streams = [embedding(ids, slice(2))[0, 1] for ids in (one, other)]
    assert torch.equal(*streams)


def test_more_than_the_context_is_refused():
    with pytest.raises(
        ValueError, match="13 ids after 0 are more than the context of 12"
    ):
        random_model({})(random_ids(1, 13))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 0}, "depth=0 must be from 1 to 1,000"),
        ({"heads": 5}, "heads=5 does not divide width=24"),
        ({"kv_heads": 3}, "kv_heads=3 does not divide heads=4"),
        ({"norm": "batch"}, "norm='batch' must be one of rms, layer"),
        (
            {"activation": "tanh"},
            "activation='tanh' must be one of relu2, swiglu, gelu",
        ),
        ({"dropout": 1.0}, "dropout=1.0 must be from 0 to below 1"),
        ({"logit_softcap": -1.0}, "logit_softcap=-1.0 must be from 0.0 to"),
        ({"window": -2}, "window=-2 must be from 0 to"),
        ({"norm_eps": -1e-6}, "norm_eps=-1e-06 must be from 0.0 to 1.0"),
        ({"attention_scale": math.nan}, "attention_scale=nan must be from 0.0 to"),
    ],
)
def test_a_config_says_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_only_with_rope_heads_must_be_even():
    odd = replace(SMALL, width=20)  # heads of 5
    with pytest.raises(ValueError, match="size=5 of a head, width / heads, must be"):
        lesson.ModernGPT(odd)
    model = lesson.ModernGPT(replace(odd, positions="learned"))
    assert model(random_ids(1, 3)).shape == (1, 3, V)


def test_dropout_acts_in_training_and_never_in_a_reader():
    model, ids = random_model({"dropout": 0.5}).train(), random_ids(1, 9)
    with torch.no_grad():
        assert not torch.equal(model(ids), model(ids))
        logits = CachedReader(model)(ids)
        assert model.training
        assert_near(logits, model.eval()(ids)[:, -1])


def test_a_cache_for_other_rows_says_so():
    model = random_model({})
    cache = KVCache.for_model(model, rows=2)
    with pytest.raises(ValueError, match="1 rows of ids for a cache that has 2"):
        model(random_ids(1, 3), cache)


def test_a_full_cache_says_so_and_loses_nothing():
    model, ids = random_model({}), random_ids(1, 12)
    cache = KVCache.for_model(model)
    model(ids[:, :-1], cache)
    message = "2 ids after 11 are more than the context of 12"
    with pytest.raises(ValueError, match=message):
        model(ids[:, :2], cache)
    assert_near(model(ids[:, -1:], cache)[:, -1], model(ids)[:, -1])


def test_with_all_switches_back_it_is_the_gpt_of_lesson_08():
    """The same weights give the same logits, where the old one has no biases."""
    old = GPT(GPTConfig(V, context=12, width=24, heads=4, depth=2))
    for weights in old.parameters():
        nn.init.normal_(weights, std=0.3)
    back = {
        "norm": "layer",
        "positions": "learned",
        "activation": "gelu",
        "kv_heads": 4,
    }
    new = random_model(
        back
        | {"qk_norm": False, "attention_scale": 1.0, "embedding_norm": False}
        | {"bigram_embedding": False, "zero_init": False, "zero_init_unembed": False}
    )
    names = {
        "input_embedding.token_embedding": "embed",
        "input_embedding.position_embedding": "position_embedding",
    }
    for block in old.blocks:
        nn.init.zeros_(block.mlp.up.bias)
        nn.init.zeros_(block.mlp.down.bias)
    state = old.state_dict()
    for name, weights in new.named_parameters():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        weights.data.copy_(state[name])
    ids = random_ids(2, 12)
    assert_near(new(ids), old(ids))


# With a cache, and built from a card


@each_swap
def test_in_pieces_it_is_the_same_model(swap, device):
    model, ids = random_model(swap, device), random_ids(2, 12).to(device)
    cache = KVCache.for_model(model, rows=2)
    with torch.inference_mode():
        pieces = [model(piece, cache) for piece in ids.split([5, 1, 1, 3, 2], dim=1)]
    assert_near(torch.cat(pieces, dim=1), model(ids))


@each_swap
def test_a_growing_text_reads_as_without_a_cache(swap):
    model, ids = random_model(swap), random_ids(2, 16)
    reader = CachedReader(model)
    for length in (3, 4, 5, 5, 2, 12, 13, 16, 7):
        assert_near(reader(ids[:, :length]), next_logits(model, ids[:, :length]))


@each_swap
def test_padded_rows_are_what_they_are_alone(swap):
    model = random_model(swap)
    prompts = [random_ids(1, length, seed)[0] for seed, length in enumerate((6, 2, 1))]
    ids, left_padding = left_pad(prompts)
    ids[1, :4] = 7  # what stands in the padding does not matter
    following = random_ids(3, 5, seed=9)
    cache = KVCache.for_model(model, left_padding=left_padding)
    with torch.inference_mode():
        logits = [model(ids, cache)[:, -1]]
        for piece in following.split([1, 2, 1, 1], dim=1):
            logits.append(model(piece, cache)[:, -1])
    for row, prompt in enumerate(prompts):
        alone = model(torch.cat([prompt, following[row]])[None])[0]
        for length, each in zip((0, 1, 3, 4, 5), logits):
            assert_near(each[row], alone[len(prompt) - 1 + length])


def test_shared_keys_make_a_smaller_cache():
    caches = [KVCache.for_model(random_model({"kv_heads": k})) for k in (1, 4)]
    few, many = (cache.layers[0][0].numel() for cache in caches)
    assert many == 4 * few


def test_it_is_built_from_its_shape():
    model = lesson.build_modern_gpt(**vars(SMALL))
    assert isinstance(model, lesson.ModernGPT)
    assert model.config == SMALL
