"""The command line. One module a command group; this one puts them together and turns errors into exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import hatcat
from hatcat.cli import bench, chat, concepts, doctor, evaluate, packs, score, serve, train
from hatcat.errors import HatcatError

app = typer.Typer(
    name="hatcat", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
    help="A language-model server that shows what a model is thinking next to what it is saying.",
)  # fmt: skip

app.command()(serve.up)
app.command()(serve.serve)
app.command()(chat.chat)
app.command()(chat.watch)
app.command()(score.score)
app.command()(train.train)
app.command()(train.calibrate)
app.command()(bench.bench)
app.command()(doctor.doctor)
app.add_typer(packs.app, name="packs")
app.add_typer(concepts.app, name="concepts")
app.add_typer(evaluate.app, name="eval")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(hatcat.__version__)
        raise typer.Exit


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 the answer is no, 2 wrong use, 3 something outside failed."""
    try:
        app()
    except HatcatError as error:
        print(f"hatcat: {error.message}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("hatcat: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
