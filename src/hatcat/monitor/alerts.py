"""When a divergence becomes an alert."""

from __future__ import annotations

from dataclasses import dataclass

from hatcat.monitor.divergence import Peak

# One benign answer in a hundred may raise an alert: the promised false-alarm rate of this version.
ALERT_P = 0.01


@dataclass(slots=True)
class Alert:
    concept: int
    first_token: int
    p: float


class AlertLog:
    """Alerts of one answer, one per concept, kept at the smallest p seen."""

    def __init__(self, threshold: float = ALERT_P) -> None:
        self._threshold = threshold
        self._alerts: dict[int, Alert] = {}
        self._news = False

    def update(self, peak: Peak | None) -> None:
        """Take the answer's current peak."""
        if peak is None or peak.p > self._threshold:
            return
        known = self._alerts.get(peak.concept)
        if known is not None:
            known.p = min(known.p, peak.p)
        else:
            self._alerts[peak.concept] = Alert(peak.concept, peak.token, peak.p)
            self._news = True

    def take_news(self) -> bool:
        """Whether an alert was raised since this was asked last."""
        news, self._news = self._news, False
        return news

    @property
    def alerts(self) -> list[Alert]:
        return sorted(self._alerts.values(), key=lambda alert: alert.p)
