"""The block and its parts: equal to torch's, silent in evaluation, on a stream."""

import math

import pytest
import torch
from torch import nn

from gpt_lib import block as lesson


def test_the_mlp_is_two_linear_layers_with_a_gelu_between(device):
    torch.manual_seed(0)
    mlp, x = lesson.MLP(6).to(device), torch.randn(2, 3, 6, device=device)
    hidden = x @ mlp.up.weight.T + mlp.up.bias
    assert hidden.shape[-1] == 24
    activated = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
    expected = activated @ mlp.down.weight.T + mlp.down.bias
    torch.testing.assert_close(mlp(x), expected, atol=1e-5, rtol=1e-5)


def torch_encoder_layer(block, width, heads):
    """PyTorch's own encoder layer, pre-norm, with the weights of `block`."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
    )
    attention, state = block.attention, layer.state_dict()
    state |= {
        "self_attn.in_proj_weight": attention.qkv.weight,
        "self_attn.in_proj_bias": torch.zeros(3 * width),
        "self_attn.out_proj.weight": attention.output.weight,
        "self_attn.out_proj.bias": torch.zeros(width),
    }
    for theirs, ours in {
        "linear1": block.mlp.up,
        "linear2": block.mlp.down,
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
    expected = torch_encoder_layer(block, 12, 3)(x, src_mask=future)
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


def test_a_block_uses_the_attention_that_it_is_built_with():
    def attend_to_itself(q, k, v, **options):
        return v

    torch.manual_seed(0)
    block, x = lesson.Block(12, 3, attention=attend_to_itself), torch.randn(2, 5, 12)
    torch.testing.assert_close(block(x)[:, 2:3], block(x[:, 2:3]))


class Recorder(nn.Module):
    """Attention that adds nothing and records what it is called with."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x, *arguments):
        self.calls.append(arguments)
        return torch.zeros_like(x)


def test_a_block_hands_the_cache_and_its_layer_to_attention():
    block, cache, x = lesson.Block(12, 3), object(), torch.randn(2, 5, 12)
    block.attention = Recorder()
    block(x)
    block(x, cache, 4)
    assert block.attention.calls == [(None, 0), (cache, 4)]


def test_all_three_dropouts_are_on_in_training_and_silent_in_evaluation():
    torch.manual_seed(0)
    model = lesson.OneBlockModel(9, 8, 16, 2, dropout=0.5)
    without_dropout = lesson.OneBlockModel(9, 8, 16, 2)
    without_dropout.load_state_dict(model.state_dict())
    ids = torch.arange(8)[None]
    torch.testing.assert_close(model.eval()(ids), without_dropout(ids))
    modules = [model, model.block, model.block.attention]
    assert all(isinstance(module.dropout, nn.Dropout) for module in modules[:2])
    model.train()
    for dropping in modules:  # one at a time: each makes two calls differ
        for module in modules:
            p = 0.5 if module is dropping else 0.0
            if isinstance(module.dropout, nn.Dropout):
                module.dropout.p = p
            else:
                module.dropout = p
        assert not torch.equal(model(ids), model(ids))


def test_a_model_starts_small_and_without_an_opinion(device):
    torch.manual_seed(0)
    model = lesson.OneBlockModel(65).to(device)
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
    for layer in (block.attention.output, block.mlp.down):
        nn.init.zeros_(layer.weight)
    nn.init.zeros_(block.mlp.down.bias)
    x = torch.randn(1, 4, 8)
    assert torch.equal(block(x), x)  # parts that add nothing leave it as it is


def test_gradient_reaches_the_bottom_of_a_deep_stack():
    torch.manual_seed(0)
    blocks = nn.Sequential(*[lesson.Block(32, 4) for _ in range(12)])
    blocks(torch.randn(4, 16, 32)).square().mean().backward()
    norms = [
        torch.cat([p.grad.flatten() for p in block.parameters()]).norm().item()
        for block in blocks
    ]
    assert norms[0] > norms[-1] / 10
