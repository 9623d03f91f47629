"""Every command as a person runs it: a process, its output, its exit code."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

Run = subprocess.CompletedProcess[str]


def hatcat(*arguments: str, stdin: str | None = None, **env: str) -> Run:
    """Run a command with the environment's cache unless told otherwise."""
    return subprocess.run(
        [sys.executable, "-m", "hatcat", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        input=stdin,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL if stdin is None else None,
    )


def answer(*arguments: str, **env: str) -> Any:
    """A command's JSON."""
    done = hatcat(*arguments, "--json", **env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(*arguments: str, code: int = 2, **env: str) -> str:
    """What a command says when it refuses: one plain message on stderr, nothing on stdout, no traceback."""
    done = hatcat(*arguments, **env)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    return done.stderr


def tiny_pack(folder: Path) -> Path:
    """Four concepts, enough to train on in seconds."""
    core = Path(__file__).parents[2] / "packs/core/concepts.jsonl"
    lines = [json.loads(line) for line in core.read_text().splitlines()]
    chosen = [line | {"parents": []} for line in lines if line["id"] in {"cooking", "anger", "python_code", "refusal"}]
    folder.mkdir()
    (folder / "concepts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in chosen))
    (folder / "pack.json").write_text('{"name": "tiny", "version": "1", "licence": "Apache-2.0", "source": "a test"}')
    return folder


# --- reading --------------------------------------------------------------------------------------------------------


def test_score_finds_medicine_in_an_operation() -> None:
    text = "The surgeon washed her hands before the operation."
    tokens = answer("score", "--pack", "core", "--text", text)["tokens"]
    assert "".join(token["text"] for token in tokens) == text
    assert [token["index"] for token in tokens] == list(range(len(tokens)))
    medical = {"medicine", "surgery", "hospital", "human_body", "infectious_disease"}
    tops = [{concept["id"] for concept in token["concepts"][:3]} for token in tokens]
    assert sum(bool(top & medical) for top in tops) >= 2


def test_score_reads_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "It rained all day."}\n\n{"messages": [{"role": "user", "content": "Hello"}]}\n')
    done = hatcat("score", "--file", str(file))
    readings = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(readings) == 2 and all(reading["summary"]["measured"] > 0 for reading in readings)
    file.write_text('{"text": "fine"}\n{"txt": "wrong"}\n')
    assert "line 2" in refusal("score", "--file", str(file))


def test_score_reads_stdin_and_shows_percentiles() -> None:
    done = hatcat("score", "--top", "2", stdin="The chef tasted the soup.")
    assert done.returncode == 0
    assert "' soup'" in done.stdout and "cooking" in done.stdout


def test_watch_prints_a_line_a_token_and_a_summary() -> None:
    done = hatcat("watch", "How do I bake bread?", "--max-tokens", "6", "--seed", "1", "--watch", "tag:safety")
    *tokens, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert [token["index"] for token in tokens] == list(range(6))
    assert "deception" in tokens[0]["watched"]
    assert summary["summary"]["monitor"] == "ok" and summary["reason"] == "length"


def test_chat_answers_from_a_pipe() -> None:
    done = hatcat("chat", "--max-tokens", "5", "--seed", "1", stdin="Hi\n/quit\n")
    assert done.returncode == 0, done.stderr
    assert "[ok]" in done.stdout


# --- packs and concepts ---------------------------------------------------------------------------------------------


def test_packs_and_concepts_are_listed() -> None:
    (core,) = [pack for pack in answer("packs", "list") if pack["name"] == "core"]
    assert core["concepts"] >= 150 and "smollm2" in {facts["model"] for facts in core["lenses"]}
    facts = answer("packs", "show", "core", "--report")
    assert facts.keys() >= {"concepts", "graduated", "mean_auroc", "bytes", "seconds", "peak_bytes"}
    assert len(facts["cards"]) == facts["concepts"]
    assert answer("packs", "validate", "core") == {"valid": True, "kind": "concepts", "concepts": core["concepts"]}
    assert answer("concepts", "search", "decept")[0]["id"] == "deception"
    assert len(answer("concepts", "show", "deception")["examples"]) >= 6
    assert hatcat("concepts", "search", "xyzzy").returncode == 1


def test_a_broken_pack_is_a_no_with_its_line(tmp_path: Path) -> None:
    pack = tiny_pack(tmp_path / "tiny")
    with (pack / "concepts.jsonl").open("a") as file:
        file.write("{not json\n")
    done = hatcat("packs", "validate", str(pack), "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert not found["valid"] and "line 5" in found["reason"]


@pytest.mark.slow
def test_lenses_travel_as_a_zip_file(tmp_path: Path) -> None:
    away = tmp_path / "core.zip"
    assert hatcat("packs", "push", "core", str(away)).returncode == 0
    cache = tmp_path / "cache"
    assert answer("packs", "pull", str(away), HATCAT_CACHE=str(cache))["concepts"] >= 150
    assert list(cache.glob("lenses/*/core/lenses.safetensors"))
    away.write_bytes(away.read_bytes()[:1000])
    assert "zip" in refusal("packs", "pull", str(away), HATCAT_CACHE=str(tmp_path / "other"))
    assert not list((tmp_path / "other").glob("lenses/*/*/lenses.json"))


@pytest.mark.slow
def test_train_score_with_and_evaluate_a_pack_of_ones_own(tmp_path: Path) -> None:
    pack = tiny_pack(tmp_path / "tiny")
    home = {"HATCAT_CACHE": str(tmp_path / "cache")}
    facts = answer("train", "--pack", str(pack), "--benign", "20", **home)
    assert facts["concepts"] == 4 and facts["mean_auroc"] > 0.8 and facts["seconds"] > 0
    token = answer("score", "--pack", str(pack), "--text", "Chop the onions and fry them in butter.", **home)
    assert any(t["concepts"][0]["id"] == "cooking" and t["concepts"][0]["percentile"] > 90 for t in token["tokens"])
    found = answer("eval", "detection", "--pack", str(pack), **home)
    assert found["mean_auroc"] == facts["mean_auroc"]  # the same folds, from the states that training kept
    assert found["mean_auroc"] > found["text_control"]


# --- the rest -------------------------------------------------------------------------------------------------------


def test_doctor_tells_what_is_here() -> None:
    found = answer("doctor")
    assert found["ok"]
    names = {check["name"]: check for check in found["checks"]}
    assert names["llama.cpp"]["build"] == "b11549"
    assert len(names["model"]["sha256"]) == 64
    assert "core" in names["lenses"]["detail"]


def test_doctor_says_what_is_broken(tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    library.write_bytes(b"not a library")
    done = hatcat("doctor", "--json", HATCAT_LLAMA_LIB=str(library))
    assert done.returncode == 1
    assert not json.loads(done.stdout)["ok"]


@pytest.mark.slow
def test_bench_quick_compares_within_a_run() -> None:
    found = answer("bench", "--quick", "--rounds", "2")
    assert 0.3 < found["watched_over_plain"] < 2
    assert found["rss_bytes"] > 100_000_000
    assert len(found["raw_seconds_per_token"]["decode"]["plain"]) == 2
    assert found["machine"]["cpu"]


@pytest.mark.slow
def test_wrong_use_is_said_plainly(tmp_path: Path) -> None:
    assert "no-such-model" in refusal("score", "--text", "x", "--model", "no-such-model")
    assert "no-such-pack" in refusal("score", "--text", "x", "--pack", "no-such-pack")
    assert "decepton" in refusal("score", "--text", "x", "--watch", "decepton")
    assert "port" in refusal("serve", HATCAT_PORT="99999")
    assert "no-such-model" in refusal("serve", "--model", "no-such-model")
    assert "no-such-pack" in refusal("serve", "--pack", "no-such-pack")
    assert "both" in refusal("serve", "--port", "9001", "--ui-port", "9001")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(b"GGUF" + bytes(100))
    assert "cut.gguf" in refusal("score", "--text", "x", "--model", str(cut), code=3)


def test_a_port_in_use_names_the_flag() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        message = refusal("serve", "--port", str(taken.getsockname()[1]), "--no-ui")
        assert "--port" in message


def test_help_and_version() -> None:
    assert hatcat("--version").stdout.strip() == "0.1.0"
    assert "divergence" not in hatcat("--help").stderr
