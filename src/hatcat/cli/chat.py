"""`hatcat chat`: talk in the terminal and see what the model thinks. `hatcat watch`: one generation as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Any

import typer
from rich.markup import escape

from hatcat.cli.output import (
    ModelOption,
    PackOption,
    ThreadsOption,
    percent,
    plain,
    print_line,
    report,
    show_alerts,
    stdout,
    style_of,
)
from hatcat.settings import load_settings

MaxTokensOption = Annotated[int, typer.Option(min=1, help="Tokens an answer may have.")]
TemperatureOption = Annotated[float | None, typer.Option(min=0, max=2)]
SeedOption = Annotated[int | None, typer.Option(help="Same seed, same answer.")]
TopOption = Annotated[int, typer.Option(min=1, max=50, help="Concepts shown.")]
SystemOption = Annotated[str | None, typer.Option(help="System prompt.")]
WatchOption = Annotated[list[str] | None, typer.Option("--watch", "-w", help="Concept id or tag:NAME, repeatable.")]


def chat(
    model: ModelOption = None, pack: PackOption = None, threads: ThreadsOption = None, system: SystemOption = None,
    max_tokens: MaxTokensOption = 256, temperature: TemperatureOption = None, seed: SeedOption = None,
    top: TopOption = 4, colour: Annotated[str | None, typer.Option(help="Concept that colours the tokens.")] = None,
) -> None:  # fmt: skip
    """Chat in the terminal: tokens coloured by how rare their strongest reading is, top concepts in a line below."""
    from hatcat.monitor.job import Job
    from hatcat.monitor.load import load

    loaded = load(load_settings(model=model, pack=pack, threads=threads), report)
    loaded.monitor.resolve([colour] if colour else [])
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    stdout.print("Ctrl-D or /quit ends, Ctrl-C stops an answer, /reset forgets the conversation.", style="dim")
    while (said := _ask()) is not None:
        if said == "/reset":
            messages = messages[:1] if system else []
            continue
        messages.append({"role": "user", "content": said})
        watch = {"detail": "tokens", "top": top, "watch": [colour] if colour else []}
        job = Job(messages=messages, max_tokens=max_tokens, sampling=_sampling(temperature, seed), watch=watch)
        messages.append({"role": "assistant", "content": _show_answer(_events(loaded, job), colour)})


def _ask() -> str | None:
    try:
        while not (said := input("\n> ").strip()):
            pass
    except EOFError:
        return None
    return None if said == "/quit" else said


def _sampling(temperature: float | None, seed: int | None) -> dict[str, Any]:
    return {key: value for key, value in (("temperature", temperature), ("seed", seed)) if value is not None}


def _events(loaded: Any, job: Any) -> Iterator[dict[str, Any]]:
    from hatcat.monitor.job import run

    with closing(run(loaded.engine, loaded.monitor, job)) as events:
        yield from events


def _show_answer(events: Iterator[dict[str, Any]], colour: str | None) -> str:
    """Print an answer token by token as its readings come; returns its text. Ctrl-C stops it."""
    text: list[str] = []
    try:
        for event in events:
            text.append(event.get("text", ""))
            for token in event.get("tokens", []):
                stdout.print(
                    escape(plain(token["text"])), style=style_of(_strength(token, colour)), end="", soft_wrap=True
                )
            if event["event"] == "finish":
                _show_summary(event)
    except KeyboardInterrupt:
        stdout.print(" [stopped]", style="dim", markup=False)
    return "".join(text)


def _strength(token: dict[str, Any], colour: str | None) -> float | None:
    """What a token is coloured by: the chosen concept, or how rare its divergence is."""
    if colour:
        return (token.get("watched") or {}).get(colour)
    divergence = token.get("divergence")
    return 100 * (1 - divergence["p"]) if divergence else None


def _show_summary(event: dict[str, Any]) -> None:
    summary = event["summary"]
    shown = " · ".join(f"{c['id']} {percent(c['mean'])}" for c in summary["concepts"])
    line = shown or summary.get("reason") or ""
    stdout.print(f"\n[{summary['monitor']}] {line}", style="dim", markup=False)
    show_alerts(event["alerts"])


def watch(
    prompt: Annotated[str | None, typer.Argument(help="What to ask; from stdin if left out.")] = None,
    model: ModelOption = None, pack: PackOption = None, threads: ThreadsOption = None, system: SystemOption = None,
    max_tokens: MaxTokensOption = 256, temperature: TemperatureOption = None, seed: SeedOption = None,
    top: TopOption = 5, watch: WatchOption = None,
) -> None:  # fmt: skip
    """Answer one prompt and print a JSON line a token (readings) and one at the end (summary, alerts)."""
    from hatcat.monitor.job import Job
    from hatcat.monitor.load import load

    text = prompt if prompt is not None else sys.stdin.read()
    loaded = load(load_settings(model=model, pack=pack, threads=threads), report)
    messages = [{"role": "system", "content": system}] if system else []
    job = Job(
        messages=[*messages, {"role": "user", "content": text}], max_tokens=max_tokens,
        sampling=_sampling(temperature, seed), watch={"detail": "tokens", "top": top, "watch": watch or []},
    )  # fmt: skip
    for event in _events(loaded, job):
        for token in event.get("tokens", []):
            print_line(token)
        if event["event"] == "finish":
            print_line({key: event[key] for key in ("reason", "completion_tokens", "alerts", "summary")})
