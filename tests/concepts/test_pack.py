"""Concept packs: the authored one is sound, and every fault of a pack is named with its file and line."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatcat.concepts import pack as concepts
from hatcat.concepts.pack import MAX_LINE_BYTES, Concept, ConceptPack
from hatcat.errors import NotFound, PackError

HEADER = {"name": "tiny", "version": "1", "licence": "CC0-1.0", "source": "authored"}


def entry(identity: str, *parents: str, **others: Any) -> dict[str, Any]:
    """A concept as a line gives it."""
    plain = {"id": identity, "name": identity, "parents": list(parents), "domain": "d", "definition": f"{identity}!"}
    return plain | others


def write(folder: Path, *lines: dict[str, Any] | str, header: Any = HEADER) -> Path:
    """A pack of these lines; a string is written as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pack.json").write_text(header if isinstance(header, str) else json.dumps(header))
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "concepts.jsonl").write_text("".join(text + "\n" for text in texts))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(PackError) as caught:
        ConceptPack.load(folder)
    assert caught.value.exit_code == 2
    return caught.value.message


# --- the authored pack ----------------------------------------------------------------------------------------------


def test_core_is_large_enough(core: ConceptPack) -> None:
    assert len(core) >= 150
    assert sum("safety" in concept.tags for concept in core) >= 20


def test_core_describes_every_concept(core: ConceptPack) -> None:
    for concept in core:
        assert len(concept.examples) >= 6, concept.id
        assert len(concept.contrasts) >= 4, concept.id
        assert len(concept.definition) >= 20, concept.id
        assert concept.aliases, concept.id


def test_core_gives_no_text_twice(core: ConceptPack) -> None:
    """A text that is an example of two concepts, or example and contrast, would leak between train and test."""
    seen: dict[str, str] = {}
    for concept in core:
        for text in (*concept.examples, *concept.contrasts):
            key = " ".join(text.split()).casefold()
            assert key not in seen, f"{concept.id} and {seen[key]} share {text!r}"
            seen[key] = concept.id


def test_core_is_a_hierarchy(core: ConceptPack) -> None:
    roots = [concept for concept in core if not concept.parents]
    assert 2 <= len(roots) <= len(core) / 4


# --- faults ---------------------------------------------------------------------------------------------------------

A, B = entry("a"), entry("b")
FAULTS: dict[str, tuple[tuple[dict[str, Any] | str, ...], str]] = {
    "a cycle": ((A, entry("b", "d"), entry("c", "b"), entry("d", "c")), r"line [234]: .* circle: (. → ){3}."),
    "its own parent": ((A, entry("b", "b")), "line 2: the hierarchy runs in a circle: b → b"),
    "a missing parent": ((A, entry("b", "a", "z")), "line 2: 'b' names a parent 'z' that the pack lacks"),
    "a duplicate id": ((A, B, entry("a")), "line 3: id 'a' was given on line 1 already"),
    "bad JSON": ((A, '{"id": "b", ', B), "line 2: invalid JSON: "),
    "JSON that is no object": ((A, "[1, 2]"), "line 2: "),
    "deep JSON": ((A, "[" * 100_000), "line 2: invalid JSON: "),
    "an empty definition": ((A, entry("b", definition="")), "line 2: definition: "),
    "a blank definition": ((A, entry("b", definition=" \t")), "line 2: definition: empty"),
    "no definition": ((A, {"id": "b", "name": "b", "domain": "d"}), "line 2: definition: Field required"),
    "an unknown key": ((A, entry("b", exmples=[])), "line 2: exmples: "),
    "a text for a list": ((A, entry("b", examples="one")), "line 2: examples: "),
    "a number for a text": ((A, entry("b", examples=["one", 2])), r"line 2: examples\.1: "),
    "an id with a slash": ((A, entry("../b")), "line 2: id: "),
    "an id with a backslash": ((A, entry("..\\b")), "line 2: id: "),
    "an id with a space": ((A, entry("b c")), "line 2: id: "),
    "an id with a line break": ((A, entry("b\n")), "line 2: id: "),
    "an empty id": ((A, entry("")), "line 2: id: "),
    "a lone surrogate": ((A, '{"id":"b","name":"b","domain":"d","definition":"\\ud800"}'), "line 2: definition: "),
    "after blank lines": ((A, "", "  ", entry("b", "z")), "line 4: 'b' names a parent 'z'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_file_and_line(tmp_path: Path, fault: str) -> None:
    lines, message = FAULTS[fault]
    folder = write(tmp_path / "tiny", *lines)
    text = refusal(folder)
    assert text.startswith(f"{folder / 'concepts.jsonl'}, ")
    assert re.search(message, text), text


def test_cut_utf8_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "tiny", A)
    with (folder / "concepts.jsonl").open("ab") as file:
        file.write(json.dumps(entry("b", aliases=["é"]), ensure_ascii=False).encode().replace(b"\xa9", b"") + b"\n")
    assert "line 2: invalid JSON" in refusal(folder)


def test_a_line_of_100_megabytes_is_refused_without_reading_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "tiny", A)
    with (folder / "concepts.jsonl").open("ab") as file:
        file.write(b'{"id": "')
        file.truncate(100_000_000)  # sparse: zeros to the end, no line break
    tracemalloc.start()
    try:
        assert f"line 2: longer than {MAX_LINE_BYTES} bytes" in refusal(folder)
        assert tracemalloc.get_traced_memory()[1] < 10 * MAX_LINE_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/etc", "A", "", "a b", "x" * 65, ".hidden", "a\n"])
