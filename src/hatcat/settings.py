"""Every setting in one place: config file, then environment (``HATCAT_*``), then flag, each above the last.

The config file is ``hatcat.toml`` in the working directory, or the file that ``HATCAT_CONFIG`` names.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, Literal
from urllib.parse import urlsplit

from platformdirs import user_cache_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from hatcat.errors import InvalidRequest


class Settings(BaseSettings):
    """What can be set, with the defaults a person on one machine wants."""

    model_config = SettingsConfigDict(env_prefix="HATCAT_", extra="forbid")

    model: str = Field("smollm2", description="Name from the catalogue, path to a GGUF, or hf:OWNER/REPO/FILE")
    pack: str = Field("core", description="Concept pack to read with")
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=1, le=65535, description="Port of the API")
    ui_port: int | None = Field(3000, ge=1, le=65535, description="Port of the page (and the same API)")
    context: int = Field(4096, ge=64, le=1_048_576, description="Tokens a conversation may have")
    threads: int | None = Field(None, ge=1, le=1024, description="Threads of the engine; default: by measurement")
    gpu_layers: int = Field(-1, ge=-1, description="Layers on the GPU where the library can; -1: all")
    monitor: Literal["on-request", "required"] = Field("on-request", description="When generations are read")
    queue: int = Field(16, ge=1, le=10_000, description="Requests that may wait")
    cache: Path = Field(default_factory=lambda: user_cache_path("hatcat"), description="Models and trained packs")
    api_key: SecretStr | None = Field(None, description="Key that every request must carry")
    no_auth: bool = Field(False, description="Serve other addresses than loopback without a key")
    cors_origins: list[str] = Field(default_factory=list, description="Exact origins whose pages may call the API")
    public_url: str | None = Field(None, description="Address under which a tunnel or proxy shows this server")

    @field_validator("cors_origins")
    @classmethod
    def _exact_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            parts = urlsplit(origin)
            exact = parts.scheme in {"http", "https"} and parts.netloc and origin == f"{parts.scheme}://{parts.netloc}"
            if not exact or "*" in origin:
                raise ValueError(f"{origin!r} is not an exact origin such as https://chat.example.org")
        return origins

    @property
    def exposed(self) -> bool:
        """Whether others than this machine can reach the server."""
        return not is_loopback(self.host) or self.public_url is not None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = Path(os.environ.get("HATCAT_CONFIG", "hatcat.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)


def load_settings(**flags: Any) -> Settings:
    """Settings from file, environment and the flags that were given (None means: not given).

    Raises InvalidRequest naming the first setting that is wrong.
    """
    file = Path(os.environ.get("HATCAT_CONFIG", "hatcat.toml"))
    if "HATCAT_CONFIG" in os.environ and not file.is_file():
        raise InvalidRequest(f"HATCAT_CONFIG points to {file}, which is not a file")
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except (SettingsError, TOMLDecodeError) as error:  # a list that is no JSON, a file that is no TOML
        where = f"{file}: " if isinstance(error, TOMLDecodeError) else ""
        raise InvalidRequest(f"{where}{error}") from error
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in detail["loc"])
        raise InvalidRequest(f"setting {name} (HATCAT_{name.upper()}): {detail['msg']}", param=name) from error


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
