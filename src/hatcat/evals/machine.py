"""What a figure was measured on: goes with every benchmark."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

import hatcat
from hatcat.engines.llama_api import BUILD

_CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Processor, memory, system and versions."""
    return {
        "cpu": cpu_name(), "cores": os.cpu_count(), "memory_bytes": psutil.virtual_memory().total,
        "load_average": [round(x, 2) for x in psutil.getloadavg()],
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(), "python": platform.python_version(), "hatcat": hatcat.__version__,
        "llama.cpp": BUILD, "xllamacpp": version("xllamacpp"), "numpy": version("numpy"),
    }  # fmt: skip


def cpu_name() -> str:
    """The processor as the system names it."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
