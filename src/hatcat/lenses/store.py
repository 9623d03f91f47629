"""Where trained lens packs lie: those trained here in the cache, those that ship with hatcat in the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hatcat.errors import PackError
from hatcat.lenses.pack import LensPack, describe


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