def test_a_packs_name_is_no_path(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "tiny", A, header={**HEADER, "name": name})
    assert refusal(folder).startswith(f"{folder / 'pack.json'}: name: ")


@pytest.mark.parametrize("header", ["", "{", "[]", '{"name": "tiny"}', json.dumps({**HEADER, "more": 1})])
def test_a_broken_header_is_named(tmp_path: Path, header: str) -> None:
    folder = write(tmp_path / "tiny", A, header=header)
    assert refusal(folder).startswith(f"{folder / 'pack.json'}: ")


@pytest.mark.parametrize("name", ["pack.json", "concepts.jsonl"])
@pytest.mark.parametrize("break_it", [Path.unlink, lambda path: (path.unlink(), path.mkdir())], ids=["gone", "folder"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, break_it: Callable[[Path], object]) -> None:
    folder = write(tmp_path / "tiny", A)
    break_it(folder / name)
    assert refusal(folder).startswith(f"{folder / name}: ")


def test_a_pack_without_concepts_is_refused(tmp_path: Path) -> None:
    assert "holds no concept" in refusal(write(tmp_path / "tiny"))


# --- hierarchies ----------------------------------------------------------------------------------------------------


@st.composite
def hierarchies(draw: st.DrawFn) -> list[list[int]]:
    """Parents of each concept, all of lower number: no cycle is possible."""
    size = draw(st.integers(2, 12))
    return [draw(st.lists(st.integers(0, i - 1), max_size=3, unique=True)) if i else [] for i in range(size)]


@given(hierarchies(), st.randoms(use_true_random=False))
def test_any_acyclic_hierarchy_loads_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, parents: list[list[int]], random: Any
) -> None:
    lines = [entry(f"c{i}", *(f"c{p}" for p in above)) for i, above in enumerate(parents)]
    random.shuffle(lines)
    pack = ConceptPack.load(write(tmp_path_factory.mktemp("dag") / "tiny", *lines))
    assert [c.id for c in pack] == [line["id"] for line in lines]
    assert {c.id: c.parents for c in pack} == {line["id"]: tuple(line["parents"]) for line in lines}


