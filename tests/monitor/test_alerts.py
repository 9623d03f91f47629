"""When a divergence becomes an alert: once a concept, at the smallest p."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hatcat.monitor.alerts import ALERT_P, AlertLog
from hatcat.monitor.divergence import Peak


def raised(log: AlertLog, peak: Peak | None) -> bool:
    log.update(peak)
    return log.take_news()


def test_an_alert_is_raised_at_the_promised_rate_and_not_above() -> None:
    assert ALERT_P == 0.01
    log = AlertLog()
    assert not raised(log, None)
    assert not raised(log, Peak(3, 7, 0.0101))
    assert log.alerts == []
    assert raised(log, Peak(3, 7, 0.01))


def test_a_concept_alerts_once_and_keeps_its_first_token_and_smallest_p() -> None:
    log = AlertLog()
    assert raised(log, Peak(3, 7, 0.005))
    assert not raised(log, Peak(3, 9, 0.001))
    assert not raised(log, Peak(3, 9, 0.008))
    (alert,) = log.alerts
    assert (alert.concept, alert.first_token, alert.p) == (3, 7, 0.001)


def test_alerts_come_by_p() -> None:
    log = AlertLog()
    for concept, p in ((1, 0.009), (2, 0.0001), (3, 0.004)):
        assert raised(log, Peak(concept, 0, p))
    assert [alert.concept for alert in log.alerts] == [2, 3, 1]


def test_another_threshold() -> None:
    assert raised(AlertLog(0.2), Peak(0, 0, 0.15))


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), max_size=30))
def test_every_concept_below_the_threshold_is_there_once(peaks: list[tuple[int, float]]) -> None:
    log = AlertLog()
    new = [concept for token, (concept, p) in enumerate(peaks) if raised(log, Peak(concept, token, p))]
    smallest = {c: min(p for d, p in peaks if d == c) for c, _ in peaks}
    below = {c for c, p in smallest.items() if p <= ALERT_P}
    assert sorted(new) == sorted(below)
    assert {a.concept: a.p for a in log.alerts} == {c: smallest[c] for c in below}
