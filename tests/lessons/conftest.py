import pytest
import torch
from torch import nn

from gpt_lib.gpt import GPT, GPTConfig


@pytest.fixture
def gpt(device):
    """A tiny GPT with large random weights: what it expects is far from uniform."""
    torch.manual_seed(0)
    config = GPTConfig(8, context=6, width=12, heads=2, depth=1, dropout=0.5)
    model = GPT(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.to(device)
