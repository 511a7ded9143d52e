"""Lesson 17b: a text is tokenized in parts, once, and its ids stay in a file."""

import io
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt_lib import large as lesson
from gpt_lib.data import id_dtype, load_text
from gpt_lib.text import CharTokenizer
from gpt_lib.tokens import BytePairTokenizer, WordTokenizer, gpt2_tokenizer


def bpe_with_end():
    return BytePairTokenizer.from_text("a rose is a rose", 262, ("<|endoftext|>",))


@pytest.fixture
def large(tmp_path):
    """A text with characters of all sizes, and white space of all kinds."""
    line = (
        "Ça va ? l'été\u00a0🙂  \n\n\t日本語 'll 12345\r\n" + "x" * 300 + "\u2003 end\n"
    )
    path = tmp_path / "large.txt"
    path.write_bytes((line * 300 + "<|endoftext|> last").encode())
    return path


@pytest.mark.parametrize("part_bytes", [1, 97, 5000, 10**9])
def test_parts_of_a_file_have_the_ids_of_the_whole(large, tmp_path, part_bytes):
    if part_bytes == 1:  # a part for every word
        large.write_bytes(large.read_bytes()[:3000].rsplit(b" ", 1)[0])
    borders = lesson.part_borders(large, part_bytes)
    content = large.read_bytes()
    assert borders[0] == 0
    assert borders[-1] == len(content)
    texts = [content[a:b].decode() for a, b in pairwise(borders)]
    text = content.decode()
    assert "".join(texts) == text
    words = WordTokenizer.from_text(text, 300)
    for tokenizer in (bpe_with_end(), words, CharTokenizer.from_text(text)):
        parts = [tokenizer.encode(part) for part in texts]
        assert torch.equal(torch.cat(parts), tokenizer.encode(text))


@settings(deadline=None, max_examples=200)
@given(
    st.text(st.sampled_from("ab .!\n\t'l\u00a0\x1cé🙂1"), max_size=60),
    st.integers(0, 80),
)
def test_a_safe_cut_changes_no_token(text, position):
    content = text.encode()
    cut = lesson.safe_cut(io.BytesIO(content), min(position, len(content)))
    assert min(position, len(content)) <= cut <= len(content)
    tokenizer = gpt2_tokenizer()
    parts = [tokenizer.encode(part.decode()) for part in (content[:cut], content[cut:])]
    assert torch.equal(torch.cat(parts), tokenizer.encode(text))


def test_ids_stay_in_a_file_and_are_made_once(large, tmp_path):
    tokenizer, folder = bpe_with_end(), tmp_path / "ids"
    ids = lesson.tokenize_file(large, tokenizer, folder, workers=2, part_bytes=20_000)
    text = load_text(large)  # lines end with \\n
    assert torch.equal(ids, tokenizer.encode(text, torch.int16, with_special=True))
    assert [path.name for path in folder.iterdir()] == ["ids.bin"]
    before = (folder / "ids.bin").stat().st_mtime_ns
    large.write_text("not read again")
    again = lesson.tokenize_file(large, tokenizer, folder)
    assert torch.equal(again, ids)
    assert (folder / "ids.bin").stat().st_mtime_ns == before


@pytest.mark.parametrize("has_tiktoken", [True, False])
def test_who_encodes_makes_no_difference(large, monkeypatch, has_tiktoken):
    if not has_tiktoken:
        monkeypatch.setattr(lesson, "find_spec", lambda name: None)
    text = large.read_bytes().decode()
    for tokenizer in (
        bpe_with_end(),
        gpt2_tokenizer(),
        WordTokenizer.from_text(text, 300),
    ):
        encode = lesson.fastest_encoder(tokenizer)
        is_rust = has_tiktoken and tokenizer.kind != "words"
        assert (getattr(encode, "func", None) is None) == is_rust
        dtype = id_dtype(tokenizer)
        expected = tokenizer.encode(text, dtype, with_special=True)
        assert torch.equal(encode(text), expected)
        assert encode(text).dtype == dtype
    characters = CharTokenizer.from_text(text)
    assert torch.equal(
        lesson.fastest_encoder(characters)(text).long(), characters.encode(text)
    )


def test_a_part_that_is_there_is_not_made_again(large, tmp_path):
    borders = lesson.part_borders(large, 20_000)
    (tmp_path / "ids").mkdir()
    first = tmp_path / "ids" / f"part-{0:012}-{borders[1]:012}.bin"
    first.write_bytes(torch.tensor([1, 2, 3], dtype=torch.int16).numpy().tobytes())
    ids = lesson.tokenize_file(
        large, bpe_with_end(), tmp_path / "ids", workers=1, part_bytes=20_000
    )
    rest = large.read_bytes()[borders[1] :].decode().replace("\r\n", "\n")
    expected = bpe_with_end().encode(rest, with_special=True)
    assert ids.tolist() == [1, 2, 3, *expected.tolist()]


