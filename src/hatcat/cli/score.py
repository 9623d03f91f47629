"""`hatcat score`: text in, readings out, nothing generated."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from hatcat.cli.chat import TopOption, WatchOption
from hatcat.cli.output import (
    JsonOption,
    ModelOption,
    PackOption,
    ThreadsOption,
    percent,
    plain,
    print_json,
    print_line,
    report,
    show_alerts,
    stdout,
    style_of,
)
from hatcat.errors import InvalidRequest
from hatcat.settings import load_settings


def score(
    text: Annotated[str | None, typer.Option("--text", "-t", help="Text to read; from stdin if left out.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="JSON Lines with `text` or `messages`.")] = None,
    model: ModelOption = None, pack: PackOption = None, threads: ThreadsOption = None, top: TopOption = 5,
    watch: WatchOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Read a text (or each line of a JSON Lines file) and print the concepts at every token."""
    from hatcat.monitor.load import load
    from hatcat.monitor.monitor import Options, given_ids
    from hatcat.monitor.monitor import score as read

    given: dict[str, Any] = {"text": text if text is not None or file is not None else sys.stdin.read()}
    items = _lines(file) if file is not None else [given]
    loaded = load(load_settings(model=model, pack=pack, threads=threads), report)
    if loaded.problem or loaded.lenses is None:
        report(loaded.problem or f"no lenses for this model yet: `hatcat train --pack {loaded.concepts.header.name}`")
    options = Options("tokens", top, tuple(watch or ()))
    for item in items:
        ids = given_ids(loaded.engine, item.get("text"), item.get("messages"))
        result = read(loaded.engine, loaded.monitor, ids, options)
        if file is not None:
            print_line(result)
        elif as_json:
            print_json(result)
        else:
            _show(result)


def _lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file. Raises InvalidRequest naming the line that is wrong."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file} can't be read: {error}") from error
    items = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            raise InvalidRequest(f"{file}, line {number}: invalid JSON: {error}") from error
        fits = isinstance(item, dict) and (isinstance(item.get("text"), str) or isinstance(item.get("messages"), list))
        if not fits:
            raise InvalidRequest(f"{file}, line {number}: needs `text` (a string) or `messages` (a list)")
        items.append(item)
    return items


def _show(result: dict[str, Any]) -> None:
    for token in result["tokens"]:
        readings = token["concepts"]
        strongest = readings[0]["percentile"] if readings else None
        shown = "  ".join(f"{c['id']} {percent(c['percentile'])}" for c in readings) or token["state"]
        name = escape(repr(plain(token["text"])))
        stdout.print(
            f"{token['index']:4d} [{style_of(strongest) or 'none'}]{name:<16}[/] {escape(shown)}", soft_wrap=True
        )
    show_alerts(result["alerts"])
