"""What several tests of the commands begin with."""

import pytest

from gpt_lib import runs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a text, and room for runs, where commands are called."""
    (tmp_path / "rhyme.txt").write_text("Row, row, row your boat. " * 80)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    return tmp_path
