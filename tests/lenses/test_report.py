"""Report cards: AUROC is the naive one, and the text control tells words apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatcat.lenses.corpus import Corpus
from hatcat.lenses.report import TextControl, auroc, bootstrap_mean, cards
from tests.lenses.synthetic import concept_pack

scores = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30)  # few values, many ties


@given(scores, scores)
def test_auroc_equals_the_pairwise_one(positive: list[float], negative: list[float]) -> None:
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    assert auroc(np.array(positive), np.array(negative)) == pytest.approx(wins / (len(positive) * len(negative)))


@given(scores, scores)
def test_auroc_of_the_other_side_is_the_rest(a: list[float], b: list[float]) -> None:
    assert auroc(np.array(a), np.array(b)) + auroc(np.array(b), np.array(a)) == pytest.approx(1)


def test_auroc_of_nothing_is_not_a_number() -> None:
    assert math.isnan(auroc(np.array([]), np.array([1.0])))
    assert math.isnan(auroc(np.array([1.0]), np.array([])))


def test_the_bootstrap_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for i in range(200):
        low, high = bootstrap_mean(rng.normal(3, 1, 40).tolist(), draws=400, seed=i)
        hits += low <= 3 <= high
    assert 0.88 <= hits / 200 <= 0.99
    assert bootstrap_mean([1.0, 2.0, 3.0]) == bootstrap_mean([1.0, 2.0, 3.0])


def test_the_text_control_knows_the_words_of_its_classes() -> None:
    corpus = Corpus.of(concept_pack())
    control = TextControl(corpus.texts, corpus.concept, corpus.positive, 4)
    assert int(control.score("The choir baked no bread, it sang a hymn on the violin.").argmax()) == 2
    assert int(control.score("Tanks and soldiers, an army").argmax()) == 1
    np.testing.assert_array_equal(control.score("zzz qqq"), 0)
    np.testing.assert_array_equal(control.score(""), 0)


def test_the_text_control_does_not_see_case_or_length() -> None:
    corpus = Corpus.of(concept_pack())
    control = TextControl(corpus.texts, corpus.concept, corpus.positive, 4)
    np.testing.assert_allclose(control.score("BREAD"), control.score("bread"))
    assert np.linalg.norm(control.score("bread " * 50)) < 3 * np.linalg.norm(control.score("bread"))


def test_cards_compare_examples_with_contrasts_and_with_the_unrelated() -> None:
    corpus = Corpus.of(concept_pack())
    perfect = np.where((corpus.concept[:, None] == np.arange(4)) & corpus.positive[:, None], 1.0, 0.0)
    blind = np.zeros_like(perfect)
    for card in cards(corpus, perfect.astype(np.float32), blind.astype(np.float32)):
        assert (card.auroc, card.auroc_random, card.text_control) == (1, 1, 0.5)
        assert (card.n_positive, card.n_negative) == (3, 3)


def test_a_concept_that_all_others_are_related_to_has_no_unrelated_texts() -> None:
    corpus = Corpus.of(concept_pack(related=True))
    zeros = np.zeros((len(corpus.texts), 4), np.float32)
    assert [card.auroc_random for card in cards(corpus, zeros, zeros)] == [None] * 4
