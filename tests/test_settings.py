"""Settings: file below environment below flag, and a wrong one is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hatcat.errors import InvalidRequest
from hatcat.settings import Settings, is_loopback, load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory and no HATCAT_* in the environment."""
    for name in list(os.environ):
        if name.startswith("HATCAT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_defaults_are_safe() -> None:
    settings = load_settings()
    assert (settings.model, settings.pack, settings.port, settings.ui_port) == ("smollm2", "core", 8000, 3000)
    assert settings.host == "127.0.0.1"
    assert not settings.exposed
    assert settings.cors_origins == []
    assert settings.api_key is None
    assert not settings.no_auth


def test_flag_over_environment_over_file(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clean / "hatcat.toml").write_text('port = 1111\nui_port = 1112\ncontext = 1113\nmodel = "from-file"\n')
    monkeypatch.setenv("HATCAT_PORT", "2222")
    monkeypatch.setenv("HATCAT_UI_PORT", "2223")
    settings = load_settings(port=3333, context=None)
    assert (settings.port, settings.ui_port, settings.context, settings.model) == (3333, 2223, 1113, "from-file")


def test_another_file_can_be_named(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clean / "hatcat.toml").write_text("port = 1111\n")
    (clean / "other.toml").write_text("port = 4444\n")
    monkeypatch.setenv("HATCAT_CONFIG", str(clean / "other.toml"))
    assert load_settings().port == 4444


def test_a_named_file_that_is_not_there_is_an_error(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HATCAT_CONFIG", str(clean / "missing.toml"))
    with pytest.raises(InvalidRequest, match=r"missing\.toml"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "0"),
        ("port", "65536"),
        ("port", "http"),
        ("ui_port", "-1"),
        ("context", "63"),
        ("context", "99999999"),
        ("threads", "0"),
        ("gpu_layers", "-2"),
        ("monitor", "sometimes"),
        ("queue", "0"),
        ("no_auth", "perhaps"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HATCAT_{name.upper()}", value)
    with pytest.raises(InvalidRequest, match=rf"setting {name} \(HATCAT_{name.upper()}\): ") as caught:
        load_settings()
    assert caught.value.param == name
    assert caught.value.exit_code == 2


def test_a_misspelt_setting_in_the_file_is_named(clean: Path) -> None:
    (clean / "hatcat.toml").write_text("prot = 1\n")
    with pytest.raises(InvalidRequest, match="prot"):
        load_settings()


def test_a_file_that_is_no_toml_is_named(clean: Path) -> None:
    (clean / "hatcat.toml").write_text("port = = 1\n")
    with pytest.raises(InvalidRequest, match=r"hatcat\.toml"):
        load_settings()


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://*.example.org",
        "chat.example.org",
        "https://chat.example.org/",
        "https://a.org/x",
        "ftp://a",
        "null",
        "https://a.org?x",
        "https://a.org#x",
        "https://",
        "",
    ],
)
def test_origins_are_exact(origin: str) -> None:
    with pytest.raises(InvalidRequest, match="is not an exact origin") as caught:
        load_settings(cors_origins=[origin])
    assert str(caught.value.param).startswith("cors_origins")


def test_origins_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HATCAT_CORS_ORIGINS", '["https://chat.example.org", "http://localhost:5173"]')
    assert load_settings().cors_origins == ["https://chat.example.org", "http://localhost:5173"]
    monkeypatch.setenv("HATCAT_CORS_ORIGINS", "https://chat.example.org")
    with pytest.raises(InvalidRequest, match="cors_origins"):  # a list is given as JSON
        load_settings()


def test_a_key_does_not_show_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HATCAT_API_KEY", "sk-very-secret")
    settings = load_settings()
    assert "very-secret" not in repr(settings) + str(settings.model_dump())
    assert settings.api_key is not None and settings.api_key.get_secret_value() == "sk-very-secret"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)
    assert not Settings(host=host).exposed


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "localhost.example.org", "", "127.1"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
    assert Settings(host=host).exposed


def test_a_public_address_exposes_a_loopback_server() -> None:
    assert Settings(public_url="https://chat.example.org").exposed


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
