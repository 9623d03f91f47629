"""Is it alive, is it ready, and what is missing."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from hatcat.runtime.supervisor import Runtime
from hatcat.server.schema_own import Ready

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> dict[str, str]:
    """The server answers."""
    return {"status": "ok"}


@router.get("/ready", response_model_exclude_none=True)
async def ready(request: Request, response: Response) -> Ready:
    """200 once the model can be asked, otherwise 503 and why. `pack` tells how far the lenses are."""
    runtime: Runtime = request.app.state.runtime
    if runtime.state != "ready":
        response.status_code = 503
    return Ready.model_validate({
        "ready": runtime.state == "ready", "state": runtime.state, "reason": runtime.reason, "pack": runtime.pack,
    })  # fmt: skip


@router.get("/ping")
async def ping(request: Request) -> Response:
    """200 when ready, 204 while loading: what load balancers of serverless hosts ask."""
    return Response(status_code=200 if request.app.state.runtime.state == "ready" else 204)
