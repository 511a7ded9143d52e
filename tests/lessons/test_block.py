"""The block and its parts: equal to torch's, silent in evaluation, on a stream."""

import math

import pytest
import torch
from torch import nn

from gpt_lib import block as lesson


def test_the_mlp_is_two_tables_with_a_bend(device):
    torch.manual_seed(0)
    mlp, x = lesson.MLP(6).to(device), torch.randn(2, 3, 6, device=device)
    hidden = x @ mlp.widen.weight.T + mlp.widen.bias
    assert hidden.shape[-1] == 24
    bent = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
    expected = bent @ mlp.narrow.weight.T + mlp.narrow.bias
    torch.testing.assert_close(mlp(x), expected, atol=1e-5, rtol=1e-5)


def torchs_layer(block, width, heads):
    """PyTorch's own encoder layer, pre-norm, with the weights of `block`."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
    )
    attention, state = block.attention, layer.state_dict()
    state |= {
        "self_attn.in_proj_weight": attention.query_key_value.weight,
        "self_attn.in_proj_bias": torch.zeros(3 * width),
        "self_attn.out_proj.weight": attention.merge.weight,
        "self_attn.out_proj.bias": torch.zeros(width),
    }
    for theirs, ours in {
        "linear1": block.mlp.widen,
        "linear2": block.mlp.narrow,
        "norm1": block.attention_norm,
        "norm2": block.mlp_norm,
    }.items():
        state |= {f"{theirs}.weight": ours.weight, f"{theirs}.bias": ours.bias}
    layer.load_state_dict(state)
    return layer


def test_a_block_equals_torchs_pre_norm_layer_with_the_same_weights():
    torch.manual_seed(0)
    block, x = lesson.Block(12, 3), torch.randn(2, 7, 12)
    for norm in (block.attention_norm, block.mlp_norm):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    future = torch.ones(7, 7, dtype=torch.bool).triu(1)
    expected = torchs_layer(block, 12, 3)(x, src_mask=future)
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


def test_all_three_dropouts_are_on_in_training_and_silent_in_evaluation():
    torch.manual_seed(0)
    model = lesson.OneBlock(9, 8, 16, 2, dropout=0.5)
    without = lesson.OneBlock(9, 8, 16, 2)
    without.load_state_dict(model.state_dict())
    ids = torch.arange(8)[None]
    torch.testing.assert_close(model.eval()(ids), without(ids))
    places = [model, model.block, model.block.attention]
    assert [isinstance(place.dropout, nn.Dropout) for place in places[:2]] == [True] * 2
    model.train()
    for on in places:  # one at a time: each makes two readings differ
        for place in places:
            p = 0.5 if place is on else 0.0
            if isinstance(place.dropout, nn.Dropout):
                place.dropout.p = p
            else:
                place.dropout = p
        assert not torch.equal(model(ids), model(ids))


def test_a_model_starts_small_and_without_an_opinion(device):
    torch.manual_seed(0)
    model = lesson.OneBlock(65).to(device)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
        else:
            assert parameter.unique().tolist() in ([0.0], [1.0]), name
    ids = torch.randint(65, (4, 64), device=device)
    loss = nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten())
    assert loss.item() == pytest.approx(math.log(65), abs=0.1)


def test_the_stream_carries_the_input_to_the_top():
    block = lesson.Block(8, 2)
    for table in (block.attention.merge, block.mlp.narrow):
        nn.init.zeros_(table.weight)
    nn.init.zeros_(block.mlp.narrow.bias)
    x = torch.randn(1, 4, 8)
    assert torch.equal(block(x), x)  # parts that add nothing leave it as it is


def test_gradient_reaches_the_bottom_of_a_deep_stack():
    torch.manual_seed(0)
    blocks = nn.Sequential(*[lesson.Block(32, 4) for _ in range(12)])
    blocks(torch.randn(4, 16, 32)).square().mean().backward()
    lengths = [
        torch.cat([p.grad.flatten() for p in block.parameters()]).norm().item()
        for block in blocks
    ]
    assert lengths[0] > lengths[-1] / 10
