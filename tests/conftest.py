"""What tests share: the real embedded model, its shipped lenses, and a monitor over both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from platformdirs import user_cache_path

from hatcat.concepts import pack as concepts
from hatcat.concepts.pack import ConceptPack
from hatcat.engines.llama import LlamaEngine
from hatcat.engines.models import ModelFile, find_model
from hatcat.lenses import store
from hatcat.lenses.pack import LensPack
from hatcat.monitor.monitor import Monitor

# A property is searched for a fixed number of cases; how long one takes on a busy machine says nothing about it.
settings.register_profile("hatcat", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("hatcat")


@pytest.fixture(scope="session")
def cache() -> Path:
    """The user's own cache folder, so that models are fetched once and not for every run."""
    return Path(os.environ.get("HATCAT_CACHE") or user_cache_path("hatcat"))


@pytest.fixture(scope="session")
def smollm2(cache: Path) -> ModelFile:
    """The embedded model's file."""
    return find_model("smollm2", cache)


@pytest.fixture(scope="session")
def engine(smollm2: ModelFile) -> Iterator[LlamaEngine]:
    """The embedded model, loaded. A generation must be closed before the next user of the engine.

    One thread: two are little faster, and many times slower when another process wants a core.
    """
    engine = LlamaEngine(smollm2.path, name=smollm2.name, source=smollm2.source, context=1024, threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def core() -> ConceptPack:
    """The authored pack."""
    return ConceptPack.load(concepts.find("core"))


@pytest.fixture(scope="session")
def lenses(smollm2: ModelFile, tmp_path_factory: pytest.TempPathFactory) -> LensPack:
    """The lens pack that ships for the embedded model (an empty cache: never one trained on this machine)."""
    lenses = store.load(tmp_path_factory.mktemp("empty-cache"), smollm2.source, "core")
    assert lenses is not None, "no lens pack ships for the embedded model"
    return lenses


@pytest.fixture(scope="session")
def monitor(engine: LlamaEngine, core: ConceptPack, lenses: LensPack) -> Monitor:
    """A monitor of the embedded model with its shipped, calibrated lenses."""
    return Monitor("llama.cpp", engine.info.runtime, core, lenses)
