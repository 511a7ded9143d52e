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
from gpt_lib.checkpoints import build
from gpt_lib.generation import next_logits, reading
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.heads import MultiHead

V = 11
SMALL = lesson.ModernConfig(V, context=12, width=24, heads=4, key_heads=2, depth=2)
SWAPS = [
    {},
    {"norm": "layer"},
    {"positions": "learned"},
    {"bend": "swiglu"},
    {"bend": "gelu"},
    {"key_heads": 4},
    {"key_heads": 1},
    {"qk_norm": False},
    {"quiet": False},
    {"pairs": False},
    {"window": 4},
    {"tied": True, "pairs": False},
    {"cap": 2.0},
]
near = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-4)
each_swap = pytest.mark.parametrize("swap", SWAPS, ids=str)


def loud(swap, device="cpu"):
    """A model far from its quiet start, where everything is zero."""
    torch.manual_seed(0)
    model = lesson.ModernGPT(replace(SMALL, **swap)).to(device).eval()
    for weights in model.parameters():
        nn.init.normal_(weights, std=0.3)
    return model


def some_ids(rows, length, seed=1):
    dice = torch.Generator().manual_seed(seed)
    return torch.randint(V, (rows, length), generator=dice)


# RMSNorm


def test_rms_norm_by_finger():
    found = lesson.rms_norm(torch.tensor([[3.0, 4.0], [-2.0, 0.0]]))
    near(found, torch.tensor([[0.6, 0.8], [-1.0, 0.0]]) * 2**0.5)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 6)])
def test_rms_norm_is_pytorchs_forward_and_back(shape, device):
    torch.manual_seed(0)
    x, g = torch.randn(2, *shape, device=device)
    x.requires_grad_()
    theirs = nn.RMSNorm(shape[-1], eps=0.0, elementwise_affine=False)
    near(lesson.rms_norm(x), theirs(x))
    ours, expected = (
        torch.autograd.grad(f(x), x, g)[0] for f in (lesson.rms_norm, theirs)
    )
    near(ours, expected)


def test_the_gradient_written_by_hand_is_the_slope():
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lesson.rms_norm, x)


def test_silence_stays_silent():
    x = torch.zeros(2, 4, requires_grad=True)
    y = lesson.rms_norm(x)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(2, 4))
    assert x.grad.isfinite().all()


# RoPE


def test_a_turn_by_finger():
    cosines, sines = lesson.angles(2, 2)
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0]])[None, :, None]  # (B, T, N, H)
    found = lesson.turn(x, cosines, sines)[0, :, 0]
    near(found, torch.tensor([[1.0, 0.0], [math.cos(1), math.sin(1)]]))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60), st.integers(1, 8))
def test_a_score_depends_on_the_distance_alone(at, other, shift, pairs):
    q, k = torch.randn(2, 1, 1, 1, 2 * pairs, dtype=torch.float64)
    cosines, sines = (a.double() for a in lesson.angles(101, 2 * pairs))

    def score(query_at, key_at):
        places = [slice(n, n + 1) for n in (query_at, key_at)]
        a, b = (
            lesson.turn(x, cosines[place], sines[place])
            for x, place in zip((q, k), places)
        )
        return (a * b).sum()

    torch.testing.assert_close(
        score(at, other), score(at + shift, other + shift), atol=1e-5, rtol=1e-5
    )


def test_turning_keeps_the_length_and_another_distance_is_another_score():
    x = torch.randn(1, 9, 1, 8)
    turned = lesson.turn(x, *lesson.angles(9, 8))
    near(turned.norm(dim=-1), x.norm(dim=-1))
    near(turned[:, 0], x[:, 0])
    one = lesson.turn(x[:, :1].expand(-1, 9, -1, -1), *lesson.angles(9, 8))[0, :, 0]
    scores = one[0] @ one.mT
    assert (scores[1:] - scores[0]).abs().min() > 1e-3


def test_an_odd_head_cannot_turn():
    with pytest.raises(
        ValueError, match="size=3 of a head, width / heads, must be even"
    ):
        lesson.angles(4, 3)


# The MLP


def test_each_bend_is_what_it_is_called():
    torch.manual_seed(0)
    x = torch.randn(3, 6)
    for bend, function in {
        "gelu": gelu,
        "relu2": lambda wide: wide.clamp(min=0) ** 2,
        "swiglu": lambda wide: silu(wide[:, :16]) * wide[:, 16:],
    }.items():
        mlp = lesson.MLP(6, bend)
        near(mlp(x), function(x @ mlp.widen.weight.mT) @ mlp.narrow.weight.mT)


def test_all_bends_have_about_the_same_weights():
    counts = [
        sum(p.numel() for p in lesson.MLP(96, bend).parameters())
        for bend in lesson.CHOICES["bend"]
    ]
    assert max(counts) <= 1.01 * min(counts)


