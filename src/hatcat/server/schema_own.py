"""The wire contract of hatcat's own routes under /v1/hatcat and of /ready."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from hatcat.server.schema import Message
from hatcat.server.schema_readings import MAX_TOP, Alert, Body, Summary, Text, TokenReading


class ModelInfo(BaseModel):
    id: str
    architecture: str
    layers: int
    width: int
    context: int
    bytes: int
    quantisation: str
    source: str = Field(description="Fingerprint of the weights.")
    runtime: str = Field(description="Quantisation, backend and build that serve.")
    capture: Literal["layer-input", "callback"]


class Training(BaseModel):
    """Lenses being trained or calibrated in the background."""

    stage: str
    done: int
    total: int
    eta_seconds: float | None


class PackInfo(BaseModel):
    name: str
    version: str
    concepts: int
    state: Literal["ready", "uncalibrated", "training", "none"]
    reason: str | None = None
    layers: list[int] = Field(default_factory=list)
    mean_auroc: float | None = None
    training: Training | None = None


class Info(BaseModel):
    version: str
    state: Literal["starting", "ready", "restarting", "failed"]
    reason: str | None = None
    model: ModelInfo | None
    pack: PackInfo | None
    monitor: Literal["on-request", "required"]


class Ready(BaseModel):
    ready: bool
    state: Literal["starting", "ready", "restarting", "failed"]
    reason: str | None = None
    pack: PackInfo | None = None


class ConceptInfo(BaseModel):
    id: str
    name: str
    parents: list[str]
    domain: str
    definition: str
    aliases: list[str]
    tags: list[str]
    auroc: float | None = Field(None, description="Held-out AUROC of the lens against contrasts.")
    layers: list[int] = Field(default_factory=list)


class ConceptList(BaseModel):
    concepts: list[ConceptInfo]
    total: int


class PackList(BaseModel):
    packs: list[PackInfo]


class ScoreRequest(Body):
    """Text (or chat messages, rendered by the model's template) to be read without generating anything."""

    text: Text | None = None
    messages: list[Message] | None = None
    top: int = Field(5, ge=1, le=MAX_TOP)
    watch: list[Text] = Field(default_factory=list, max_length=256)


class ScoreResponse(BaseModel):
    tokens: list[TokenReading]
    alerts: list[Alert]
    summary: Summary
