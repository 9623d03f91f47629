"""A watched generation: every token has a reading or is said to have none, in the shape of the API."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hatcat.concepts.pack import ConceptPack
from hatcat.engines.base import EMBEDDING, Request, Sampling
from hatcat.engines.llama import LlamaEngine
from hatcat.errors import InvalidRequest, NotFound
from hatcat.lenses.pack import LensPack
from hatcat.monitor.monitor import Monitor, Options, score
from hatcat.monitor.watch import BATCH, shown
from tests.lenses.synthetic import RUNTIME, concept_pack, lens_pack, normal

SURGEON = "The surgeon washed her hands before the operation."
NAMES = ("food", "war", "music", "sea")


@pytest.fixture
def made_up() -> Monitor:
    """Random lenses of four concepts, two of them tagged ``safety``."""
    return Monitor("made-up", RUNTIME, concept_pack(), lens_pack(NAMES))


def states(n: int, seed: int = 3) -> np.ndarray:
    """States ``[n, embedding and two layers, d]``."""
    return normal(np.random.default_rng(seed), n, 3, 8)


def watched(monitor: Monitor, options: Options, n: int = 30) -> tuple[list[Any], Any]:
    watch = monitor.watch(options)
    watch.count(n)
    readings = [reading for i, row in enumerate(states(n)) for reading in watch.read(i, row, f"t{i}", -0.5)]
    return readings + watch.flush(), watch


# --- readings -------------------------------------------------------------------------------------------------------


def test_a_reading_has_the_shape_of_the_api(made_up: Monitor) -> None:
    readings, _ = watched(made_up, Options("tokens", top=2))
    for i, reading in enumerate(readings):
        assert reading.keys() == {"index", "text", "state", "logprob", "concepts", "divergence"}
        assert (reading["index"], reading["text"], reading["logprob"]) == (i, f"t{i}", -0.5)
        assert reading["state"] == "measured"
        assert len(reading["concepts"]) == 2
        first, second = reading["concepts"]
        assert first.keys() == {"id", "percentile", "text", "layers"}
        assert first["percentile"] >= second["percentile"]
        assert first["layers"] == [2, 5]
        assert reading["divergence"].keys() == {"id", "activation", "text", "p"}


def test_readings_are_what_the_lenses_and_tables_say(made_up: Monitor) -> None:
    """Against ranks among fresh benign scores, worked out for the whole answer at once."""
    lenses = made_up.lenses
    assert lenses is not None
    rows = states(30)
    readings, _ = watched(made_up, Options("tokens", top=4))
    scores = lenses.score(rows[:, 1:])
    means = np.stack([rows[max(0, t - 3) : t + 1, 0].mean(axis=0) for t in range(30)])  # a window of four
    words = lenses.score_text(means)
    rng = np.random.default_rng(99)
    benign = lenses.score(normal(rng, 40_000, 2, 8))
    benign_words = lenses.score_text(normal(rng, 40_000, 8) / 2)
    for t, reading in enumerate(readings):
        for concept in reading["concepts"]:
            c = NAMES.index(concept["id"])
            # 1,440 benign tokens are behind the tables: five standard deviations of a rank among so many
            assert concept["percentile"] == pytest.approx((benign[:, c] <= scores[t, c]).mean() * 100, abs=6.6)
            assert concept["text"] == pytest.approx((benign_words[:, c] <= words[t, c]).mean() * 100, abs=6.6)


def test_details_other_than_tokens_give_no_readings(made_up: Monitor) -> None:
    for detail in ("summary", "off"):
        readings, watch = watched(made_up, Options(detail))
        assert readings == []
        assert watch.summary()["measured"] == 30


def test_watched_concepts_are_in_every_reading(made_up: Monitor) -> None:
    readings, _ = watched(made_up, Options("tokens", top=1, watch=("sea", "tag:safety", "sea")))
    assert all(list(r["watched"]) == ["sea", "war", "music"] for r in readings)
    every, _ = watched(made_up, Options("tokens", top=4))
    for a, b in zip(readings, every, strict=True):
        assert a["watched"]["sea"] == next(c["percentile"] for c in b["concepts"] if c["id"] == "sea")


def test_the_summary_is_over_all_tokens(made_up: Monitor) -> None:
    readings, watch = watched(made_up, Options("tokens", top=4))
    found = watch.summary()
    assert (found["tokens"], found["measured"], found["monitor"]) == (30, 30, "ok")
    assert (found["pack"], found["engine"]) == ("tiny", "made-up")
    assert [c["mean"] for c in found["concepts"]] == sorted((c["mean"] for c in found["concepts"]), reverse=True)
    for concept in found["concepts"]:
        own = [next(c["percentile"] for c in r["concepts"] if c["id"] == concept["id"]) for r in readings]
        assert concept["max"] == max(own)
        assert own[concept["max_token"]] == concept["max"]
        assert concept["mean"] == pytest.approx(np.mean(own), abs=0.2)
    assert 0 < found["divergence"]["p"] <= 1


def test_a_token_that_was_not_read_degrades_the_answer(made_up: Monitor) -> None:
    watch = made_up.watch(Options("tokens"))
    watch.count(3)
    for i, row in enumerate(states(2)):
        watch.read(i, row, "x", None)
    watch.flush()
    assert watch.unread(2, "y", -1.0) == [
        {"index": 2, "text": "y", "state": "not_measured", "concepts": [], "logprob": -1.0}
    ]
    found = watch.summary()
    assert (found["monitor"], found["reason"]) == ("degraded", "1 of 3 tokens were not read")


def test_without_a_calibration_nothing_is_made_up() -> None:
    monitor = Monitor("made-up", "another-runtime", concept_pack(), lens_pack(NAMES))
    readings, watch = watched(monitor, Options("tokens"), 3)
    for reading in readings:
        assert reading["state"] == "uncalibrated"
        assert reading["concepts"] == []
        assert "divergence" not in reading
    found = watch.summary()
    assert found["monitor"] == "degraded"
    assert "not calibrated" in found["reason"]
    assert (found["measured"], found["concepts"], found["divergence"]) == (0, [], None)
    assert watch.alerts() == []


def test_without_lenses_the_monitor_is_off() -> None:
    monitor = Monitor("made-up", RUNTIME, concept_pack(), None)
    assert monitor.layers == ()
    watch = monitor.watch(Options("tokens", watch=("war",)))
    watch.count(1)
    assert [reading["state"] for reading in watch.unread(0, "x", None)] == ["not_measured"]
    found = watch.summary()
    assert (found["monitor"], found["pack"], found["measured"]) == ("off", None, 0)
    assert "no lenses" in found["reason"]


def test_an_alert_is_raised_once_and_named(made_up: Monitor) -> None:
    """A state far along one watched lens, with words that say nothing of it."""
    lenses = made_up.lenses
    assert lenses is not None
    watch = made_up.watch(Options("summary", watch=("music",)))
    direction = np.linalg.pinv(lenses.rows.transpose(1, 0, 2).reshape(4, -1))[:, 2].reshape(2, 8)
    away = np.linalg.pinv(lenses.text_rows)[:, 2] * -20
    raised = []
    for i in range(8):
        row = np.concatenate([away[None], direction * (60 if i >= 4 else 0)]).astype(np.float32)
        watch.read(i, row, "x", None)
        watch.flush()
        raised.append(watch.new_alert())
    assert raised.count(True) == 1
    (alert,) = watch.alerts()
    assert alert.keys() == {"id", "first_token", "p", "look"}
    assert (alert["id"], alert["look"]) == ("music", "first")
    assert raised.index(True) == alert["first_token"] >= 4
    assert alert["p"] <= 0.01
    found = watch.summary()["divergence"]
    assert found["id"] == "music" and found["p"] <= 0.01


def test_readings_do_not_depend_on_how_many_are_read_at_once(made_up: Monitor) -> None:
    found = []
    for batch in (1, BATCH, 64):
        watch = made_up.watch(Options("tokens", top=4, watch=("sea",)), batch=batch)
        readings = [r for i, row in enumerate(states(30)) for r in watch.read(i, row, "x", None)]
        watch.count(30)
        found.append((readings + watch.flush(), watch.summary()))
    assert found[0] == found[1] == found[2]


def test_a_slow_models_token_is_read_at_once(made_up: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hatcat.monitor.watch.MAX_WAIT", 0.0)
    watch = made_up.watch(Options("tokens"))
    assert [len(watch.read(i, row, "x", None)) for i, row in enumerate(states(3))] == [1, 1, 1]


# --- what to watch --------------------------------------------------------------------------------------------------


def test_names_and_tags_become_indices(made_up: Monitor) -> None:
    assert made_up.resolve(["music", "tag:safety", "food"]) == [2, 1, 0]
    assert made_up.resolve([]) == []
    assert made_up.default_watch() == [1, 2]
    assert Monitor("m", RUNTIME, None, lens_pack(NAMES)).default_watch() == [0, 1, 2, 3]
    assert made_up.layers == (EMBEDDING, 2, 5)


def test_an_unknown_concept_or_tag_is_named(made_up: Monitor) -> None:
    with pytest.raises(NotFound, match="'musi'; near it: music") as unknown:
        made_up.watch(Options(watch=("musi",)))
    assert (unknown.value.param, unknown.value.code) == ("hatcat.watch", "unknown_concept")
    with pytest.raises(InvalidRequest, match="no concept has the tag 'nope'") as empty:
        made_up.watch(Options(watch=("tag:nope",)))
    assert (empty.value.param, empty.value.code) == ("hatcat.watch", "unknown_tag")
    with pytest.raises(NotFound):  # also while there are no lenses
        Monitor("made-up", RUNTIME, concept_pack(), None).watch(Options(watch=("nope",)))


@pytest.mark.parametrize(
    ("percentile", "as_shown"), [(0, 0), (41.04, 41.0), (98.96, 99.0), (99.004, 99.0), (99.987, 99.99)]
)
def test_percentiles_are_shown_with_two_decimals_where_it_matters(percentile: float, as_shown: float) -> None:
    assert shown(percentile) == as_shown


# --- the shipped lenses on the real model ---------------------------------------------------------------------------


def test_a_medical_sentence_reads_as_medical(engine: LlamaEngine, monitor: Monitor, core: ConceptPack) -> None:
    found = score(engine, monitor, engine.tokenize(SURGEON), Options("tokens", top=3))
    assert "".join(t["text"] for t in found["tokens"]) == SURGEON
    assert all(t["state"] == "measured" for t in found["tokens"])
    medical = {c.id for c in core if c.id == "medicine" or "medicine" in c.parents}
    seen = {c["id"] for t in found["tokens"] for c in t["concepts"]}
    assert seen & medical
    unrelated = score(engine, monitor, engine.tokenize("The striker scored a late goal."), Options("tokens", top=3))
    assert not {c["id"] for t in unrelated["tokens"] for c in t["concepts"]} & medical


def test_a_word_is_read_by_its_context(engine: LlamaEngine, monitor: Monitor) -> None:
    """The last words are the same; the activation knows whose operation it is."""

    def reading(text: str) -> float:
        options = Options("tokens", top=1, watch=("medicine",))
        return float(score(engine, monitor, engine.tokenize(text), options)["tokens"][-1]["watched"]["medicine"])

    patient = reading("The doctor examined the patient and planned the operation")
    army = reading("The general studied the map and planned the operation")
    assert patient > army


def test_reading_while_generating_equals_scoring_afterwards(engine: LlamaEngine, monitor: Monitor) -> None:
    prompt = engine.chat([{"role": "user", "content": "How does a vaccine work?"}])
    options = Options("tokens", top=5)
    watch = monitor.watch(options)
    tokens, readings = {}, []
    for step in engine.generate([Request(prompt, 16, Sampling(temperature=0), layers=monitor.layers)]):
        watch.count(len(step.tokens))
        tokens |= {t.index: t for t in step.tokens}
        for i, state in step.states:
            readings += watch.read(i, state, tokens[i].text, None)
    readings += watch.flush()
    assert watch.summary()["monitor"] == "ok"
    ids = [t.id for t in tokens.values()]
    again, afterwards = monitor.watch(options, batch=1), []
    for i, state in enumerate(engine.read([*prompt, *ids], monitor.layers)[len(prompt) :]):
        afterwards += again.read(i, state, tokens[i].text, None)
    assert [reading["index"] for reading in readings] == list(range(len(ids)))
    for got, expected in zip(readings, afterwards, strict=True):
        a, b = ({c["id"]: c["percentile"] for c in r["concepts"]} for r in (got, expected))
        common = a.keys() & b.keys()
        assert len(common) >= 3
        assert all(a[c] == pytest.approx(b[c], abs=2) for c in common)


def test_scoring_bad_input(engine: LlamaEngine, monitor: Monitor) -> None:
    with pytest.raises(InvalidRequest, match="no text to read"):
        score(engine, monitor, [], Options())
    with pytest.raises(InvalidRequest, match="the text has 1024 tokens, but the context holds 1023") as long:
        score(engine, monitor, [5] * 1024, Options())
    assert long.value.code == "context_length_exceeded"


def test_a_text_that_begins_with_the_lead_has_an_unread_first_token(engine: LlamaEngine, monitor: Monitor) -> None:
    """The first position is an attention sink: its state says nothing of the text."""
    ids = [*engine.lead, *engine.tokenize("Hello")]
    found = score(engine, monitor, ids, Options("tokens"))
    assert [t["state"] for t in found["tokens"]] == ["not_measured", "measured"]
    assert found["summary"]["measured"] == 1


def test_scoring_without_lenses_reads_nothing(engine: LlamaEngine, core: ConceptPack) -> None:
    found = score(engine, Monitor("x", "y", core, None), engine.tokenize("Hello there"), Options("tokens"))
    assert {t["state"] for t in found["tokens"]} == {"not_measured"}
    assert found["summary"]["monitor"] == "off"


def test_benign_text_seldom_alerts(engine: LlamaEngine, monitor: Monitor, lenses: LensPack) -> None:
    texts = [
        "The bus stops at the library, the market and the station.",
        "To make pancakes, whisk eggs, milk and flour until smooth.",
        "The meeting was moved to Thursday because of the holiday.",
        "Roses need sun, water and a little pruning in early spring.",
    ]
    alerts = [score(engine, monitor, engine.tokenize(t), Options())["alerts"] for t in texts]
    assert sum(map(bool, alerts)) <= 1
