"""Training: the closed form is the textbook one, and a training that is interrupted ends the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hatcat.concepts.pack import ConceptPack
from hatcat.engines.llama import LlamaEngine
from hatcat.lenses.calibrate import Benign
from hatcat.lenses.corpus import Corpus
from hatcat.lenses.pack import LensPack
from hatcat.lenses.report import auroc
from hatcat.lenses.train import SHRINKAGE, Progress, Training, cross_validate, fit, fit_layer, tap_layers
from tests.lenses.synthetic import concept_pack

CLASSES, WIDTH = 6, 24
FLAT = np.zeros((CLASSES, CLASSES), dtype=bool)  # nothing is a kind of anything


class World:
    """Classes that differ in their mean, under one noise that is far from round; contrasts are noise alone."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.directions = self.rng.standard_normal((CLASSES, WIDTH))
        stretch = np.exp(self.rng.normal(0, 1.5, WIDTH))
        self.noise = np.linalg.qr(self.rng.standard_normal((WIDTH, WIDTH)))[0] * stretch

    def draw(self, n: int) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.bool_]]:
        """``n`` positives and ``n`` contrasts of every class: states, class, whether positive."""
        concept = np.repeat(np.arange(CLASSES), 2 * n)
        positive = np.tile(np.repeat([True, False], n), CLASSES)
        x = self.rng.standard_normal((len(concept), WIDTH)) @ self.noise.T + 5
        return (x + self.directions[concept] * positive[:, None]).astype(np.float32), concept, positive


