"""What all commands share: options, JSON, progress on stderr, and tokens coloured by how rare their reading is."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="Catalogue name, path of a GGUF, or hf:OWNER/REPO/FILE.")
]
PackOption = Annotated[str | None, typer.Option("--pack", "-p", help="Concept pack, by name or path.")]
ThreadsOption = Annotated[int | None, typer.Option(help="Threads of the engine.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False)

# Control characters but newline and tab: a model's text may not steer the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def report(message: str) -> None:
    """A line about what is going on, on stderr."""
    stderr.print(message, style="dim", markup=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode())


def print_line(value: Any) -> None:
    """One JSON object on one line, at once."""
    print(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode(), flush=True)


def plain(text: str) -> str:
    """Text that is safe on a terminal."""
    return _CONTROL.sub("�", text)


def style_of(percentile: float | None) -> str:
    """Style of a percentile: nothing below 90, then blue to yellow (readable for the colour-blind), bold above 99."""
    if percentile is None or percentile < 90:
        return ""
    if percentile < 99:
        return "bright_blue"
    return "bold yellow" if percentile < 99.9 else "bold black on yellow"


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """A progress bar on stderr, silent where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, disable=not sys.stderr.isatty(), transient=True) as bar:
        bar.console.print(title, style="dim", markup=False) if sys.stderr.isatty() else None
        yield bar


def show_alerts(alerts: list[dict[str, Any]]) -> None:
    """A line an alert."""
    for alert in alerts:
        stdout.print(
            f"alert: {alert['id']} from token {alert['first_token']} (p = {alert['p']:.4f})", style="bold yellow"
        )


def percent(value: float) -> str:
    """A percentile for people."""
    return f"{value:.2f}" if value > 99 else f"{value:.0f}"
