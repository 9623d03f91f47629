"""Servers shared by the session, so that few are started."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.server.running import KEY, Server, launch


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default: no key, nothing exposed."""
    with launch(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.process.poll() is None, running.printed()
        assert "Traceback" not in running.printed(), running.printed()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a key, one allowed origin, a short context, and a place for two that wait."""
    with launch(
        tmp_path_factory.mktemp("small"), HATCAT_API_KEY=KEY, HATCAT_CORS_ORIGINS='["https://chat.example.org"]',
        HATCAT_CONTEXT="512", HATCAT_QUEUE="2",
    ) as running:  # fmt: skip
        yield running
        assert "Traceback" not in running.printed(), running.printed()


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[openai.OpenAI]:
    """The official client, as anyone would use it."""
    with server.openai() as client:
        yield client


@pytest.fixture(scope="session")
def http(server: Server) -> Iterator[httpx.Client]:
    with server.http() as client:
        yield client
