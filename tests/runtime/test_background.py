"""A pack without lenses: the model answers at once, lenses train in the background, a killed training goes on."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.cli.test_commands import tiny_pack
from tests.server.running import Server, chat, launch, wait_for

PATH = "/v1/chat/completions"


def pack_of(server: Server) -> dict[str, object]:
    found: dict[str, object] = httpx.get(f"{server.url}/ready").json()["pack"]
    return found


def stage(server: Server) -> tuple[str, int]:
    training = pack_of(server).get("training") or {}
    assert isinstance(training, dict)
    return training.get("stage", ""), training.get("done", 0)


@pytest.mark.slow
def test_lenses_appear_while_the_server_serves(tmp_path: Path) -> None:
    tiny = str(tiny_pack(tmp_path / "tiny"))
    with launch(tmp_path, HATCAT_PACK=tiny) as server:
        assert pack_of(server)["state"] == "training"
        with server.http() as http:
            answer = http.post(PATH, json=chat(max_tokens=4, hatcat={"detail": "summary"})).json()
            assert answer["hatcat"]["summary"]["monitor"] == "off"
            assert answer["hatcat"]["summary"]["reason"]
        wait_for(lambda: stage(server)[0].startswith("calibrating") and stage(server)[1] >= 3, "calibration", 120)
        done = stage(server)[1]
        server.process.kill()
    with launch(tmp_path, HATCAT_PACK=tiny) as again:
        wait_for(lambda: stage(again)[1] >= done, "the training goes on where it was", 30)
        wait_for(lambda: pack_of(again)["state"] == "ready", "lenses", 300)
        with again.http() as http:
            answer = http.post(PATH, json=chat(max_tokens=4, hatcat={"detail": "tokens"})).json()
            assert {token["state"] for token in answer["hatcat"]["tokens"]} == {"measured"}
    with launch(tmp_path, HATCAT_PACK=tiny) as third:
        assert pack_of(third)["state"] == "ready"  # kept: nothing is trained twice
