"""`hatcat packs`: what there is to read with, whether it is sound, and carrying trained packs elsewhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from hatcat.cli.output import JsonOption, print_json, report
from hatcat.concepts import pack as concepts
from hatcat.concepts.pack import ConceptPack
from hatcat.errors import NotFound, PackError
from hatcat.lenses import store, transfer
from hatcat.lenses.pack import LensPack
from hatcat.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Concept packs and the lenses trained for them.")

NameArgument = Annotated[str, typer.Argument(help="Name or folder of a pack.")]


@app.command(name="list")
def list_packs(as_json: JsonOption = False) -> None:
    """Concept packs at hand, and for which models lenses of them are trained."""
    settings = load_settings()
    lenses = [store.facts(folder) for folder in store.every(settings.cache)]
    found: list[dict[str, Any]] = []
    for name in concepts.available([settings.cache / "packs"]):
        pack = ConceptPack.load(concepts.find(name, [settings.cache / "packs"]))
        trained = [facts for facts in lenses if facts["pack"] == name]
        found.append({"name": name, "version": pack.header.version, "concepts": len(pack), "lenses": trained})
    if as_json:
        print_json(found)
        return
    for item in found:
        models = ", ".join(facts["model"] for facts in item["lenses"]) or "no model yet"
        print(f"{item['name']} {item['version']}: {item['concepts']} concepts, lenses for {models}")


@app.command()
def show(
    name: NameArgument, full: Annotated[bool, typer.Option("--report", help="Every lens's report card.")] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """A pack's lenses: concepts, how many are good, size, cost of training."""
    facts = store.facts(_lenses(name), cards=full)
    if as_json:
        print_json(facts)
        return
    print(
        f"{facts['pack']} {facts['version']} for {facts['model']}: {facts['concepts']} concepts, {facts['bytes']} bytes"
    )
    print(f"mean held-out AUROC {facts['mean_auroc']:.3f}; {facts['graduated']} at or above {facts['bar']}")
    for concept, card in sorted(facts.get("cards", {}).items(), key=lambda item: -item[1]["auroc"]):
        unrelated = card["auroc_random"] or math.nan
        print(f"  {concept:32s} {card['auroc']:.3f}  unrelated {unrelated:.3f}  text {card['text_control']:.3f}")


@app.command()
def validate(path: NameArgument, as_json: JsonOption = False) -> None:
    """Check a concept pack or a lens pack; exit 1 with the reason if it is broken."""
    folder = Path(path)
    try:
        if (folder / "lenses.json").is_file():
            found: dict[str, Any] = {"kind": "lenses", "concepts": len(LensPack.load(folder).concepts)}
        else:
            pack = ConceptPack.load(concepts.find(path, [load_settings().cache / "packs"]))
            found = {"kind": "concepts", "concepts": len(pack)}
    except PackError as error:
        if as_json:
            print_json({"valid": False, "reason": error.message})
        else:
            report(error.message)
        raise typer.Exit(1) from error
    if as_json:
        print_json({"valid": True, **found})
    else:
        print(f"valid: {found['kind']}, {found['concepts']} concepts")


@app.command()
def push(
    name: NameArgument, target: Annotated[str, typer.Argument(help="A .zip file, or hf:OWNER/REPO.")],
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Carry a trained lens pack away: to a file, or to the Hugging Face hub."""
    where = transfer.push(_lenses(name), target)
    print_json({"pushed": where}) if as_json else print(f"{name} is in {where}")


@app.command()
def pull(
    origin: Annotated[str, typer.Argument(help="A .zip file, a folder, an https address, or hf:OWNER/REPO.")],
    as_json: JsonOption = False,
) -> None:
    """Fetch a trained lens pack, check it, and keep it for the model it was made for."""
    folder = transfer.pull(origin, load_settings().cache)
    facts = store.facts(folder)
    print_json(facts) if as_json else print(f"{facts['pack']} for {facts['model']} is in {folder}")


def _lenses(name: str) -> Path:
    """The folder of a lens pack by name or path. Raises NotFound saying what packs there are or how to train one."""
    settings = load_settings()
    for folder in store.every(settings.cache):
        if folder.name == name:
            return folder
    if (Path(name) / "lenses.json").is_file():
        return Path(name)
    concepts.find(name, [settings.cache / "packs"])
    raise NotFound(f"no lenses are trained for the pack {name!r}: `hatcat train --pack {name}`")
