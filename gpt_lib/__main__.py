"""`python -m gpt_lib` is `gpt-lib`."""

from gpt_lib.cli import app

app(prog_name="gpt-lib")
