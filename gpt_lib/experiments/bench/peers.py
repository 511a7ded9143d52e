"""Models of other libraries, of the same shape as ours, behind the same face.

They are installed by `make bench` alone; the course itself does not need them.
"""

import tempfile
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from gpt_lib.gpt import GPTConfig

PACKAGES = ("transformers", "x-transformers", "nano-gpt", "ctranslate2")


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


class NanoGPT(nn.Module):
    """The nano-gpt package's GPT, written after Karpathy's nanoGPT lectures."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        from nano_gpt.config import GPTConfig as Shape
        from nano_gpt.model import GPT

        self.vocab_size, self.context = config.vocab_size, config.context
        shape = Shape(
            block_size=config.context,
            vocab_size=config.vocab_size,
            n_layer=config.depth,
            n_head=config.heads,
            n_embd=config.width,
        )
        self.inside = GPT(shape, tokenizer=None)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        logits, _ = self.inside(ids)
        return logits

    def encode(self, text: str) -> list[int]:
        """Its `sample` wants a tokenizer: here a character's code is its id."""
        return list(map(ord, text))

    def decode(self, ids: list[int]) -> str:
        """Back again."""
        return "".join(map(chr, ids))

    def write(self, prompt: Tensor, length: int) -> int:
        """Write one text of `length` after prompt (1, T), all of it read each time."""
        from nano_gpt.model import sample

        begin = self.decode(prompt[0].tolist())
        with torch.inference_mode():
            [text] = sample(self.inside, self, begin, 1, length, prompt.device.type)
        return len(text) - len(begin)


class CTranslate2GPT2:
    """A GPT-2 of transformers in CTranslate2, which is a program in C++; on the CPU.

    Raises:
        ValueError: it does not say what the model says, so it is no peer.
    """

    def __init__(self, model: TransformersGPT2, threads: int) -> None:
        import ctranslate2
        from ctranslate2.converters.transformers import GPT2Loader

        self.names = [str(id) for id in range(model.vocab_size)]
        described = GPT2Loader().get_model_spec(model.inside)
        described.register_vocabulary(self.names)
        special = described.config
        special.bos_token = special.eos_token = special.unk_token = self.names[0]
        described.validate()
        described.optimize()
        with tempfile.TemporaryDirectory() as folder:
            described.save(folder)
            self.inside = ctranslate2.Generator(folder, intra_threads=threads)
        ids = torch.arange(model.context)[None] % model.vocab_size
        said = self.inside.forward_batch(self.named(ids), return_log_probs=False)
        with torch.inference_mode():
            if not torch.allclose(torch.tensor(np.array(said)), model(ids), atol=1e-4):
                raise ValueError("CTranslate2 does not say what transformers says")

    def named(self, ids: Tensor) -> list[list[str]]:
        """Ids (B, T) by their names, as it wants them."""
        return [[self.names[id] for id in row] for row in ids.tolist()]

    def generate(self, prompt: Tensor, length: int) -> list[list[int]]:
        """`length` ids after each row of prompt (B, T), each drawn from all."""
        written = self.inside.generate_batch(
            self.named(prompt),
            min_length=length,
            max_length=length,
            sampling_topk=0,
            end_token=[],
            include_prompt_in_result=False,
        )
        return [row.sequences_ids[0] for row in written]


PEERS = {
    "transformers' GPT-2": TransformersGPT2,
    "x-transformers' decoder": XTransformersDecoder,
    "nano-gpt's GPT": NanoGPT,
}


def versions() -> dict[str, str]:
    """The versions of the peers' packages that `make bench` has installed."""
    installed = [name for name in PACKAGES if find_spec(name.replace("-", "_"))]
    return {name: version(name) for name in installed}
