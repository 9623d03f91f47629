"""The binding refuses what it was not written for, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatcat.engines import llama_api
from hatcat.errors import EngineError


@pytest.fixture
def other_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """HATCAT_LLAMA_LIB names this path; whatever was loaded before is put aside and found again afterwards."""
    path = tmp_path / "other.so"
    monkeypatch.setenv("HATCAT_LLAMA_LIB", str(path))
    return path


def load_anew() -> None:
    """Load without the memory of earlier loads, which other tests go on using."""
    llama_api.load.__wrapped__()


def test_the_installed_library_has_the_layout() -> None:
    llama_api.check_layout(llama_api.load())


@pytest.mark.parametrize(
    ("table", "field", "value"),
    [
        ("_CONTEXT_DEFAULTS", "n_batch", 2049),
        ("_CONTEXT_DEFAULTS", "kv_unified", True),
        ("_CONTEXT_DEFAULTS", "yarn_beta_slow", 1.0),
        ("_MODEL_DEFAULTS", "load_mtp", True),
        ("_MODEL_DEFAULTS", "n_gpu_layers", 999),
    ],
)
def test_another_default_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, table: str, field: str, value: object
) -> None:
    lib = llama_api.load()
    monkeypatch.setitem(getattr(llama_api, table), field, value)
    with pytest.raises(EngineError, match=rf"{field}=.* instead of {value!r}") as caught:
        llama_api.check_layout(lib)
    assert llama_api.BUILD in caught.value.message


def test_every_scalar_of_the_contexts_layout_is_checked() -> None:
    fields = {name for name, field in llama_api.ffi.typeof("struct llama_context_params").fields}
    pointers = {"cb_eval", "cb_eval_user_data", "abort", "abort_data", "reserved", "samplers", "ctx_other"}
    threads = {"n_threads", "n_threads_batch"}  # follow the machine
    assert fields - pointers - threads == set(llama_api._CONTEXT_DEFAULTS)


def test_a_library_that_is_not_there(other_library: Path) -> None:
    with pytest.raises(EngineError, match=r"HATCAT_LLAMA_LIB points to .*other\.so, which is not a file"):
        load_anew()


def test_a_file_that_is_no_library(other_library: Path) -> None:
    other_library.write_text("no library\n")
    with pytest.raises(EngineError, match=r"other\.so does not load"):
        load_anew()


def test_a_library_that_is_no_llama(monkeypatch: pytest.MonkeyPatch) -> None:
    import _cffi_backend

    monkeypatch.setenv("HATCAT_LLAMA_LIB", _cffi_backend.__file__)
    with pytest.raises(EngineError, match=r"is no llama\.cpp library"):
        load_anew()


def test_the_wheel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HATCAT_LLAMA_LIB", raising=False)
    monkeypatch.setattr(llama_api.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="pip install xllamacpp"):
        llama_api.library_path()


@pytest.mark.parametrize(("flags", "enough"), [("fpu sse4_2 avx", False), ("fpu avx avx2 fma", True)])
def test_a_processor_without_avx2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, enough: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags : {flags}\n")
    monkeypatch.delenv("HATCAT_LLAMA_LIB", raising=False)
    monkeypatch.setattr(llama_api.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(llama_api, "Path", lambda _: cpuinfo)
    if enough:
        llama_api._check_cpu()
    else:
        with pytest.raises(EngineError, match=r"lacks AVX2.*HATCAT_LLAMA_LIB"):
            llama_api._check_cpu()


def test_doctor_can_describe_it() -> None:
    facts = llama_api.describe()
    assert facts["build"] == llama_api.BUILD
    assert Path(facts["library"]).is_file()
    assert isinstance(facts["gpu"], bool)
    assert facts["features"]
