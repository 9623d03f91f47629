"""Carrying lens packs: what is fetched is whole and checked, or nothing is kept."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hatcat.errors import HatcatError, PackError
from hatcat.lenses import transfer
from hatcat.lenses.pack import LensPack
from tests.lenses.synthetic import lens_pack

NAMES = ("food", "war", "music", "sea")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lens pack on disk."""
    lens_pack(NAMES).save(tmp_path / "made")
    return tmp_path / "made"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Address of a web server that shows the test's folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_from_folder_to_file_to_address_and_back(folder: Path, site: str, tmp_path: Path) -> None:
    assert transfer.push(folder, str(tmp_path / "away" / "pack.zip")) == str(tmp_path / "away" / "pack.zip")
    for origin in (str(folder), str(tmp_path / "away/pack.zip"), f"{site}/away/pack.zip"):
        kept = transfer.pull(origin, tmp_path / "cache")
        assert kept.is_relative_to(tmp_path / "cache/lenses")
        assert LensPack.load(kept).concepts == list(NAMES)


def test_only_the_two_members_of_an_archive_are_taken(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "slip.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for member in transfer.MEMBERS:
            out.write(folder / member, member)
        out.writestr("../../escaped.txt", "no")
        out.writestr("lenses.pkl", "no")
    kept = transfer.pull(str(archive), tmp_path / "cache")
    assert {path.name for path in kept.iterdir()} == set(transfer.MEMBERS)
    assert not list(tmp_path.rglob("escaped.txt"))


@pytest.mark.parametrize(
    ("content", "reason"), [(b"no archive", "no readable zip"), (b"PK\x03\x04cut", "no readable zip")]
)
def test_what_is_no_archive_leaves_nothing(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(PackError, match=reason):
        transfer.pull(str(tmp_path / "bad.zip"), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as out:
        out.writestr("readme.txt", "hello")
    with pytest.raises(PackError, match=r"holds no lenses\.json"):
        transfer.pull(str(tmp_path / "other.zip"), tmp_path / "cache")


def test_an_address_that_answers_no_or_too_much(
    site: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HatcatError, match="404"):
        transfer.pull(f"{site}/nothing.zip", tmp_path / "cache")
    with pytest.raises(HatcatError, match="could not be fetched"):
        transfer.pull("http://127.0.0.1:9/x.zip", tmp_path / "cache")
    transfer.push(folder, str(tmp_path / "pack.zip"))
    monkeypatch.setattr(transfer, "MAX_BYTES", 100)
    with pytest.raises(PackError, match="more than 100 bytes"):
        transfer.pull(f"{site}/pack.zip", tmp_path / "cache")


def test_targets_and_origins_that_are_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"name a \.zip file"):
        transfer.push(folder, str(tmp_path / "pack.tar"))
    with pytest.raises(PackError, match="neither a file"):
        transfer.pull("nowhere", tmp_path / "cache")
    (tmp_path / "file").write_text("")
    with pytest.raises(PackError, match="can't be written"):
        transfer.push(folder, str(tmp_path / "file" / "pack.zip"))
