"""Carrying trained lens packs: a zip file of two members, by path, address, or a repository on the Hugging Face hub.

What is fetched is checked whole before it is kept. Only the two known members are taken from an archive.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import httpx

from hatcat.errors import HatcatError, PackError
from hatcat.lenses import store
from hatcat.lenses.pack import LensPack

MEMBERS = ("lenses.json", "lenses.safetensors")
MAX_BYTES = 1 << 30


def push(folder: Path, target: str) -> str:
    """Write a checked lens pack to a zip file or upload it to ``hf:OWNER/REPO``. Returns where it is."""
    LensPack.load(folder)
    if target.startswith("hf:"):
        return _push_to_hub(folder, target)
    path = Path(target).expanduser()
    if path.suffix != ".zip":
        raise PackError(f"{target!r}: name a .zip file or hf:OWNER/REPO")
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in MEMBERS:
                archive.write(folder / member, member)
        part.replace(path)
    except OSError as error:
        raise PackError(f"{path} can't be written: {error.strerror or error}") from error
    return str(path)


def pull(origin: str, cache: Path) -> Path:
    """Fetch, check and keep a lens pack. Returns its folder. Raises PackError or HatcatError with the reason."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pack"
        folder.mkdir()
        if origin.startswith("hf:"):
            folder = _pull_from_hub(origin)
        elif origin.startswith(("https://", "http://")):
            archive = Path(scratch) / "pack.zip"
            _download(origin, archive)
            _unpack(archive, folder)
        elif Path(origin).is_dir():
            folder = Path(origin)
        elif Path(origin).is_file():
            _unpack(Path(origin), folder)
        else:
            raise PackError(f"{origin!r} is neither a file, a folder, an address, nor hf:OWNER/REPO")
        return store.install(folder, cache)


def _unpack(path: Path, folder: Path) -> None:
    """The two members of an archive, and nothing else of it, whatever names it holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in MEMBERS:
                if member not in archive.namelist():
                    raise PackError(f"{path.name} holds no {member}: it is no lens pack")
                if archive.getinfo(member).file_size > MAX_BYTES:
                    raise PackError(f"{path.name}: {member} is larger than {MAX_BYTES} bytes")
                with archive.open(member) as source:
                    (folder / member).write_bytes(source.read(MAX_BYTES))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise PackError(f"{path.name} is no readable zip file: {error}") from error


def _download(address: str, path: Path) -> None:
    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=30) as response, path.open("wb") as file:
            response.raise_for_status()
            seen = 0
            for part in response.iter_bytes():
                seen += len(part)
                if seen > MAX_BYTES:
                    raise PackError(f"{address} holds more than {MAX_BYTES} bytes")
                file.write(part)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise HatcatError(f"{address} could not be fetched: {error}") from error


def _pull_from_hub(origin: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow to import, seldom needed

    try:
        return Path(snapshot_download(origin.removeprefix("hf:"), allow_patterns=list(MEMBERS)))
    except Exception as error:  # the hub's client raises its own and its transport's errors
        raise HatcatError(f"{origin} could not be fetched: {str(error).splitlines()[0]}") from error


def _push_to_hub(folder: Path, target: str) -> str:
    from huggingface_hub import HfApi  # noqa: PLC0415 - slow to import, seldom needed

    try:
        hub = HfApi()
        repository = target.removeprefix("hf:")
        hub.create_repo(repository, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=list(MEMBERS))
    except Exception as error:  # as above
        raise HatcatError(f"{target} could not be written: {str(error).splitlines()[0]}") from error
    return target
