"""Small models that the checks of several lessons, and tests, share."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

StandInConfig = SimpleNamespace  # for a config of the course: the same fields


class ToyModel(nn.Module):
    """A language model in which order, length and dropout show.

    The logits of each id, plus those of all ids up to it, which fade with distance.
    """

    def __init__(
        self,
        vocab_size: int = 5,
        context: int | None = None,
        dropout: float = 0.5,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.vocab_size, self.context = vocab_size, context
        generator = torch.Generator().manual_seed(0)
        logits = scale * torch.randn(2, vocab_size, vocab_size, generator=generator)
        self.bigram_logits, self.past_logits = map(nn.Parameter, logits)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V); a ValueError if T is more than the context."""
        if self.context and ids.size(1) > self.context:
            raise ValueError(f"{ids.size(1)} ids are more than {self.context}")
        positions = torch.arange(ids.size(1), device=ids.device)
        decay = torch.exp(-0.3 * (positions[:, None] - positions)).tril()  # (T, T)
        return self.dropout(self.bigram_logits[ids] + decay @ self.past_logits[ids])
