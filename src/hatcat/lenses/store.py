"""Where trained lens packs lie: those trained here in the cache, those that ship with hatcat in the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from hatcat.errors import PackError
from hatcat.lenses.pack import GRADUATED, LensPack, describe


def shipped() -> Path:
    """Folder of the lens packs that come with hatcat."""
    return Path(str(files("hatcat"))) / "data" / "lenses"


def home(cache: Path, source: str, pack: str) -> Path:
    """Where a pack trained here is kept."""
    return cache / "lenses" / source[:16] / pack


def find(cache: Path, source: str, pack: str) -> Path | None:
    """The folder of the lens pack for these weights: one trained here goes before one that ships."""
    trained = home(cache, source, pack)
    if (trained / "lenses.json").is_file():
        return trained
    for description in sorted(shipped().glob(f"*/{pack}/lenses.json")):
        if describe(description.parent).get("source") == source:
            return description.parent
    return None


def load(cache: Path, source: str, pack: str) -> LensPack | None:
    """The lens pack for these weights, None if there is none. Raises PackError for one that is broken."""
    folder = find(cache, source, pack)
    return LensPack.load(folder, source=source) if folder else None


def install(folder: Path, cache: Path, source: str | None = None) -> Path:
    """Check a lens pack and copy it into the cache. Raises PackError for a broken one or another model's."""
    lenses = LensPack.load(folder, source=source)
    target = home(cache, lenses.header.source, lenses.header.pack)
    try:
        lenses.save(target)
    except OSError as error:
        raise PackError(f"{target} can't be written: {error.strerror}") from error
    return target


def every(cache: Path) -> list[Path]:
    """Folders of all lens packs at hand."""
    places = [*(cache / "lenses").glob("*/*/lenses.json"), *shipped().glob("*/*/lenses.json")]
    return [place.parent for place in sorted(places)]


def facts(folder: Path, *, cards: bool = False) -> dict[str, Any]:
    """A pack in figures, for people and programs; with ``cards`` every lens's report card."""
    header = describe(folder)
    aurocs = [card["auroc"] for card in header["cards"]]
    found: dict[str, Any] = {
        "pack": header["pack"], "version": header["pack_version"], "model": header["model"],
        "source": header["source"], "folder": str(folder), "layers": header["layers"], "concepts": len(aurocs),
        "graduated": sum(a >= GRADUATED for a in aurocs), "bar": GRADUATED,
        "mean_auroc": round(sum(aurocs) / len(aurocs), 4),
        "text_control": round(sum(card["text_control"] for card in header["cards"]) / len(aurocs), 4),
        "bytes": sum(p.stat().st_size for p in folder.glob("lenses.*")),
        "seconds": header["trained"].get("seconds"), "peak_bytes": header["trained"].get("peak_bytes"),
        "runtimes": header["runtimes"],
    }  # fmt: skip
    if cards:
        found["cards"] = dict(zip(header["concepts"], header["cards"], strict=True))
    return found
