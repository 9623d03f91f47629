"""hatcat: a language-model server that shows what a model is thinking next to what it is saying.

The Python API, small on purpose::

    settings = hatcat.load_settings(model="smollm2")
    loaded = hatcat.load(settings)          # engine, concepts, lenses, monitor
    hatcat.score(loaded.engine, loaded.monitor, loaded.engine.tokenize("..."), hatcat.Options(detail="tokens"))
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Before numpy is loaded: BLAS threads would fight with the engine's own for the same processors.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if TYPE_CHECKING:
    from hatcat.concepts.pack import ConceptPack
    from hatcat.lenses.pack import LensPack
    from hatcat.monitor.load import load, load_engine
    from hatcat.monitor.monitor import Monitor, Options, score
    from hatcat.settings import load_settings

_WHERE = {
    "ConceptPack": "hatcat.concepts.pack", "LensPack": "hatcat.lenses.pack", "Monitor": "hatcat.monitor.monitor",
    "Options": "hatcat.monitor.monitor", "score": "hatcat.monitor.monitor", "load": "hatcat.monitor.load",
    "load_engine": "hatcat.monitor.load", "load_settings": "hatcat.settings",
}  # fmt: skip

__all__ = ["ConceptPack", "LensPack", "Monitor", "Options", "load", "load_engine", "load_settings", "score"]


def __getattr__(name: str) -> Any:
    """Public names are loaded when used, so that `hatcat --help` does not wait for numpy."""
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'hatcat' has no attribute {name!r}")