def textbook(x: NDArray[np.float64], concept: NDArray[np.intp], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Shrunk linear discriminants, written down another way: explicit loops and an inverse."""
    overall = x.mean(axis=0)
    means = [x[(concept == c) & positive].mean(axis=0) for c in range(CLASSES)]
    covariance = np.zeros((WIDTH, WIDTH))
    for row, c, is_positive in zip(x, concept, positive, strict=True):
        off = row - (means[c] if is_positive else overall)
        covariance += np.outer(off, off) / len(x)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.mean(np.diag(covariance)) * np.eye(WIDTH)
    rows = np.stack([np.linalg.inv(shrunk) @ (mean - overall) for mean in means])
    return rows / np.std(x @ rows.T, axis=0)[:, None]


def test_the_closed_form_equals_the_textbooks() -> None:
    x, concept, positive = World().draw(30)
    rows, bias = fit_layer(x, concept, positive, FLAT)
    np.testing.assert_allclose(rows, textbook(x.astype(np.float64), concept, positive), rtol=1e-4, atol=1e-6)
    scores = x @ rows.T + bias
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(scores.std(axis=0), 1, atol=1e-3)


def test_it_tells_held_out_members_from_contrasts() -> None:
    world = World()
    rows, bias = fit_layer(*world.draw(100), FLAT)
    x, concept, positive = world.draw(300)
    scores = x @ rows.T + bias
    for c in range(CLASSES):
        own = concept == c
        assert auroc(scores[own & positive, c], scores[own & ~positive, c]) > 0.95


def test_whitening_beats_the_plain_difference_of_means() -> None:
    world = World()
    x, concept, positive = world.draw(100)
    whitened, _ = fit_layer(x, concept, positive, FLAT)
    plain = np.stack([x[positive & (concept == c)].mean(axis=0) - x.mean(axis=0) for c in range(CLASSES)])
    x, concept, positive = world.draw(300)

    def mean_auroc(rows: NDArray[np.float32]) -> float:
        own = [concept == c for c in range(CLASSES)]
        return float(np.mean([
            auroc((x @ rows[c])[own[c] & positive], (x @ rows[c])[own[c] & ~positive]) for c in range(CLASSES)
        ]))  # fmt: skip

    assert mean_auroc(whitened) > mean_auroc(plain) + 0.05


def test_a_general_concept_means_half_its_own_and_half_its_kinds() -> None:
    """A parent whose examples are like nothing else still recognises its kinds, and they are not changed by it."""
    world = World()
    x, concept, positive = world.draw(100)
    below = FLAT.copy()
    below[0, [1, 2]] = True
    rows, _ = fit_layer(x, concept, positive, below)
    alone, _ = fit_layer(x, concept, positive, FLAT)
    np.testing.assert_array_equal(rows[1:], alone[1:])
    x, concept, positive = world.draw(300)
    scores, without = x @ rows[0], x @ alone[0]
    kinds = positive & ((concept == 1) | (concept == 2))
    others = positive & (concept > 2)
    own = positive & (concept == 0)
    assert auroc(scores[kinds], scores[others]) > auroc(without[kinds], without[others]) + 0.15
    assert auroc(scores[own], scores[others]) > 0.9


def test_fit_takes_every_layer_by_itself_and_only_the_texts_it_may() -> None:
    corpus = Corpus.of(concept_pack())
    means = np.random.default_rng(0).standard_normal((24, 3, 10)).astype(np.float32)
    use = corpus.fold != 0
    rows, bias = fit(means, corpus, use)
    assert (rows.shape, bias.shape) == ((3, 4, 10), (3, 4))
    means[~use] = 1e6  # what was not to be used does not count
    again, _ = fit(means, corpus, use)
    np.testing.assert_array_equal(again, rows)
    alone, _ = fit_layer(means[use, 1], corpus.concept[use], corpus.positive[use], corpus.below)
    np.testing.assert_array_equal(alone, rows[1])


def test_held_out_scores_know_nothing_of_the_text_they_are_for() -> None:
    """On pure noise, lenses scored on their own training texts look good; held out they are at chance."""
    rng = np.random.default_rng(0)
    texts = [f"w{i} w{i + 1}" for i in range(400)]
    corpus = Corpus(
        texts, np.repeat(np.arange(4), 100), np.tile(np.repeat([True, False], 50), 4), np.arange(400) % 5,
        np.eye(4, dtype=bool),
    )  # fmt: skip
    means = rng.standard_normal((400, 2, 60)).astype(np.float32)
    held_out, _ = cross_validate(means, corpus)
    rows, bias = fit(means, corpus)
    seen = np.einsum("tld,lcd->tc", means, rows) + bias.sum(axis=0)

    def mean_auroc(scores: NDArray[np.float32]) -> float:
        own = [corpus.concept == c for c in range(4)]
        return float(np.mean([auroc(scores[o & corpus.positive, c], scores[o & ~corpus.positive, c])
                              for c, o in enumerate(own)]))  # fmt: skip

    assert mean_auroc(seen) > 0.8
    assert 0.4 < mean_auroc(held_out) < 0.6


@pytest.mark.parametrize("texts", [2, 3, 6])
def test_a_concept_may_have_fewer_texts_than_there_are_folds(texts: int) -> None:
    corpus = Corpus(
        [f"t{i}" for i in range(4 * texts)], np.repeat(np.arange(2), 2 * texts),
        np.tile(np.repeat([True, False], texts), 2), np.tile(np.arange(texts) % 5, 4), np.eye(2, dtype=bool),
    )  # fmt: skip
    scores, control = cross_validate(np.random.default_rng(0).standard_normal((4 * texts, 1, 5)).astype("f4"), corpus)
    assert np.isfinite(scores).all() and np.isfinite(control).all()


@pytest.mark.parametrize("n_layers", range(3, 100))
def test_tap_layers_can_be_read(n_layers: int) -> None:
    taps = tap_layers(n_layers)
    assert all(0 <= layer <= n_layers - 2 for layer in taps)
    assert list(taps) == sorted(set(taps))
    assert len(taps) == 4 or n_layers < 7


# --- the whole way, on the real model -------------------------------------------------------------------------------

BENIGN = Benign(count=4, answer_tokens=6)


def train(engine: LlamaEngine, work: Path, pack: ConceptPack) -> tuple[LensPack, list[Progress]]:
    training = Training(engine, pack, work, benign=BENIGN)
    progress = list(training.run())
    assert training.result is not None
    return training.result, progress


def assert_same(a: LensPack, b: LensPack) -> None:
    """All but how long it took."""
    for name in ("rows", "bias", "text_rows", "text_bias"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    (first,), (second,) = a.calibrations.values(), b.calibrations.values()
    for name in ("activation", "text", "gaps", "blocks"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    skip = {"trained", "runtimes"}
    assert a.header.model_dump(exclude=skip) == b.header.model_dump(exclude=skip)


@pytest.fixture(scope="module")
def trained(engine: LlamaEngine, tmp_path_factory: pytest.TempPathFactory) -> tuple[LensPack, list[Progress]]:
    """A training that nothing interrupted."""
    return train(engine, tmp_path_factory.mktemp("whole"), concept_pack())


@pytest.mark.slow
def test_a_training_tells_how_far_it_is(trained: tuple[LensPack, list[Progress]]) -> None:
    _, progress = trained
    stages = list(dict.fromkeys(p.stage for p in progress))
    assert stages == ["reading texts", "fitting", "calibrating on benign answers"]
    for stage, total in (("reading texts", 24), ("calibrating on benign answers", 4)):
        own = [p for p in progress if p.stage == stage]
        assert [p.done for p in own] == list(range(1, total + 1))
        assert {p.total for p in own} == {total}
        assert all(p.eta_seconds is not None and p.eta_seconds >= 0 for p in own)
    assert progress[-1].eta_seconds == 0


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", [1, 13, 24, 25, 27])
def test_an_interrupted_training_ends_the_same(
    engine: LlamaEngine, trained: tuple[LensPack, list[Progress]], tmp_path: Path, killed_after: int
) -> None:
    run = Training(engine, concept_pack(), tmp_path, benign=BENIGN).run()
    for _ in range(killed_after):
        next(run)
    run.close()
    for file in tmp_path.rglob("*.*"):  # a kill may leave a piece of what was being written
        with file.open("ab") as out:
            out.write(b"[1, 2" if file.suffix == ".jsonl" else b"\xff" * 5)
    lenses, progress = train(engine, tmp_path, concept_pack())
    assert sum(p.stage == "reading texts" for p in progress) == max(24 - killed_after, 0)
    assert_same(lenses, trained[0])


@pytest.mark.slow
def test_a_trained_pack_survives_its_files(
    engine: LlamaEngine, trained: tuple[LensPack, list[Progress]], tmp_path: Path
) -> None:
    lenses, _ = trained
    lenses.save(tmp_path)
    loaded = LensPack.load(tmp_path, source=engine.info.source)
    assert loaded.header == lenses.header
    ids = [*engine.lead, *engine.tokenize("The choir sang and the soldiers stormed the reef.")]
    states = engine.read(ids, lenses.header.layers)[1:]
    np.testing.assert_allclose(loaded.score(states), lenses.score(states), atol=0.01)  # rows are kept as float16


@pytest.mark.slow
def test_a_pack_whose_concepts_are_all_related_trains_and_loads(engine: LlamaEngine, tmp_path: Path) -> None:
    lenses, _ = train(engine, tmp_path / "work", concept_pack(related=True))
    lenses.save(tmp_path / "pack")
    assert [card.auroc_random for card in LensPack.load(tmp_path / "pack").header.cards] == [None] * 4
