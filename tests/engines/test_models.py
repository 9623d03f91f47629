"""Finding model files: what is there is used, what is wrong is named."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from hatcat.engines import models
from hatcat.engines.llama import LlamaEngine
from hatcat.engines.models import CATALOGUE, ModelFile, Packaged, find_model, fingerprint
from hatcat.errors import EngineError, NotFound


def test_the_embedded_model_is_the_catalogues(smollm2: ModelFile) -> None:
    assert smollm2.name == "smollm2"
    assert hashlib.sha256(smollm2.path.read_bytes()).hexdigest() == smollm2.source == CATALOGUE["smollm2"].sha256


def test_a_path_names_any_gguf(smollm2: ModelFile, tmp_path: Path) -> None:
    link = tmp_path / "My Model.v2.gguf"
    link.symlink_to(smollm2.path)
    found = find_model(str(link), tmp_path)
    assert (found.name, found.path, found.source) == ("My Model.v2", link, smollm2.source)


@pytest.mark.parametrize(
    "name", ["no-such-model", "smollm3", "/no/such/file.gguf", "", "..", "x" * 5000, "~nobody-here/x", "a\0b"]
)
def test_an_unknown_model_is_named_with_what_there_is(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"(?s)there is no model .*smollm2, gemma3-270m.*hf:OWNER/REPO/FILE") as caught:
        find_model(name, tmp_path)
    assert caught.value.param == "model"
    assert caught.value.code == "model_not_found"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Just a text file, nothing more than that.\n", "is not a GGUF file: it begins with b'Just'"),
        (b"", "is not a GGUF file"),
        (b"PK\x03\x04" + bytes(100), "is not a GGUF file"),
        (b"GGUF\x03\0\0\0", "is cut off: 8 bytes are no model"),
    ],
)
def test_a_file_that_is_no_gguf(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=message) as caught:
        find_model(str(path), tmp_path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("name", ["hf:", "hf:owner", "hf:owner/repo", "hf:owner/repo/", "hf://file.gguf", "hf:/r/f"])
def test_a_malformed_hub_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not of the form hf:OWNER/REPO/FILE"):
        find_model(name, tmp_path)


def test_a_hub_file_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the network: the message names the model, and it is an error of something outside."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EngineError, match=r"hf:owner/repo/model\.gguf could not be fetched: .+") as caught:
        find_model("hf:owner/repo/model.gguf", tmp_path)
    assert caught.value.exit_code == 3


# --- fingerprints ---------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_computed_once_and_again_after_a_change(tmp_path: Path) -> None:
    path, reports = tmp_path / "m.gguf", []
    path.write_bytes(b"one")
    first = fingerprint(path, tmp_path / "cache", reports.append)
    assert first == hashlib.sha256(b"one").hexdigest()
    assert fingerprint(path, tmp_path / "cache", reports.append) == first
    assert len(reports) == 1
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert fingerprint(path, tmp_path / "cache", reports.append) == hashlib.sha256(b"two").hexdigest()
    assert len(reports) == 2


def test_a_broken_kept_fingerprint_is_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"one")
    for kept in ("", "{", "[]", "{}", '"x"', '{"bytes": 3}'):
        (tmp_path / "m.gguf.sha256.json").write_text(kept)
        assert fingerprint(path, tmp_path / "cache") == hashlib.sha256(b"one").hexdigest()


def test_a_file_in_a_folder_that_takes_no_writes_is_kept_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache, reports = tmp_path / "m.gguf", tmp_path / "cache", []
    path.write_bytes(b"one")
    (tmp_path / "m.gguf.sha256.json").mkdir()  # in the way, as a read-only folder would be
    for _ in range(2):
        fingerprint(path, cache, reports.append)
    assert len(reports) == 1
    (kept,) = (cache / "fingerprints").iterdir()
    assert json.loads(kept.read_text())["bytes"] == 3


def test_no_place_to_keep_a_fingerprint_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"one")
    (tmp_path / "m.gguf.sha256.json").mkdir()
    (tmp_path / "file").write_text("")
    assert fingerprint(path, tmp_path / "file" / "cache") == hashlib.sha256(b"one").hexdigest()


# --- models in parts ------------------------------------------------------------------------------------------------


@pytest.fixture
def parted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A catalogue entry whose file two installed packages carry in parts."""
    halves = (b"GGUF" + bytes(40), b"the second half")
    for n, half in enumerate(halves):
        package = tmp_path / "site" / f"hatcat_test_part{n}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "half").write_bytes(half)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    members = tuple(f"hatcat_test_part{n}/half" for n in range(2))
    digest = hashlib.sha256(b"".join(halves)).hexdigest()
    entry = Packaged("in two parts", "Apache-2.0", ("no-such-requirement==0",), members, digest)
    monkeypatch.setitem(models.CATALOGUE, "parted", entry)
    return "parted"


def test_parts_are_joined_once(parted: str, tmp_path: Path) -> None:
    reports: list[str] = []
    first = find_model(parted, tmp_path / "cache", reports.append)
    assert first.path.read_bytes().endswith(b"the second half")
    assert first.source == CATALOGUE[parted].sha256
    assert find_model(parted, tmp_path / "cache", reports.append) == first
    assert sum("joining" in line for line in reports) == 1
    listed = [entry for entry in models.cached(tmp_path / "cache") if entry["model"] == parted]
    assert [(entry["bytes"], entry["sha256_ok"]) for entry in listed] == [(59, True)]
    assert [p.name for p in first.path.parent.iterdir() if p.is_dir()] == []  # no scratch is left


def test_parts_with_the_wrong_checksum_are_refused(parted: str, tmp_path: Path) -> None:
    (tmp_path / "site" / "hatcat_test_part1" / "half").write_bytes(b"tampered")
    with pytest.raises(EngineError, match=f"parted: .* checksum [0-9a-f]{{64}}, not {CATALOGUE[parted].sha256}"):
        find_model(parted, tmp_path / "cache")
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_a_damaged_file_in_the_cache_is_shown_to_doctor(parted: str, tmp_path: Path) -> None:
    path = find_model(parted, tmp_path / "cache").path
    path.write_bytes(b"GGUF" + bytes(100))
    (entry,) = [e for e in models.cached(tmp_path / "cache") if e["model"] == parted]
    assert entry["sha256_ok"] is False


def test_a_cache_folder_that_takes_no_writes(parted: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")  # root may write anywhere, but not below a file
    with pytest.raises(EngineError, match=r"can't be put into the cache folder .*file/cache/models.*HATCAT_CACHE"):
        find_model(parted, tmp_path / "file" / "cache")


def test_what_is_not_fetched_is_not_fetched_unasked(
    parted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_installed", lambda member: None)
    with pytest.raises(EngineError, match="parted is not fetched yet"):
        find_model(parted, tmp_path / "cache", fetch=False)


def test_the_catalogue_names_full_checksums() -> None:
    for packaged in CATALOGUE.values():
        assert len(bytes.fromhex(packaged.sha256)) == 32
        assert all("==" in requirement for requirement in packaged.requirements)
        assert packaged.licence


@pytest.mark.slow
def test_the_second_model_is_the_catalogues(cache: Path) -> None:
    found = find_model("gemma3-270m", cache)
    assert found.source == CATALOGUE["gemma3-270m"].sha256
    engine = LlamaEngine(found.path, name=found.name, source=found.source, context=128, threads=1)
    try:
        assert (engine.info.architecture, engine.info.layers, engine.info.width) == ("gemma3", 18, 640)
        assert engine.lead == engine.tokenize("")[:1] == [2]
    finally:
        engine.close()
