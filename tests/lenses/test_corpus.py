"""The corpus and its rows on disk: a reading that is killed goes on where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hatcat.concepts.pack import ConceptPack
from hatcat.engines.llama import LlamaEngine
from hatcat.errors import PackError
from hatcat.lenses.corpus import Corpus, Rows, collect
from tests.lenses.synthetic import concept_pack

LAYERS = (-1, 6, 18)


def test_a_corpus_holds_every_text_once_in_order() -> None:
    pack = concept_pack()
    corpus = Corpus.of(pack)
    for i, concept in enumerate(pack):
        own = [t for t, c, p in zip(corpus.texts, corpus.concept, corpus.positive, strict=True) if c == i and p]
        assert tuple(own) == concept.examples
        other = [t for t, c, p in zip(corpus.texts, corpus.concept, corpus.positive, strict=True) if c == i and not p]
        assert tuple(other) == concept.contrasts
    assert len(corpus.texts) == 24


def test_folds_split_the_texts_of_every_concept(core: ConceptPack) -> None:
    corpus = Corpus.of(core)
    for concept in range(0, len(core), 20):
        for positive in (True, False):
            folds = corpus.fold[(corpus.concept == concept) & (corpus.positive == positive)]
            counts = np.bincount(folds, minlength=Corpus.FOLDS)
            assert counts.max() - counts.min() <= 1


def test_a_limit_takes_the_first_texts() -> None:
    corpus = Corpus.of(concept_pack(), limit=2)
    assert len(corpus.texts) == 16
    assert corpus.texts[:2] == list(concept_pack().concepts[0].examples[:2])
    assert corpus.key() != Corpus.of(concept_pack()).key()


def test_concepts_in_one_line_of_descent_are_related() -> None:
    assert Corpus.of(concept_pack(related=True)).related.all()
    np.testing.assert_array_equal(Corpus.of(concept_pack()).related, np.eye(4, dtype=bool))


def test_siblings_are_not_related(core: ConceptPack) -> None:
    corpus = Corpus.of(core)
    place = {concept.id: i for i, concept in enumerate(core)}
    child = next(c for c in core if c.parents and sum(c.parents == d.parents for d in core) > 1)
    sibling = next(d for d in core if d.parents == child.parents and d is not child and child.id not in d.parents)
    parent = child.parents[0]
    assert corpus.related[place[child.id], place[parent]] and corpus.related[place[parent], place[child.id]]
    assert not corpus.related[place[child.id], place[sibling.id]]


def test_a_concept_with_too_few_texts_is_named() -> None:
    pack = concept_pack()
    poor = pack.concepts[1].model_copy(update={"contrasts": ("Only one.",)})
    with pytest.raises(PackError, match="'war' needs at least 2 examples and 2 contrasts"):
        Corpus.of(ConceptPack(pack.header, (pack.concepts[0], poor)))


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "deep" / "rows.f32", 3)
    data = np.arange(12, dtype=np.float32).reshape(4, 3)
    rows.append(data[0])
    rows.append(data[1:])
    assert rows.count == 4
    np.testing.assert_array_equal(rows.load(), data)
    np.testing.assert_array_equal(Rows(tmp_path / "deep" / "rows.f32", 3).load(), data)


@pytest.mark.parametrize("left_over", [1, 4, 11])
def test_a_half_written_row_is_cut_off(tmp_path: Path, left_over: int) -> None:
    path = tmp_path / "rows.f32"
    Rows(path, 3).append(np.ones((2, 3), np.float32))
    with path.open("ab") as file:
        file.write(b"\xff" * left_over)
    rows = Rows(path, 3)
    assert rows.count == 2
    rows.append(np.full((1, 3), 7, np.float32))
    np.testing.assert_array_equal(rows.load(), [[1, 1, 1], [1, 1, 1], [7, 7, 7]])


def test_a_row_is_the_mean_state_of_a_texts_own_tokens(engine: LlamaEngine, tmp_path: Path) -> None:
    corpus = Corpus.of(concept_pack(), limit=2)
    rows = Rows(tmp_path / "rows.f32", len(LAYERS) * 576)
    reading = collect(engine, corpus, LAYERS, rows)
    assert next(reading) == 1
    ids = engine.tokenize(corpus.texts[0], bos=False)
    states = engine.read([*engine.lead, *ids], LAYERS)[1:]
    assert len(states) == len(ids)
    np.testing.assert_array_equal(rows.load()[0].reshape(len(LAYERS), 576), states.mean(axis=0))


def test_an_interrupted_reading_goes_on_where_it_was(engine: LlamaEngine, tmp_path: Path) -> None:
    corpus = Corpus.of(concept_pack(), limit=2)
    width = len(LAYERS) * 576
    whole = Rows(tmp_path / "whole.f32", width)
    assert list(collect(engine, corpus, LAYERS, whole)) == list(range(1, 17))

    reading = collect(engine, corpus, LAYERS, Rows(tmp_path / "cut.f32", width))
    for _ in range(5):
        next(reading)
    reading.close()
    with (tmp_path / "cut.f32").open("ab") as file:  # killed while it wrote
        file.write(bytes(4 * width // 2))
    resumed = Rows(tmp_path / "cut.f32", width)
    assert list(collect(engine, corpus, LAYERS, resumed)) == list(range(6, 17))
    np.testing.assert_array_equal(resumed.load(), whole.load())


def test_a_text_without_tokens_is_named(engine: LlamaEngine, tmp_path: Path) -> None:
    pack = concept_pack()
    empty = pack.concepts[0].model_copy(update={"examples": ("", "x")})
    corpus = Corpus.of(ConceptPack(pack.header, (empty,)))
    with pytest.raises(PackError, match="this text has no tokens: ''"):
        list(collect(engine, corpus, LAYERS, Rows(tmp_path / "rows.f32", len(LAYERS) * 576)))
