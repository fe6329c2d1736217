"""The only reader of the environment. Each field is `SWITCHBOARD_<NAME>`; the README lists them and a test compares."""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from app.domain import DataClass
from app.errors import ConfigurationError


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="SWITCHBOARD_", extra="ignore", populate_by_name=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8501, ge=1, le=65535, description="Port to listen on.")
    public_url: str = Field(
        "", description="Address in people's browsers; default http://localhost:<port>."
    )
    data_dir: Path = Field(Path("data"), description="Folder for the database, the index and keys.")
    database_url: str = Field(
        "", description="SQLAlchemy address; default SQLite in the data folder."
    )
    qdrant_url: str = Field("", description="Qdrant server; default the embedded engine.")
    qdrant_api_key: SecretStr = Field(SecretStr(""), description="Key for the Qdrant server.")
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Base64 of 32 bytes that seals connectors' secrets (several: comma-separated, the first seals); default a file in the data folder.",
    )
    demo: bool = Field(
        True, description="Seed the demo company on first start when no provider is configured."
    )

    oidc_issuer: str = Field("", description="Issuer of your identity provider; empty = demo.")
    oidc_client_id: str = Field("", description="Client id at the provider.")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="Client secret.")
    oidc_scopes: str = Field("openid profile email groups", description="Scopes to ask for.")
    oidc_group_claim: str = Field("groups", description="Claim that lists groups.")
    oidc_role_claim: str = Field(
        "", description="Claim that names the role directly; empty = map groups."
    )
    oidc_team_claim: str = Field("team", description="Claim that names the team.")
    oidc_role_groups: dict[str, str] = Field(
        default_factory=dict,
        description='JSON: group to role, such as {"sb-admins": "admin"}; others are employees.',
    )
    session_idle_minutes: int = Field(480, ge=1, description="Sign-out after this much idleness.")
    session_hours: int = Field(72, ge=1, description="Sign-out after this long in any case.")
    clock_skew_s: int = Field(60, ge=0, le=600, description="Tolerance for the provider's clock.")

    openai_api_key: SecretStr = Field(
        SecretStr(""), validation_alias="OPENAI_API_KEY", description="Adds OpenAI's models."
    )
    openai_base_url: str = Field(
        "", validation_alias="OPENAI_BASE_URL", description="Another address for OpenAI's API."
    )
    anthropic_api_key: SecretStr = Field(
        SecretStr(""), validation_alias="ANTHROPIC_API_KEY", description="Adds Anthropic's models."
    )
    anthropic_base_url: str = Field(
        "",
        validation_alias="ANTHROPIC_BASE_URL",
        description="Another address for Anthropic's API.",
    )
    openai_model: str = Field(
        "gpt-5-mini", description="Model id used with OPENAI_API_KEY (OPENAI_BASE_URL too)."
    )
    anthropic_model: str = Field(
        "claude-sonnet-4-5", description="Model id used with ANTHROPIC_API_KEY."
    )
    compatible_base_url: str = Field(
        "", description="Any OpenAI-compatible base URL (vLLM, Ollama, LiteLLM)."
    )
    compatible_api_key: SecretStr = Field(SecretStr(""), description="Its key, if it wants one.")
    compatible_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated model ids it serves."
    )
    compatible_clearance: str = Field(
        "confidential", description="Highest data class that may be sent to it."
    )
    gguf: Path | None = Field(None, description="Another GGUF file for the local chat model.")
    local_model: bool = Field(True, description="Load the local chat model at first use.")
    first_token_timeout_s: float = Field(20.0, gt=0, description="Wait for a first token.")
    silence_timeout_s: float = Field(30.0, gt=0, description="Wait between tokens.")
    hedge: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Ask the next model too once one is silent for this share of its usual (p95) first-token time; 0 = never.",
    )
    api_requests_per_minute: int = Field(120, ge=1, description="Per personal key.")
    sync_every_minutes: int = Field(30, ge=1, description="Default pause between syncs.")
    webhook_url: str = Field(
        "",
        repr=False,
        pattern=r"^(https?://.+)?$",
        description="Address that the action 'Send a message' posts to; empty = not offered.",
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="Signs its posts as standardwebhooks.com has it; empty = no."
    )
    webhook_timeout_s: float = Field(10.0, gt=0, description="Wait for the webhook's answer.")
    time_zone: str = Field(
        "UTC",
        description="Where the days and months of budgets begin, such as Europe/Berlin.",
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @field_validator("compatible_models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("use DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            zone(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(
                "use a name of the time zone database, such as Europe/Berlin"
            ) from None
        return value

    @field_validator("compatible_clearance")
    @classmethod
    def _known_class(cls, value: str) -> str:
        try:
            return DataClass.parse(value).label
        except ValueError:
            raise ValueError("use public, internal, confidential or restricted") from None

    @property
    def zone(self) -> tzinfo:
        return zone(self.time_zone)

    @property
    def address(self) -> str:
        """The public address without a trailing slash."""
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{(self.data_dir / 'switchboard.sqlite').resolve()}"

    @property
    def listens_beyond_loopback(self) -> bool:
        return self.host not in {"127.0.0.1", "localhost", "::1"}

    @property
    def demo_issuer(self) -> bool:
        return not self.oidc_issuer


def zone(name: str) -> tzinfo:
    """UTC needs no time zone database. Raises ZoneInfoNotFoundError or ValueError for a name that is none."""
    return UTC if name == "UTC" else ZoneInfo(name)


def read_settings() -> Settings:
    """The settings of the environment. Raises ConfigurationError that names each wrong variable, never its value."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{_variable(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise ConfigurationError(
            f"The environment has settings that cannot be used. {wrong}."
        ) from None
    except SettingsError as error:
        name = str(error).split('"')[1] if '"' in str(error) else "a setting"
        raise ConfigurationError(f"SWITCHBOARD_{name.upper()} is no valid JSON.") from None


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else ""
    return name if name.isupper() else f"SWITCHBOARD_{name.upper()}"