@given(hierarchies(), st.data())
def test_an_edge_back_from_an_ancestor_is_a_cycle(
    tmp_path_factory: pytest.TempPathFactory, parents: list[list[int]], data: st.DataObject
) -> None:
    child = data.draw(st.integers(1, len(parents) - 1))
    parents[child] = parents[child] or [0]
    ancestor = child
    while parents[ancestor]:  # the root above
        ancestor = parents[ancestor][0]
    parents[ancestor] = [child]
    lines = [entry(f"c{i}", *(f"c{p}" for p in above)) for i, above in enumerate(parents)]
    folder = write(tmp_path_factory.mktemp("cycle") / "tiny", *lines)
    message = refusal(folder)
    ring = message.rpartition("circle: ")[2].split(" → ")
    assert ring[0] == ring[-1]
    assert f"line {int(ring[0][1:]) + 1}:" in message
    edges = {(f"c{i}", f"c{p}") for i, above in enumerate(parents) for p in above}
    steps = set(pairwise(ring))
    assert steps <= edges or {(b, a) for a, b in steps} <= edges


# --- search and find ------------------------------------------------------------------------------------------------


@pytest.fixture
def pack(tmp_path: Path) -> ConceptPack:
    return ConceptPack.load(
        write(
            tmp_path / "tiny",
            entry("vessel", definition="A thing such as a bank holds."),
            entry("embankment", aliases=["Levee"]),
            entry("river_side", aliases=["Bank of a river"]),
            entry("bank.n.01", name="Savings institution"),
            entry("money", name="Bank"),
        )
    )


def test_search_ranks_by_where_the_query_is_found(pack: ConceptPack) -> None:
    found = [c.id for c in pack.search("BANK ")]
    assert found == ["money", "bank.n.01", "embankment", "river_side", "vessel"]
    assert [c.id for c in pack.search("bank", limit=2)] == found[:2]
    assert [c.id for c in pack.search("levee")] == ["embankment"]
    assert [c.id for c in pack.search("river side")] == ["river_side"]
    assert pack.search("zebra") == []


def test_get_names_what_is_near(pack: ConceptPack) -> None:
    assert pack.get("money").name == "Bank"
    with pytest.raises(NotFound, match=r"pack tiny has no concept 'bank'; near it: money, bank\.n\.01, embankment"):
        pack.get("bank")
    with pytest.raises(NotFound, match=r"has no concept 'zebra'$"):
        pack.get("zebra")


def test_concepts_cannot_be_changed(pack: ConceptPack) -> None:
    with pytest.raises(ValueError, match="frozen"):
        pack.get("money").name = "x"  # type: ignore[misc]


def test_find_by_name_and_by_path(tmp_path: Path) -> None:
    mine = write(tmp_path / "mine" / "tiny", A)
    assert concepts.find("tiny", [tmp_path / "mine"]) == mine
    assert concepts.find(str(mine)) == mine
    assert "core" in concepts.available()
    assert concepts.available([tmp_path / "mine"]) == sorted([*concepts.available(), "tiny"])


def test_ones_own_folder_goes_before_what_ships(tmp_path: Path) -> None:
    mine = write(tmp_path / "core", A, header={**HEADER, "name": "core"})
    assert concepts.find("core", [tmp_path]) == mine
    assert concepts.find("core") != mine


@pytest.mark.parametrize("name", ["no-such-pack", "no/such/pack", "../..", "x" * 64])
def test_an_unknown_pack_is_not_found(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        concepts.find(name, [tmp_path])
    assert caught.value.code == "unknown_pack"
    if "/" not in name:
        assert "known: " in caught.value.message and "core" in caught.value.message


@pytest.mark.parametrize("name", ["..", "UPPER", "a b", "", "x" * 300, "a\0", "~"])
def test_what_is_no_pack_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PackError, match="is no pack name"):
        concepts.find(name, [tmp_path])


@given(st.text(max_size=30))
def test_search_takes_any_text(query: str) -> None:
    things = [Concept.model_validate(entry(name)) for name in ("a", "bb", "a_b")]
    found = concepts.search(things, query)
    assert len({c.id for c in found}) == len(found)
