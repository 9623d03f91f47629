"""`hatcat bench`: what watching costs on this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hatcat.cli.output import JsonOption, ModelOption, PackOption, ThreadsOption, print_json, progress, report
from hatcat.errors import NotFound
from hatcat.settings import load_settings


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds: done in under 45 seconds.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Alternating rounds (20; quick: 8).")] = None,
    model: ModelOption = None, pack: PackOption = None, threads: ThreadsOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Speed plain and watched, alternating in one run: decoding, prompts, first token; and memory."""
    from hatcat.evals.speed import bench as run
    from hatcat.monitor.load import load

    loaded = load(load_settings(model=model, pack=pack, threads=threads), report)
    if loaded.lenses is None:
        raise NotFound(loaded.problem or "no lenses for this model yet: `hatcat train`")
    count = rounds or (8 if quick else 20)
    found: dict[str, Any] = {}
    with progress("measuring") as bar:
        task = bar.add_task("rounds", total=count)
        for step in run(loaded, rounds=count, tokens=64 if quick else 96, prompt_tokens=192 if quick else 384):
            if isinstance(step, dict):
                found = step
            else:
                bar.update(task, completed=step)
    if as_json:
        print_json(found)
        return
    print(f"{found['machine']['cpu']}, {found['machine']['cores']} cores; {found['model']} {found['quantisation']}")
    for name in ("decode", "prefill"):
        rates = ", ".join(f"{mode} {rate}" for mode, rate in found[f"{name}_tokens_per_second"].items())
        print(f"{name} tokens/s: {rates}")
    print(f"watched/plain: {found['watched_over_plain']:.3f} (in full {found['watched_over_plain_tokens']:.3f})")
    print(f"memory: {found['rss_bytes'] / 1e6:.0f} MB")
