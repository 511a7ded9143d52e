"""Models of other libraries, of the same shape as ours, behind the same face.

They are installed by `make bench` alone; the course itself does not need them.
"""

from importlib.metadata import version

from torch import Tensor, nn

from gpt_lib.gpt import GPTConfig

PACKAGES = ("transformers", "x-transformers")


class TransformersGPT2(nn.Module):
    """GPT-2 as the transformers library builds it."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        self.vocab_size, self.context = config.vocab_size, config.context
        rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        shape = GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.context,
            n_embd=config.width,
            n_layer=config.depth,
            n_head=config.heads,
            bos_token_id=None,
            eos_token_id=None,
            use_cache=False,
            **rates,
        )
        self.inside = GPT2LMHeadModel(shape)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        return self.inside(ids).logits


class XTransformersDecoder(nn.Module):
    """The x-transformers library's decoder."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        from x_transformers import Decoder, TransformerWrapper

        self.vocab_size, self.context = config.vocab_size, config.context
        layers = Decoder(
            dim=config.width,
            depth=config.depth,
            heads=config.heads,
            attn_dim_head=config.width // config.heads,
        )
        self.inside = TransformerWrapper(
            num_tokens=config.vocab_size,
            max_seq_len=config.context,
            attn_layers=layers,
        )

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        return self.inside(ids)


PEERS = {
    "transformers' GPT-2": TransformersGPT2,
    "x-transformers' decoder": XTransformersDecoder,
}


def versions() -> dict[str, str]:
    """The versions of the peers' packages.

    Raises:
        PackageNotFoundError: `make bench` has not installed them yet.
    """
    return {name: version(name) for name in PACKAGES}
