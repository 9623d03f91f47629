"""The wire contract: every body that the API takes or gives, as pydantic models.

The OpenAPI document is made from these, and the page's TypeScript types from that document, so a field is
written down once. Request models forbid unknown fields: what a client sends is honoured or refused by name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_N = 8
MAX_TOP = 50
MAX_TOP_LOGPROBS = 20

Role = Literal["system", "developer", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter"]
State = Literal["measured", "uncalibrated", "not_measured"]
MonitorState = Literal["ok", "degraded", "off"]


# A constraint makes pydantic check that a string is Unicode: a lone surrogate is refused where it stands.
Text = Annotated[str, Field(min_length=0)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]


class Body(BaseModel):
    """A request body: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


# --- readings -------------------------------------------------------------------------------------------------


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


# --- OpenAI requests ------------------------------------------------------------------------------------------


class TextPart(Body):
    type: Literal["text"]
    text: Text


class Message(Body):
    role: Role
    content: Text | list[TextPart] | None = None
    name: str | None = None
    refusal: str | None = None


class StreamOptions(Body):
    include_usage: bool = False
    include_obfuscation: bool = False


class ResponseFormat(Body):
    type: Literal["text"]


class Sampled(Body):
    """Fields that chat and text completions share."""

    model: str
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    min_p: float | None = Field(None, ge=0, le=1)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    repeat_penalty: float | None = Field(None, gt=0, le=2)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    n: int | None = Field(None, ge=1, le=MAX_N)
    max_tokens: int | None = Field(None, ge=1, lt=2**31)
    stop: Annotated[str, Field(min_length=1)] | list[Annotated[str, Field(min_length=1)]] | None = None
    logit_bias: dict[str, float] | None = Field(None, max_length=1024)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = Field(None, max_length=256)
    hatcat: HatcatRequest | None = None


class ChatRequest(Sampled):
    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1, lt=2**31)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    response_format: ResponseFormat | None = None
    tool_choice: Literal["none"] | None = None
    modalities: list[Literal["text"]] | None = None
    service_tier: Literal["auto", "default"] | None = None
    store: Literal[False] | None = None


class CompletionRequest(Sampled):
    prompt: Text | list[TokenId] | list[Text] | list[list[TokenId]]
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    echo: bool | None = None
    best_of: Literal[1] | None = None
    suffix: None = None


# --- OpenAI answers -------------------------------------------------------------------------------------------


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TopLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(BaseModel):
    content: list[TokenLogprob] | None
    refusal: None = None


class AnswerMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    index: int
    message: AnswerMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage
    hatcat: HatcatResponse | list[HatcatResponse] | None = Field(
        None, description="One object; a list of one per choice when `n` is above 1."
    )


class Delta(BaseModel):
    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason | None = None


class ChatChunk(BaseModel):
    """One event of a streamed chat answer. A reading may come in a later chunk than its token: match by index."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    hatcat: HatcatResponse | None = None


class TextLogprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class TextChoice(BaseModel):
    index: int
    text: str
    logprobs: TextLogprobs | None = None
    finish_reason: FinishReason | None = None


class Completion(BaseModel):
    """A whole text completion, or one event of a streamed one."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[TextChoice]
    usage: Usage | None = None
    hatcat: HatcatResponse | list[HatcatResponse] | None = None


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "hatcat"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorResponse(BaseModel):
    error: ErrorDetail


# --- hatcat's own routes --------------------------------------------------------------------------------------


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
