"""`hatcat concepts`: what can be looked for."""

from __future__ import annotations

from typing import Annotated

import typer

from hatcat.cli.output import JsonOption, PackOption, print_json
from hatcat.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The concepts of a pack.")


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="Part of a name, an alias or a definition.")],
    pack: PackOption = None, limit: Annotated[int, typer.Option(min=1, max=1000)] = 20, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Concepts that match, best match first; exit 1 if none does."""
    from hatcat.monitor.load import load_concepts

    found = load_concepts(load_settings(pack=pack)).search(query, limit=limit)
    if as_json:
        print_json([c.model_dump(include={"id", "name", "domain", "definition", "tags"}) for c in found])
    else:
        for concept in found:
            print(f"{concept.id:32s} {concept.definition}")
    if not found:
        raise typer.Exit(1)


@app.command()
def show(
    concept: Annotated[str, typer.Argument(help="Concept id.")], pack: PackOption = None, as_json: JsonOption = False
) -> None:
    """One concept with its examples and contrasts."""
    from hatcat.monitor.load import load_concepts

    item = load_concepts(load_settings(pack=pack)).get(concept)
    if as_json:
        print_json(item.model_dump())
        return
    print(f"{item.name} ({item.id}), {item.domain}{'; under ' + ', '.join(item.parents) if item.parents else ''}")
    print(item.definition)
    for title, texts in (("also", item.aliases), ("examples", item.examples), ("contrasts", item.contrasts)):
        print(f"\n{title}:")
        for text in texts:
            print(f"  {text}")
