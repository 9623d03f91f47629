"""`hatcat eval`: figures that anyone can repeat."""

from __future__ import annotations

import typer

from hatcat.cli.output import JsonOption, ModelOption, PackOption, ThreadsOption, print_json, report
from hatcat.cli.train import show
from hatcat.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Measure how good the readings are.")


@app.callback()
def _group() -> None:
    """A group, so that `hatcat eval detection` keeps its name while it is the only one."""


@app.command()
def detection(
    pack: PackOption = None, model: ModelOption = None, threads: ThreadsOption = None, as_json: JsonOption = False
) -> None:
    """Held-out examples against held-out contrasts, by five-fold cross-validation, beside a text-only control."""
    from hatcat.evals.detection import detection as run
    from hatcat.monitor.load import load_concepts, load_engine

    settings = load_settings(model=model, pack=pack, threads=threads)
    concepts = load_concepts(settings)
    engine = load_engine(settings, report)
    found = show(run(engine, concepts, settings.cache / "work"), f"reading the texts of {concepts.header.name}")
    if as_json:
        print_json(found)
        return
    for concept, card in sorted(found["by_concept"].items(), key=lambda item: item[1]["auroc"]):
        print(f"{concept:32s} {card['auroc']:.3f}  text {card['text_control']:.3f}")
    low, high = found["mean_auroc_interval"]
    print(f"mean AUROC {found['mean_auroc']:.3f} ({low:.3f}-{high:.3f}), text only {found['text_control']:.3f}")
