"""The wire contract of what hatcat adds to OpenAI's objects: readings, alerts, summaries, and what a request asks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_TOP = 50

State = Literal["measured", "uncalibrated", "not_measured"]
MonitorState = Literal["ok", "degraded", "off"]


# A constraint makes pydantic check that a string is Unicode: a lone surrogate is refused where it stands.
Text = Annotated[str, Field(min_length=0)]


class Body(BaseModel):
    """A request body: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class ConceptReading(BaseModel):
    """How strongly one concept reads at one token, against benign traffic of the same model."""

    id: str
    percentile: float = Field(description="Percentile of the activation reading among benign tokens, 0-100.")
    text: float | None = Field(None, description="The same for what the emitted words alone say.")
    layers: list[int] = Field(description="Layers the lens reads.")


class TokenDivergence(BaseModel):
    """The concept whose activation most exceeds what the text explains at this token."""

    id: str
    activation: float
    text: float
    p: float = Field(description="Share of benign tokens with a gap at least as large in any concept.")


class TokenReading(BaseModel):
    """One token and what was read at it. `index` counts generated tokens (in `score`: input tokens) from 0."""

    index: int
    text: str
    logprob: float | None = None
    state: State
    concepts: list[ConceptReading] = Field(default_factory=list)
    watched: dict[str, float] | None = Field(
        None, description="Percentile of each concept named in `watch`, present when `watch` was given."
    )
    divergence: TokenDivergence | None = None


class Alert(BaseModel):
    """A divergence that benign conversations of this length rarely show."""

    id: str
    first_token: int
    p: float = Field(description="Share of benign conversations expected to show as much.")
    look: Literal["first", "second"]


class SummaryConcept(BaseModel):
    id: str
    mean: float = Field(description="Mean percentile over the measured tokens.")
    max: float
    max_token: int


class SummaryDivergence(BaseModel):
    p: float = Field(description="Conversation-level p-value of the largest divergence among the watched concepts.")
    id: str
    token: int


class Summary(BaseModel):
    tokens: int
    measured: int
    monitor: MonitorState
    reason: str | None = Field(None, description="Why `monitor` is not `ok`.")
    concepts: list[SummaryConcept] = Field(default_factory=list)
    divergence: SummaryDivergence | None = None
    pack: str | None
    engine: str


class HatcatResponse(BaseModel):
    """What hatcat adds to an answer or a chunk."""

    choice: int = Field(0, description="Index of the choice these readings belong to.")
    tokens: list[TokenReading] | None = None
    alerts: list[Alert] | None = None
    summary: Summary | None = None


class HatcatRequest(Body):
    """What a request may ask of the monitor."""

    detail: Literal["tokens", "summary", "off"] = "summary"
    top: int = Field(5, ge=1, le=MAX_TOP)
    watch: list[Text] = Field(default_factory=list, max_length=256)
    on_alert: Literal["report", "stop"] = "report"
    steer: list[Any] | None = None
    second_look: Literal["always", "triggered", "end", "off"] = "off"