# Attention


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_both_ways_to_attend_agree(dtype, device):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 8, device=device).to(dtype)
    expected = scaled_dot_product_attention(
        q.float(), k.float(), v.float(), is_causal=True, scale=0.4
    )
    margin = 0.03 if dtype == torch.bfloat16 else 1e-5
    found = lesson.attend(q, k, v, 0.4)
    assert found.dtype == dtype
    near(found.float(), expected, atol=margin, rtol=margin)


def test_plain_heads_are_those_of_lesson_06():
    torch.manual_seed(0)
    ours = lesson.Attention(replace(SMALL, key_heads=4, qk_norm=False))
    theirs = MultiHead(24, 4)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 9, 24)
    near(ours(x, None), theirs(x))


def test_shared_keys_are_the_same_as_copied_tables():
    """Two query heads a key head equal four heads with pairwise equal tables."""
    torch.manual_seed(0)
    few = lesson.Attention(SMALL)
    many = lesson.Attention(replace(SMALL, key_heads=4))
    table = few.query_key_value.weight.view(8, 6, 24)  # 4 queries, 2 keys, 2 values
    heads = [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7]
    many.query_key_value.weight.data.copy_(table[heads].flatten(0, 1))
    many.merge.load_state_dict(few.merge.state_dict())
    x, turns = torch.randn(2, 9, 24), lesson.angles(9, 6)
    near(few(x, turns), many(x, turns))


def test_normed_queries_and_keys_bound_every_score():
    attention = lesson.Attention(SMALL)
    nn.init.normal_(attention.query_key_value.weight, std=100.0)
    q, k, _ = attention.split(torch.randn(2, 9, 24), lesson.angles(9, 6))
    highest = 1.3 * 6**0.5  # |q| · |k| / √H is √H
    scores = q @ attention.shared(k).mT * attention.scale
    assert scores.abs().max() <= highest + 1e-4


# A window


def test_a_window_by_finger():
    expected = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    assert lesson.visible(4, window=2).int().tolist() == expected
    assert lesson.visible(4, window=2, begin=3).int().tolist() == expected[3:]
    assert torch.equal(lesson.visible(5), torch.ones(5, 5).tril().bool())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("window", [1, 3, 7, 50])
def test_attention_in_a_window_asks_the_last_few(window, dtype, device):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 8, device=device).to(dtype)
    found = lesson.attend(q, k, v, 0.4, window)
    for t in range(7):
        few = slice(max(0, t + 1 - window), t + 1)
        parts = q[:, :, t : t + 1], k[:, :, few], v[:, :, few]
        parts = (part.float() for part in parts)
        alone = scaled_dot_product_attention(*parts, scale=0.4)
        margin = 0.03 if dtype == torch.bfloat16 else 1e-5
        near(found[:, :, t : t + 1].float(), alone, atol=margin, rtol=margin)


def test_windows_reach_as_far_as_they_add_up():
    """Two blocks of window 4 know 2 · 3 places back, and the pair one more."""
    model, ids = loud({"window": 4}), some_ids(1, 12)
    last = model(ids)[0, -1]
    for back, known in ((7, True), (8, False)):
        changed = ids.clone()
        changed[0, -1 - back] = (ids[0, -1 - back] + 1) % V
        assert torch.equal(model(changed)[0, -1], last) is not known


def test_a_text_longer_than_any_in_training_brings_nothing_new():
    """The far end of a long text is read as it is read alone."""
    model, ids = loud({"window": 3, "context": 40}), some_ids(1, 40)
    near(model(ids)[:, -1], model(ids[:, -12:])[:, -1], atol=1e-4)


# The model


@each_swap
def test_no_switch_lets_it_see_the_future(swap):
    assert future_leak(loud(swap), some_ids(1, 12)) < 1e-5


@each_swap
def test_every_switch_changes_the_model_and_every_weight_learns(swap):
    model, ids = loud(swap), some_ids(2, 12)
    cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
    for name, weights in model.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.any(), name
    if swap:
        names = {name for name, _ in model.named_parameters()}
        plain = loud({})
        same = names == {name for name, _ in plain.named_parameters()}
        fits = same and all(
            a.shape == b.shape for a, b in zip(model.parameters(), plain.parameters())
        )
        if fits and swap not in ({"quiet": False},):
            plain.load_state_dict(model.state_dict())
            assert not torch.allclose(plain(ids), model(ids))


def test_a_quiet_model_begins_at_the_loss_of_a_blind_guess():
    model = lesson.ModernGPT(SMALL)
    ids = some_ids(2, 12)
    loss = cross_entropy(model(ids).flatten(0, 1), ids.flatten())
    assert loss.item() == pytest.approx(math.log(V))


