"""Models of other libraries, of the same shape as ours, with the same interface.

Their packages are the dependency group `bench` in pyproject.toml, which `make bench`
installs; the course itself does not need them.
"""

import tempfile
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from gpt_lib.gpt import GPTConfig

PEER_PACKAGES = (
    "transformers",
    "x-transformers",
    "nano-gpt",
    "ctranslate2",
    "tokenizers",
    "tiktoken",
    "rustbpe",
)


class TransformersGPT2(nn.Module):
    """GPT-2 as the transformers library builds it."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        self.vocab_size, self.context = config.vocab_size, config.context
        dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        config_of_peer = GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.context,
            n_embd=config.width,
            n_layer=config.depth,
            n_head=config.heads,
            bos_token_id=None,
            eos_token_id=None,
            use_cache=False,
            **dropout,
        )
        self.model = GPT2LMHeadModel(config_of_peer)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        return self.model(ids).logits


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
        self.model = TransformerWrapper(
            num_tokens=config.vocab_size,
            max_seq_len=config.context,
            attn_layers=layers,
        )

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        return self.model(ids)


class NanoGPTPackage(nn.Module):
    """The nano-gpt package's GPT, written after Karpathy's nanoGPT lectures."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        from nano_gpt.config import GPTConfig as NanoGPTConfig
        from nano_gpt.model import GPT

        self.vocab_size, self.context = config.vocab_size, config.context
        config_of_peer = NanoGPTConfig(
            block_size=config.context,
            vocab_size=config.vocab_size,
            n_layer=config.depth,
            n_head=config.heads,
            n_embd=config.width,
        )
        self.model = GPT(config_of_peer, tokenizer=None)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        logits, _ = self.model(ids)
        return logits

    def encode(self, text: str) -> list[int]:
        """For its `sample`, which needs a tokenizer: a character's code is its id."""
        return list(map(ord, text))

    def decode(self, ids: list[int]) -> str:
        """The inverse of `encode`."""
        return "".join(map(chr, ids))

    def generate(self, prompt: Tensor, length: int) -> int:
        """Generate after prompt (1, T), without a cache; the number of new tokens."""
        from nano_gpt.model import sample

        start = self.decode(prompt[0].tolist())
        with torch.inference_mode():
            [text] = sample(self.model, self, start, 1, length, prompt.device.type)
        return len(text) - len(start)


class CTranslate2GPT2:
    """A GPT-2 of transformers in CTranslate2, which is a program in C++; on the CPU.

    Raises:
        ValueError: its logits are not those of the model.
    """

    def __init__(self, model: TransformersGPT2, threads: int) -> None:
        import ctranslate2
        from ctranslate2.converters.transformers import GPT2Loader

        self.vocabulary = [str(id) for id in range(model.vocab_size)]
        specification = GPT2Loader().get_model_spec(model.model)
        specification.register_vocabulary(self.vocabulary)
        special = specification.config
        special.bos_token = special.eos_token = special.unk_token = self.vocabulary[0]
        specification.validate()
        specification.optimize()
        with tempfile.TemporaryDirectory() as folder:
            specification.save(folder)
            self.generator = ctranslate2.Generator(folder, intra_threads=threads)
        ids = torch.arange(model.context)[None] % model.vocab_size
        logits = self.generator.forward_batch(self.tokens(ids), return_log_probs=False)
        logits = torch.tensor(np.array(logits))
        with torch.inference_mode():
            if not torch.allclose(logits, model(ids), atol=1e-4):
                raise ValueError("CTranslate2's logits differ from transformers'")

    def tokens(self, ids: Tensor) -> list[list[str]]:
        """Ids (B, T) as tokens of CTranslate2's vocabulary."""
        return [[self.vocabulary[id] for id in row] for row in ids.tolist()]

    def generate(self, prompt: Tensor, length: int) -> list[list[int]]:
        """`length` ids after each row of prompt (B, T), sampled from all tokens."""
        results = self.generator.generate_batch(
            self.tokens(prompt),
            min_length=length,
            max_length=length,
            sampling_topk=0,
            end_token=[],
            include_prompt_in_result=False,
        )
        return [result.sequences_ids[0] for result in results]


PEERS = {
    "transformers' GPT-2": TransformersGPT2,
    "x-transformers' decoder": XTransformersDecoder,
    "nano-gpt's GPT": NanoGPTPackage,
}


def peer_versions() -> dict[str, str]:
    """The versions of those of the peers' packages that are installed."""
    installed = [name for name in PEER_PACKAGES if find_spec(name.replace("-", "_"))]
    return {name: version(name) for name in installed}
