"""Where lens packs are found, and that installing one can only write where it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatcat.engines.models import ModelFile
from hatcat.errors import PackError
from hatcat.lenses import store
from tests.lenses.synthetic import SOURCE, lens_pack


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert store.find(tmp_path, SOURCE, "tiny") is None
    assert store.load(tmp_path, SOURCE, "tiny") is None


def test_an_installed_pack_is_found_for_its_weights_only(tmp_path: Path) -> None:
    lens_pack().save(tmp_path / "given")
    folder = store.install(tmp_path / "given", tmp_path / "cache")
    assert folder == store.home(tmp_path / "cache", SOURCE, "tiny")
    assert store.find(tmp_path / "cache", SOURCE, "tiny") == folder
    found = store.load(tmp_path / "cache", SOURCE, "tiny")
    assert found is not None and found.concepts == ["a", "b", "c"]
    assert store.find(tmp_path / "cache", "cd" * 32, "tiny") is None
    assert folder in store.every(tmp_path / "cache")


def test_one_trained_here_goes_before_one_that_ships(smollm2: ModelFile, tmp_path: Path) -> None:
    shipped = store.find(tmp_path, smollm2.source, "core")
    assert shipped is not None and shipped.is_relative_to(store.shipped())
    mine = lens_pack(source=smollm2.source)
    mine.header.pack = "core"
    mine.save(store.home(tmp_path, smollm2.source, "core"))
    assert store.find(tmp_path, smollm2.source, "core") == store.home(tmp_path, smollm2.source, "core")


def test_a_pack_for_other_weights_is_not_installed(tmp_path: Path) -> None:
    lens_pack().save(tmp_path / "given")
    with pytest.raises(PackError, match="not for the model that is loaded"):
        store.install(tmp_path / "given", tmp_path / "cache", "cd" * 32)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("key", ["pack", "source"])
@pytest.mark.parametrize("value", ["../../../escaped", "/tmp/escaped-hatcat", "..", "a/b", ""])
def test_a_pack_cannot_choose_where_it_is_written(tmp_path: Path, key: str, value: str) -> None:
    """What is pulled from elsewhere names its own pack and weights, and both name a folder."""
    lens_pack().save(tmp_path / "given")
    path = tmp_path / "given" / "lenses.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PackError, match=f"lenses.json: {key}: "):
        store.install(tmp_path / "given", tmp_path / "cache")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_broken_pack_is_not_installed(tmp_path: Path) -> None:
    lens_pack().save(tmp_path / "given")
    (tmp_path / "given" / "lenses.safetensors").write_bytes(b"{}")
    with pytest.raises(PackError):
        store.install(tmp_path / "given", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_takes_no_writes_is_named(tmp_path: Path) -> None:
    lens_pack().save(tmp_path / "given")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(PackError, match=r"file/cache/lenses/.* can't be written: Not a directory"):
        store.install(tmp_path / "given", tmp_path / "file" / "cache")


def test_a_pack_in_figures(tmp_path: Path) -> None:
    lens_pack().save(tmp_path / "given")
    found = store.facts(tmp_path / "given", cards=True)
    assert (found["concepts"], found["graduated"], found["mean_auroc"], found["text_control"]) == (3, 3, 0.9, 0.8)
    assert found["bytes"] == sum(p.stat().st_size for p in (tmp_path / "given").iterdir())
    assert found["cards"]["b"]["auroc_random"] == 0.95
    assert "cards" not in store.facts(tmp_path / "given")
