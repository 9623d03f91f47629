"""A GPU that llama.cpp could use, and the one command that installs the build for it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from hatcat.engines import llama_api
from hatcat.errors import HatcatError

_INDEX = "https://xorbitsai.github.io/xllamacpp/whl"


def gpu_hint() -> str | None:
    """The one command that installs a GPU build, where a GPU is seen and the library can't use it."""
    seen = seen_gpu()
    if seen is None:
        return None
    try:
        if llama_api.describe()["gpu"]:
            return None
    except HatcatError:
        return None  # the library itself is the problem, and is reported as such
    kind, index = seen
    install = (
        f"{sys.executable} -m pip install --force-reinstall --no-deps {llama_api.CARRIER} --index-url {_INDEX}/{index}"
    )
    return f"{kind} is here, but llama.cpp is the CPU build. To use it: {install}"


def seen_gpu() -> tuple[str, str] | None:
    """A GPU on this machine and the folder of wheels made for it; None where there is none."""
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists():
        return "an NVIDIA GPU", "cu128"
    if Path("/dev/kfd").exists():
        return "an AMD GPU", "rocm-7.2.4"
    if any(Path("/dev/dri").glob("renderD*")):
        return "a GPU", "vulkan"
    return None
