"""hatcat's own routes under /v1/hatcat: what is served, which concepts there are, and reading a given text."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query, Request

import hatcat
from hatcat.concepts.pack import Concept, ConceptPack
from hatcat.errors import InvalidRequest
from hatcat.monitor.load import load_concepts
from hatcat.runtime.supervisor import Runtime
from hatcat.server.prompt import plain_messages
from hatcat.server.schema import ErrorResponse
from hatcat.server.schema_own import (
    ConceptInfo,
    ConceptList,
    Info,
    PackList,
    ScoreRequest,
    ScoreResponse,
)

router = APIRouter(prefix="/v1/hatcat", tags=["hatcat"], responses={400: {"model": ErrorResponse}})


@router.get("/info")
async def info(request: Request) -> Info:
    """Model, lens pack and state of the server."""
    runtime: Runtime = request.app.state.runtime
    model = runtime.model
    return Info.model_validate({
        "version": hatcat.__version__, "state": runtime.state, "reason": runtime.reason,
        "monitor": request.app.state.settings.monitor, "pack": runtime.pack,
        "model": None if model is None else {**model, "id": model["name"]},
    })  # fmt: skip


@router.get("/packs")
async def packs(request: Request) -> PackList:
    """The lens pack in use."""
    runtime: Runtime = request.app.state.runtime
    return PackList.model_validate({"packs": [runtime.pack] if runtime.pack else []})


@router.get("/concepts")
async def concepts(
    request: Request, q: str = Query("", max_length=200), limit: int = Query(20, ge=1, le=1000)
) -> ConceptList:
    """Concepts that match a search, best match first; all in the pack's order without one."""
    pack = _concepts(request)
    found = pack.search(q, limit=limit) if q.strip() else list(pack.concepts[:limit])
    return ConceptList(concepts=[_info(request, concept) for concept in found], total=len(pack))


@router.get("/concepts/{concept_id}")
async def concept(request: Request, concept_id: str) -> ConceptInfo:
    """One concept."""
    return _info(request, _concepts(request).get(concept_id))


@router.post("/score", response_model=ScoreResponse, response_model_exclude_none=True)
async def score(request: Request, body: ScoreRequest) -> Any:
    """Read a text, or a conversation, without generating anything."""
    if (body.text is None) == (body.messages is None):
        raise InvalidRequest("give either text or messages", param="text")
    runtime: Runtime = request.app.state.runtime
    options = {"detail": "tokens", "top": body.top, "watch": body.watch}
    messages = plain_messages(body.messages) if body.messages is not None else None
    return await runtime.score({"text": body.text, "messages": messages, "watch": options})


def _concepts(request: Request) -> ConceptPack:
    state = request.app.state
    if not hasattr(state, "concepts"):  # read once, on the first question
        state.concepts = load_concepts(state.settings)
    pack: ConceptPack = state.concepts
    return pack


def _info(request: Request, item: Concept) -> ConceptInfo:
    runtime: Runtime = request.app.state.runtime
    return ConceptInfo(
        id=item.id, name=item.name, parents=list(item.parents), domain=item.domain, definition=item.definition,
        aliases=list(item.aliases), tags=list(item.tags), auroc=runtime.cards.get(item.id),
        layers=runtime.pack["layers"] if runtime.pack else [],
    )  # fmt: skip
