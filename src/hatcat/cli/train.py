"""`hatcat train` and `hatcat calibrate`: lenses for a model, with a progress bar, resumable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from hatcat.cli.output import JsonOption, ModelOption, PackOption, ThreadsOption, print_json, progress, report
from hatcat.errors import NotFound
from hatcat.settings import load_settings

BenignOption = Annotated[int | None, typer.Option(min=20, help="Benign prompts to calibrate on; default: all.")]


def train(
    pack: PackOption = None, model: ModelOption = None, threads: ThreadsOption = None, benign: BenignOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Train and calibrate the lenses of a concept pack for a model. Interrupted, it goes on where it was."""
    from hatcat.lenses import store
    from hatcat.lenses.calibrate import Benign
    from hatcat.lenses.train import Training
    from hatcat.monitor.load import load_concepts, load_engine

    settings = load_settings(model=model, pack=pack, threads=threads)
    concepts = load_concepts(settings)
    engine = load_engine(settings, report)
    training = Training(engine, concepts, settings.cache / "work", benign=Benign(benign))
    show(training.run(), f"training {len(concepts)} concepts of {concepts.header.name} for {engine.info.name}")
    assert training.result is not None
    folder = store.home(settings.cache, engine.info.source, concepts.header.name)
    training.result.save(folder)
    facts = store.facts(folder)
    if as_json:
        print_json(facts)
    else:
        print(f"{facts['concepts']} lenses, mean held-out AUROC {facts['mean_auroc']:.3f}, kept in {folder}")


def calibrate(
    pack: PackOption = None, model: ModelOption = None, threads: ThreadsOption = None, benign: BenignOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Calibrate lenses that exist for the runtime that serves now."""
    from hatcat.lenses import store
    from hatcat.lenses.calibrate import Benign
    from hatcat.lenses.calibrate import calibrate as run
    from hatcat.monitor.load import load

    settings = load_settings(model=model, pack=pack, threads=threads)
    loaded = load(settings, report)
    if loaded.lenses is None:
        raise NotFound(loaded.problem or f"no lenses to calibrate: `hatcat train --pack {settings.pack}`")
    steps = run(loaded.engine, loaded.lenses, Benign(benign), settings.cache / "work")
    with progress("calibrating on benign answers") as bar:
        task = bar.add_task("answers", total=None)
        for done, total, _ in steps:
            bar.update(task, completed=done, total=total)
    folder = store.home(settings.cache, loaded.engine.info.source, loaded.lenses.header.pack)
    loaded.lenses.save(folder)
    runtime = loaded.lenses.header.runtimes[loaded.engine.info.runtime]
    if as_json:
        print_json(runtime)
    else:
        print(f"calibrated on {runtime['tokens']} tokens of {runtime['answers']} answers, kept in {folder}")


def show(steps: Iterable[Any], title: str) -> Any:
    """Run through progress records with a bar a stage; returns the last item that is none."""
    last: Any = None
    with progress(title) as bar:
        tasks: dict[str, Any] = {}
        for step in steps:
            if isinstance(step, dict):
                last = step
                continue
            if step.stage not in tasks:
                tasks[step.stage] = bar.add_task(step.stage, total=step.total)
            bar.update(tasks[step.stage], completed=step.done)
    return last
