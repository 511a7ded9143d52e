"""`gpt-lib models`: a table of all trained models."""

import json
from typing import Annotated, Any

import typer

from gpt_lib.cli.options import runs_folder


def models(
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """List all trained models: those of the course, and your runs."""
    from gpt_lib.catalog import model_names, model_table_row

    rows, root = [], runs_folder()
    for name in model_names(root):
        try:
            rows.append(model_table_row(name, root))
        except ValueError as error:
            typer.secho(f"gpt-lib: {error}", err=True, fg="red")
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print_table(rows)
        typer.echo(f"runs are kept in {root}", err=True)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the models; of one whose training was stopped, how far it is."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="")
    for column in rows[0]:
        if column != "of":
            is_number = isinstance(rows[0][column], int | float)
            table.add_column(column, justify="right" if is_number else "left")
    for row in rows:
        all_steps = row.pop("of")
        if row["steps"] < all_steps:
            row["steps"] = f"{row['steps']:,} of {all_steps:,}"
        table.add_row(*map(format_cell, row.values()))
    Console(highlight=False).print(table)


def format_cell(value: Any) -> str:
    """A cell of the table: whole numbers grouped, losses to three places."""
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.3f}"
        case None:
            return "–"
    return str(value)
