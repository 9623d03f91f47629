"""What is said by `doctor` and `up` where a GPU is seen and llama.cpp is the CPU build."""

import sys
from pathlib import Path

import pytest

from hatcat.engines import gpu, llama_api


@pytest.mark.parametrize("index", ["cu128", "rocm-7.2.4", "vulkan"])
def test_the_hint_is_one_command_that_installs_the_same_release(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.setattr(gpu, "seen_gpu", lambda: ("a GPU", index))
    hint = gpu.gpu_hint()
    assert hint is not None
    command = hint.partition("To use it: ")[2]
    assert command.startswith(f"{sys.executable} -m pip install --force-reinstall --no-deps xllamacpp==")
    assert command.endswith(f"/whl/{index}")


def test_the_release_in_the_hint_is_the_one_that_is_pinned() -> None:
    pinned = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"{llama_api.CARRIER}"' in pinned


def test_without_a_gpu_there_is_no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "seen_gpu", lambda: None)
    assert gpu.gpu_hint() is None


def test_an_nvidia_gpu_is_seen_by_its_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert gpu.seen_gpu() == ("an NVIDIA GPU", "cu128")