def test_a_cap_keeps_the_logits_small():
    model = loud({"cap": 2.0})
    model.unembed.weight.data.mul_(100)
    assert model(some_ids(1, 12)).abs().max() <= 2


def test_a_tied_table_is_one_table():
    model = loud({"tied": True})
    assert model.unembed.weight is model.entrance.embed.weight


def test_pairs_know_the_former_character():
    model = loud({"positions": "rope"})
    one, other = torch.tensor([[3, 5]]), torch.tensor([[4, 5]])
    streams = [model.entrance(ids)[0, 1] for ids in (one, other)]
    assert not torch.allclose(*streams)
    model.entrance.pair.weight.data.zero_()
    streams = [model.entrance(ids)[0, 1] for ids in (one, other)]
    assert torch.equal(*streams)


def test_more_than_the_context_is_refused():
    with pytest.raises(
        ValueError, match="13 ids after 0 are more than the context of 12"
    ):
        loud({})(some_ids(1, 13))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"depth": 0}, "depth=0 must be at least 1"),
        ({"heads": 5}, "heads=5 does not divide width=24"),
        ({"key_heads": 3}, "key_heads=3 does not divide heads=4"),
        ({"norm": "batch"}, "norm='batch' must be one of rms, layer"),
        ({"bend": "tanh"}, "bend='tanh' must be one of relu2, swiglu, gelu"),
        ({"dropout": 1.0}, "dropout=1.0 must be from 0 to below 1"),
        ({"cap": -1.0}, "cap=-1.0 and window=0 0 or more"),
        ({"window": -2}, "window=-2 0 or more"),
    ],
)
def test_a_config_says_what_is_allowed(given, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **given)


def test_only_heads_that_turn_must_be_even():
    odd = replace(SMALL, width=20)  # heads of 5
    with pytest.raises(ValueError, match="size=5 of a head, width / heads, must be"):
        lesson.ModernGPT(odd)
    model = lesson.ModernGPT(replace(odd, positions="learned"))
    assert model(some_ids(1, 3)).shape == (1, 3, V)


def test_dropout_acts_in_training_and_never_in_the_memory():
    model, ids = loud({"dropout": 0.5}).train(), some_ids(1, 9)
    with torch.no_grad():
        assert not torch.equal(model(ids), model(ids))
        found = lesson.CachedModernGPT(model, 1).read(ids)
        assert model.training
        near(found, model.eval()(ids))


def test_a_memory_for_other_rows_says_so():
    cached = lesson.CachedModernGPT(loud({}), rows=2)
    with pytest.raises(ValueError, match="1 rows of ids for a cache that has 2"):
        cached.read(some_ids(1, 3))


def test_with_all_switches_back_it_is_the_gpt_of_lesson_08():
    """The same weights give the same logits, where the old one has no biases."""
    old = GPT(GPTConfig(V, context=12, width=24, heads=4, depth=2))
    for weights in old.parameters():
        nn.init.normal_(weights, std=0.3)
    back = {"norm": "layer", "positions": "learned", "bend": "gelu", "key_heads": 4}
    new = loud(back | {"qk_norm": False, "pairs": False, "quiet": False})
    names = {"entrance.embed": "embed", "entrance.position": "position"}
    for block in old.blocks:
        nn.init.zeros_(block.mlp.widen.bias)
        nn.init.zeros_(block.mlp.narrow.bias)
    state = old.state_dict()
    for name, weights in new.named_parameters():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        weights.data.copy_(state[name])
    ids = some_ids(2, 12)
    near(new(ids), old(ids))


# Reading on, and being built by name


@each_swap
def test_read_in_pieces_it_is_the_same_model(swap, device):
    model, ids = loud(swap, device), some_ids(2, 12)
    cached = lesson.CachedModernGPT(model, 2)
    pieces = [cached.read(piece) for piece in ids.split([5, 1, 1, 3, 2], dim=1)]
    near(torch.cat(pieces, dim=1), model(ids.to(device)), atol=1e-4)


@each_swap
def test_a_growing_text_reads_as_without_a_memory(swap):
    model, ids = loud(swap), some_ids(2, 16)
    read = reading(model)
    assert isinstance(read, lesson.ModernReading)
    for length in (3, 4, 5, 5, 2, 12, 13, 16, 7):
        near(read(ids[:, :length]), next_logits(model, ids[:, :length]))


def test_shared_keys_make_a_smaller_memory():
    sizes = [
        lesson.CachedModernGPT(loud({"key_heads": k})).kept.numel() for k in (1, 4)
    ]
    assert sizes[1] == 4 * sizes[0]


def test_it_is_built_by_name():
    model = build("modern GPT", vars(SMALL))
    assert isinstance(model, lesson.ModernGPT)
    assert model.config == SMALL
