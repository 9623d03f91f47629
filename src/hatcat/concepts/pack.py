"""Concept packs: what is looked for.

A pack is a folder of ``pack.json`` (name, version, licence, source) and ``concepts.jsonl``, one concept a line. The
hierarchy is a directed acyclic graph by ``parents``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hatcat.errors import NotFound, PackError

MAX_LINE_BYTES = 1 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")


class Concept(BaseModel):
    """One thing to look for. ``contrasts`` are texts that a lazy lens would mistake for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[^\s/\\:*?\"<>|,]{1,128}$")
    name: str = Field(min_length=1, max_length=200)
    parents: tuple[str, ...] = ()
    domain: str = Field(min_length=1, max_length=64)
    definition: str = Field(min_length=1, max_length=4000)
    aliases: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    contrasts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class PackHeader(BaseModel):
    """``pack.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    licence: str
    source: str


@dataclass(frozen=True)
class ConceptPack:
    """Concepts of one pack in file order."""

    header: PackHeader
    concepts: tuple[Concept, ...]

    @classmethod
    def load(cls, folder: Path) -> ConceptPack:
        """Read and check a pack. Raises PackError naming the file, the line and what is wrong there."""
        header = _read_header(folder / "pack.json")
        lines = _read_lines(folder / "concepts.jsonl")
        _check_graph(lines, folder / "concepts.jsonl")
        if not lines:
            raise PackError(f"{folder / 'concepts.jsonl'}: the pack holds no concept")
        return cls(header, tuple(concept for _, concept in lines))

    @cached_property
    def by_id(self) -> dict[str, Concept]:
        return {concept.id: concept for concept in self.concepts}

    def __len__(self) -> int:
        return len(self.concepts)

    def __iter__(self) -> Iterator[Concept]:
        return iter(self.concepts)

    def get(self, concept_id: str) -> Concept:
        """One concept. Raises NotFound with the nearest names."""
        if (concept := self.by_id.get(concept_id)) is not None:
            return concept
        near = ", ".join(c.id for c in self.search(concept_id, limit=3))
        hint = f"; near it: {near}" if near else ""
        raise NotFound(f"pack {self.header.name} has no concept {concept_id!r}{hint}", code="unknown_concept")

    def search(self, query: str, *, limit: int = 20) -> list[Concept]:
        """Concepts whose id, name or aliases hold the query, best match first; then those whose definition does."""
        return search(self.concepts, query, limit=limit)


def search(concepts: Sequence[Concept], query: str, *, limit: int = 20) -> list[Concept]:
    """Rank by where the query is found: the whole name, its beginning, within it, an alias, the definition."""
    needle = query.strip().casefold().replace("_", " ")

    def rank(concept: Concept) -> int | None:
        names = [concept.name.casefold(), concept.id.casefold().replace("_", " ")]
        if needle in names:
            return 0
        if any(name.startswith(needle) for name in names):
            return 1
        if any(needle in name for name in names):
            return 2
        if any(needle in alias.casefold() for alias in concept.aliases):
            return 3
        if needle in concept.definition.casefold():
            return 4
        return None

    ranked = [(place, i) for i, concept in enumerate(concepts) if (place := rank(concept)) is not None]
    return [concepts[i] for _, i in sorted(ranked)[:limit]]


def packs_folders() -> list[Path]:
    """Where the packs that come with hatcat lie: in the installed package, or at the top of a checkout."""
    package = Path(str(files("hatcat")))
    return [p for p in (package / "packs", package.parents[1] / "packs") if p.is_dir()]


def find(name: str, folders: Sequence[Path] = ()) -> Path:
    """The folder of a pack given by name or path. Raises NotFound listing what there is."""
    path = Path(name)
    try:
        there = (path / "pack.json").is_file()
    except OSError:  # longer than a name may be
        there = False
    if len(path.parts) > 1 or there:
        if not there:
            raise NotFound(f"{path} is no concept pack: it has no pack.json", code="unknown_pack")
        return path
    if not _NAME.match(name):
        raise PackError(f"{name!r} is no pack name: use lower-case letters, digits, '.', '_' and '-'")
    for folder in [*folders, *packs_folders()]:
        if (folder / name / "pack.json").is_file():
            return folder / name
    raise NotFound(
        f"there is no concept pack {name!r}; known: {', '.join(available(folders)) or 'none'}", code="unknown_pack"
    )


def available(folders: Sequence[Path] = ()) -> list[str]:
    """Names of the packs at hand."""
    return sorted({p.parent.name for folder in [*folders, *packs_folders()] for p in folder.glob("*/pack.json")})


def _read_header(path: Path) -> PackHeader:
    try:
        header = PackHeader.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise PackError(f"{path}: no such file") from error
    except OSError as error:
        raise PackError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise PackError(f"{path}: {_first(error)}") from error
    if not _NAME.match(header.name):
        raise PackError(f"{path}: name: {header.name!r} may hold only lower-case letters, digits, '.', '_' and '-'")
    return header


def _read_lines(path: Path) -> list[tuple[int, Concept]]:
    found: list[tuple[int, Concept]] = []
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise PackError(f"{path}, line {number}: longer than {MAX_LINE_BYTES} bytes")
                if line.strip():
                    found.append((number, _read_concept(line, f"{path}, line {number}")))
    except FileNotFoundError as error:
        raise PackError(f"{path}: no such file") from error
    except OSError as error:
        raise PackError(f"{path}: {error.strerror}") from error
    return found


def _read_concept(line: bytes, where: str) -> Concept:
    try:
        concept = Concept.model_validate(json.loads(line))
    except (ValueError, RecursionError) as error:
        reason = _first(error) if isinstance(error, ValidationError) else f"invalid JSON: {error}"
        raise PackError(f"{where}: {reason}") from error
    if not concept.definition.strip():
        raise PackError(f"{where}: definition: empty")
    return concept


def _check_graph(lines: Sequence[tuple[int, Concept]], path: Path) -> None:
    number_of: dict[str, int] = {}
    for number, concept in lines:
        if concept.id in number_of:
            raise PackError(
                f"{path}, line {number}: id {concept.id!r} was given on line {number_of[concept.id]} already"
            )
        number_of[concept.id] = number
    for number, concept in lines:
        for parent in concept.parents:
            if parent not in number_of:
                raise PackError(f"{path}, line {number}: {concept.id!r} names a parent {parent!r} that the pack lacks")
    graph: dict[str, Any] = {concept.id: concept.parents for _, concept in lines}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring = list(reversed(error.args[1]))
        raise PackError(
            f"{path}, line {number_of[ring[0]]}: the hierarchy runs in a circle: {' → '.join(ring)}"
        ) from error


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in detail["loc"])
    return f"{field}: {detail['msg']}" if field else str(detail["msg"])
