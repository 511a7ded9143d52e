"""The command line: `gpt-lib`, or `python -m gpt_lib`.

Nothing heavy is imported before a command really runs: `--help` is there at once.
"""

import typer

from gpt_lib.cli.chat import chat
from gpt_lib.cli.doctor import doctor
from gpt_lib.cli.fetch import fetch
from gpt_lib.cli.generate import generate
from gpt_lib.cli.models import models
from gpt_lib.cli.options import interruptible
from gpt_lib.cli.train import train

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would swallow what stands in brackets
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train small GPTs, keep them, generate text with them. Runs are kept in runs/"
    " of the course's folder; without one, in your data folder; or where the variable"
    " GPT_RUNS says: `gpt-lib doctor` shows it. The course is in notebooks/.",
)
for command in (doctor, train, models, generate, chat, fetch):
    app.command()(interruptible(command))
