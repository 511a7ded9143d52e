"""`gpt-lib models`: a table of all trained models."""

import json
import sys
from typing import Annotated, Any

import typer

from gpt_lib.cli.options import print_error, runs_folder
from gpt_lib.playground.messages import printable


def models(
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """List all trained models: those of the course, and your runs."""
    from gpt_lib.catalog import model_names, model_table_row

    rows, root, all_readable = [], runs_folder(), True
    for name in model_names(root):
        try:
            rows.append(model_table_row(name, root))
        except (ValueError, OSError) as error:
            print_error(error)
            all_readable = False
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        if rows:
            print_table(rows)
        typer.echo(f"runs are kept in {root}", err=True)
    if not all_readable:
        raise typer.Exit(1)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the models; of one whose training was stopped, how far it is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="")
    for column in rows[0]:
        if column != "of":
            is_number = isinstance(rows[0][column], int | float)
            # A name is what one copies: it is wrapped, never cut.
            table.add_column(
                column, justify="right" if is_number else "left", overflow="fold"
            )
    for row in rows:
        all_steps = row.pop("of")
        if row["steps"] < all_steps:
            row["steps"] = f"{row['steps']:,} of {all_steps:,}"
        # Text: what stands in brackets is no markup.
        table.add_row(*(Text(format_cell(value)) for value in row.values()))
    # A program that reads a pipe gets a line for each model, however long.
    width = None if sys.stdout.isatty() else 1000
    Console(highlight=False, width=width).print(table)


def format_cell(value: Any) -> str:
    """A cell of the table: whole numbers grouped, losses to three places."""
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.3f}"
        case None:
            return "–"
    return printable(str(value))
