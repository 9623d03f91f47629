"""Everything it takes to watch a model: engine, concepts and lenses, found by the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hatcat.concepts import pack as concepts
from hatcat.concepts.pack import ConceptPack
from hatcat.engines.llama import LlamaEngine
from hatcat.engines.models import find_model
from hatcat.errors import HatcatError
from hatcat.lenses import store
from hatcat.lenses.pack import LensPack
from hatcat.monitor.monitor import Monitor
from hatcat.settings import Settings


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with what reads it. ``problem`` says why lenses that exist are not in use."""

    engine: LlamaEngine
    concepts: ConceptPack
    lenses: LensPack | None
    monitor: Monitor
    problem: str | None


def load_engine(settings: Settings, report: Callable[[str], None] = lambda _: None) -> LlamaEngine:
    """The engine of ``settings.model``, fetched if need be. Raises NotFound or EngineError saying what to do."""
    model = find_model(settings.model, settings.cache, report)
    return LlamaEngine(
        model.path, name=model.name, source=model.source, context=settings.context, threads=settings.threads,
        gpu_layers=settings.gpu_layers,
    )  # fmt: skip


def load_concepts(settings: Settings) -> ConceptPack:
    """The concept pack of ``settings.pack``. Raises NotFound or PackError."""
    return ConceptPack.load(concepts.find(settings.pack, [settings.cache / "packs"]))


def load(settings: Settings, report: Callable[[str], None] = lambda _: None) -> Loaded:
    """Model, concepts and lenses. A broken lens pack does not keep the model from answering: it is a ``problem``."""
    pack = load_concepts(settings)
    engine = load_engine(settings, report)
    lenses, problem = None, None
    try:
        lenses = store.load(settings.cache, engine.info.source, pack.header.name)
    except HatcatError as error:
        problem = error.message
    return Loaded(engine, pack, lenses, monitor_of(engine, pack, lenses), problem)


def monitor_of(engine: LlamaEngine, pack: ConceptPack, lenses: LensPack | None) -> Monitor:
    """The monitor of an engine with these lenses."""
    return Monitor(f"llama.cpp/{engine.info.quantisation}", engine.info.runtime, pack, lenses)