def test_parts_of_another_size_are_not_mixed(large, tmp_path):
    text, folder = load_text(large), tmp_path / "ids"
    tokenizer = CharTokenizer.from_text(text)
    begin, end = lesson.part_borders(large, 5000)[:2]
    part = folder / f"part-{begin:012}-{end:012}.bin"
    folder.mkdir()
    lesson.tokenize_part(large, begin, end, tokenizer, part)
    assert part.exists()
    ids = lesson.tokenize_file(large, tokenizer, folder, workers=1, part_bytes=9000)
    assert tokenizer.decode(ids) == text


def test_a_tokenizer_without_cuts_has_one_part(tmp_path):
    path, text = tmp_path / "x.txt", "a rose is a rose " * 20
    path.write_text(text)
    tokenizer = BytePairTokenizer.from_text(text, 400, cut="none")
    ids = lesson.tokenize_file(path, tokenizer, tmp_path / "ids", 1, part_bytes=50)
    assert torch.equal(ids, tokenizer.encode(text, torch.int16))


def test_a_mark_at_the_beginning_is_not_read(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffone\r\ntwo\rthree".encode())
    tokenizer = CharTokenizer.from_text(load_text(path))
    ids = lesson.tokenize_file(path, tokenizer, tmp_path / "ids", workers=1)
    assert tokenizer.decode(ids) == load_text(path) == "one\ntwo\nthree"


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"good text " * 1000 + b"\xff and more" * 10)
    with pytest.raises(ValueError, match=r"x\.txt is not UTF-8 \(byte 10000 "):
        lesson.tokenize_file(path, bpe_with_end(), tmp_path / "ids", workers=1)
    assert not (tmp_path / "ids" / "ids.bin").exists()


KILLED = """
import sys
from pathlib import Path
from gpt_lib import large
from gpt_lib.text import CharTokenizer
if __name__ == "__main__":
    source, folder = map(Path, sys.argv[1:])
    tokenizer = CharTokenizer("".join(sorted(set(source.read_text()))))
    large.tokenize_file(source, tokenizer, folder, workers=1, part_bytes=5000)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_workers_end_with_their_parent(tmp_path):
    source, script = tmp_path / "x.txt", tmp_path / "program.py"
    source.write_text("some words and more " * 400_000)
    script.write_text(KILLED.replace("workers=1", "workers=2"))
    folder = tmp_path / "ids"
    command = [sys.executable, str(script), str(source), str(folder)]
    process = subprocess.Popen(command)
    while len(list(folder.glob("part-*.bin"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()  # it alone
    process.wait()
    time.sleep(4)
    parts = len(list(folder.glob("part-*.bin")))
    time.sleep(2)
    assert len(list(folder.glob("part-*.bin"))) == parts


@pytest.mark.slow
def test_a_killed_tokenization_goes_on(tmp_path):
    source, folder = tmp_path / "x.txt", tmp_path / "ids"
    script = tmp_path / "program.py"
    script.write_text(KILLED)
    text = "some words and more " * 200_000
    source.write_text(text)
    command = [sys.executable, str(script), str(source), str(folder)]
    process = subprocess.Popen(command, start_new_session=True)
    while len(list(folder.glob("part-*.bin"))) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    parts = {path: path.stat().st_mtime_ns for path in folder.glob("part-*.bin")}
    assert parts
    assert not (folder / "ids.bin").exists()
    tokenizer = CharTokenizer("".join(sorted(set(text))))
    for path in parts:  # none is half a part
        begin = int(path.stem.split("-")[1])
        ids = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.int16)
        assert torch.equal(ids, tokenizer.encode(text[begin:][: len(ids)], torch.int16))
    subprocess.run(command, check=True)
    ids = lesson.tokenize_file(source, tokenizer, folder)
    assert torch.equal(ids, tokenizer.encode(text, torch.int16))
    assert [path.name for path in folder.iterdir()] == ["ids.bin"]


def test_a_part_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    def write_half(path, content):
        path.write_bytes(content[: len(content) // 2])
        raise OSError("the disk is full")

    monkeypatch.setattr(lesson, "write_and_fsync", write_half)
    with pytest.raises(OSError, match="full"):
        lesson.write_atomically(tmp_path / "part.bin", b"x" * 100)
    assert not (tmp_path / "part.bin").exists()
