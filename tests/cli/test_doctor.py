"""What `doctor` and `up` say where a GPU is seen and llama.cpp is the CPU build."""

import sys
from pathlib import Path

import pytest

from hatcat.cli import doctor


@pytest.mark.parametrize("index", ["cu128", "rocm-7.2.4", "vulkan"])
def test_the_hint_is_one_command_that_installs_the_same_release(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.setattr(doctor, "seen_gpu", lambda: ("a GPU", index))
    hint = doctor.gpu_hint()
    assert hint is not None
    command = hint.partition("To use it: ")[2]
    assert command.startswith(f"{sys.executable} -m pip install --force-reinstall --no-deps xllamacpp==")
    assert command.endswith(f"/whl/{index}")


def test_the_release_in_the_hint_is_the_one_that_is_pinned() -> None:
    pinned = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"{doctor._CARRIER}"' in pinned


def test_without_a_gpu_there_is_no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "seen_gpu", lambda: None)
    assert doctor.gpu_hint() is None


def test_an_nvidia_gpu_is_seen_by_its_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor.seen_gpu() == ("an NVIDIA GPU", "cu128")
