"""`hatcat doctor`: what is here, what is missing, and the one command that mends it."""

from __future__ import annotations

import os
from typing import Any

import typer

from hatcat.cli.output import JsonOption, ModelOption, print_json, stdout
from hatcat.engines.gpu import gpu_hint, seen_gpu
from hatcat.errors import HatcatError
from hatcat.settings import Settings, load_settings


def doctor(model: ModelOption = None, as_json: JsonOption = False) -> None:
    """Check the machine, the engine's library, models, lenses and ports. Exit 1 if something is broken."""
    settings = load_settings(model=model)
    checks = [_library(), _gpu(), _model(settings), _lenses(settings), _page(), *_ports(settings)]
    found = {
        "ok": all(check["ok"] for check in checks), "checks": checks, "machine": _machine(),
        "cache": _cache(settings), "settings": settings.model_dump(mode="json", exclude={"api_key"}),
    }  # fmt: skip
    if as_json:
        print_json(found)
    else:
        for check in checks:
            mark = "[green]ok[/]" if check["ok"] else "[bold yellow]no[/]"
            stdout.print(f"{mark}  {check['name']}: ", end="")
            stdout.print(check["detail"], markup=False, soft_wrap=True)
    if not found["ok"]:
        raise typer.Exit(1)


def _check(name: str, ok: bool, detail: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "ok": ok, "detail": detail, **more}


def _library() -> dict[str, Any]:
    from hatcat.engines import llama_api

    try:
        facts = llama_api.describe()
    except HatcatError as error:
        return _check("llama.cpp", False, error.message)
    return _check("llama.cpp", True, f"{facts['build']}, {facts['library']}", **facts)


def _gpu() -> dict[str, Any]:
    hint = gpu_hint()
    return _check("gpu", True, hint or ("used" if seen_gpu() else "none seen: running on the CPU"), hint=hint)


def _model(settings: Settings) -> dict[str, Any]:
    from hatcat.engines.models import find_model

    try:
        model = find_model(settings.model, settings.cache, fetch=False)
    except HatcatError as error:
        return _check("model", False, error.message)
    return _check("model", True, f"{model.name}, {model.path}", sha256=model.source, path=str(model.path))


def _lenses(settings: Settings) -> dict[str, Any]:
    from hatcat.engines.models import find_model
    from hatcat.lenses import store

    try:
        model = find_model(settings.model, settings.cache, fetch=False)
        folder = store.find(settings.cache, model.source, settings.pack)
        if folder is None:
            return _check("lenses", True, "none for this model yet: they are trained in the background at first start")
        facts = store.facts(folder)
    except HatcatError as error:
        return _check("lenses", False, error.message)
    detail = f"{facts['pack']}, {facts['concepts']} concepts, mean AUROC {facts['mean_auroc']}, {folder}"
    return _check("lenses", True, detail, folder=str(folder))


def _page() -> dict[str, Any]:
    from hatcat.server.app import page_folder

    built = (page_folder() / "index.html").is_file()
    return _check("page", True, "built" if built else "not built: `make setup` builds it", built=built)


def _ports(settings: Settings) -> list[dict[str, Any]]:
    from hatcat.cli.serve import listen

    checks = []
    for port in (settings.port, settings.ui_port):
        if port is None:
            continue
        try:
            listen(settings.host, port, "--port").close()
            checks.append(_check(f"port {port}", True, "free", free=True))
        except HatcatError:
            checks.append(_check(f"port {port}", True, "in use (by hatcat itself, perhaps)", free=False))
    return checks


def _machine() -> dict[str, Any]:
    from hatcat.evals.machine import machine

    return machine()


def _cache(settings: Settings) -> dict[str, Any]:
    from hatcat.engines.models import cached, hub_files

    folder = settings.cache
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    return {
        "folder": str(folder), "writable": os.access(nearest, os.W_OK), "models": cached(folder), "hub": hub_files(),
    }  # fmt: skip
