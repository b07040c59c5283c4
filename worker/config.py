"""Settings, parsed once: `NIGHTKEY_…` variables, then `nightkey.toml` in the data folder, then defaults."""

import os
import re
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from vaultcore.errors import ConfigurationError, InvalidInputError
from vaultcore.secret import Secret
from worker.domain.credential_checks import CheckPace
from worker.domain.guard import Guard, build_guard
from worker.domain.identity import ALGORITHMS, RoleRule, parse_role_rule
from worker.domain.limits import Breaker, Caps
from worker.domain.saga import Limits
from worker.domain.windows import Window, parse_window, show_window
from worker.origins import HOME_VARIABLE as HOME_VARIABLE  # noqa: PLC0414  # it is named with the settings
from worker.origins import PREFIX, explain_setting, find_unknown, read_file, read_list
from worker.ownership import check_folder

DEFAULT_HOME = Path("~/.nightkey")
SETTINGS_FILE = "nightkey.toml"
_STORED: ContextVar[dict[str, Any]] = ContextVar("_STORED")
"""What that file says, while the settings are made."""

# Services that a person reads. Left out: what runs programs, writes files or talks to this desktop.
ROUTE_SCHEMES = (
    "discord form forms gchat gotify gotifys json jsons mailto mailtos matrix matrixs mmost mmosts "
    "msteams ntfy ntfys opsgenie pagerduty pover rocket rockets sendgrid signal signals slack sns "
    "ses tgram twilio webex workflows wxteams xml xmls zulip"
)

PROBES = ("healthz", "readyz", "metrics")
"""What other programs ask a server, and may be answered without a token."""

_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")

_ISSUER_MAX = 200
"""Characters."""

Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(read_list)]


class Settings(BaseSettings):
    """Every setting. Durations are seconds; `night_at` is a cron expression in `time_zone`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, allow_inf_nan=False)
    home: Path
    database_url: str = ""
    keyring: Path | None = None
    broker_url: str = ""
    night_at: str = "0 2 * * *"
    time_zone: str = "UTC"
    ring_seconds: float = Field(default=60, gt=0, le=3600)
    catch_up_hours: float = Field(default=24, ge=0, le=87_600)
    operators: str = "operators"
    route_schemes: str = ROUTE_SCHEMES
    concurrency: int = Field(default=2, ge=1, le=64)
    page_size: int = Field(default=500, ge=1, le=10_000)
    lease_seconds: float = Field(default=60, ge=2, le=86_400)
    retry_seconds: float = Field(default=10, gt=0, le=3600)
    retry_max_seconds: float = Field(default=3600, gt=0, le=86_400)
    attempts: int = Field(default=3, ge=1, le=20)
    patience_hours: float = Field(default=72, gt=0, le=8760)
    candidates: int = Field(default=3, ge=1, le=10)
    night_cap: int = Field(default=500, ge=1)
    target_cap: int = Field(default=100, ge=1)
    breaker_failures: int = Field(default=5, ge=1)
    breaker_share: float = Field(default=0.25, ge=0, le=1)
    freezes: Texts = ()
    check_every_days: float = Field(default=7, ge=0, le=365)
    check_target_cap: int = Field(default=20, ge=1)
    rows_checked: int = Field(default=100_000, ge=1)
    payload_days: int = Field(default=30, ge=0, le=90)
    failed_hold_hours: float = Field(default=20, gt=0, le=8760)
    http_timeout_seconds: float = Field(default=30, gt=0, le=300)
    http_max_bytes: int = Field(default=1_048_576, ge=1024)
    outbound_only: Texts = ()
    outbound_private: Texts = ()
    outbound_redirects: int = Field(default=3, ge=0, le=20)
    outbound_proxy: str = ""
    outbound_ca: Path | None = None
    heartbeat_url: SecretStr | None = None
    templates: Path | None = None
    listen: str = "127.0.0.1:8321"
    console_url: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr | None = None
    oidc_groups_claim: str = "groups"
    oidc_roles: Texts = ()
    jwt_audience: str = ""
    jwt_algorithms: Texts = ("RS256", "ES256", "EdDSA")
    open_probes: Texts = ("healthz",)
    delivery_retry_seconds: float = Field(default=60, gt=0, le=3600)
    delivery_tries: int = Field(default=8, ge=1, le=20)
    delivery_timeout_seconds: float = Field(default=30, gt=0, le=240)
    delivery_threads: int = Field(default=64, ge=1, le=256)
    log_level: str = "INFO"

    _stored: dict[str, Any] = PrivateAttr(default_factory=_STORED.get)

    @field_validator("night_at")
    @classmethod
    def _check_cron(cls, text: str) -> str:
        from datetime import UTC, datetime  # noqa: PLC0415  # the model's fields must not see them

        try:
            CronSim(text, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(f"{text!r} is not a cron expression ({error}): write one like 0 3 * * *") from None
        return text

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{name!r} is not a time zone: write one like Europe/Zurich") from None
        return name

    @field_validator("freezes")
    @classmethod
    def _check_freezes(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(show_window(parse_window(text)) for text in texts)
        except InvalidInputError as error:
            raise ValueError(str(error)) from None

    @field_validator("outbound_only", "outbound_private")
    @classmethod
    def _check_places(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            build_guard(texts, ())
        except InvalidInputError as error:
            raise ValueError(str(error)) from None
        return texts

    @field_validator("outbound_proxy")
    @classmethod
    def _check_proxy(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://(?:[^@/\s]+@)?[^@/:\s]+:[0-9]{1,5}/?", url):
            raise ValueError("write it as http://host:port, or http://user:password@host:port")
        return url

    @field_validator("open_probes")
    @classmethod
    def _check_probes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not set(names) <= set(PROBES):
            raise ValueError(f"name some of {', '.join(PROBES)}")
        return names

    @field_validator("console_url")
    @classmethod
    def _check_console(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^@/?#\s]+/?", url):
            raise ValueError("write it as https://host or https://host:port: the console is at /console there")
        return url.rstrip("/")

    @field_validator("oidc_issuer")
    @classmethod
    def _check_issuer(cls, url: str) -> str:
        loopback = r"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?"
        if url and not re.fullmatch(rf"(?:https://[^@/?#\s]+|{loopback})(?:/[^?#\s]*)?", url):
            raise ValueError("write it as https://host or https://host/path, as the provider itself does")
        if len(url) > _ISSUER_MAX:
            raise ValueError(f"it has more than {_ISSUER_MAX} characters")
        return url

    @field_validator("oidc_client_id")
    @classmethod
    def _check_client(cls, client: str, info: ValidationInfo) -> str:
        if client and not (info.data.get("oidc_issuer") and info.data.get("console_url")):
            raise ValueError("it takes oidc_issuer, and console_url, to which people come back")
        return client

    @field_validator("oidc_roles")
    @classmethod
    def _check_roles(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for text in texts:
                parse_role_rule(text)
        except InvalidInputError as error:
            raise ValueError(str(error)) from None
        return texts

    @field_validator("jwt_audience")
    @classmethod
    def _check_audience(cls, audience: str, info: ValidationInfo) -> str:
        if audience and not info.data.get("oidc_issuer"):
            raise ValueError("it takes oidc_issuer, whose tokens these are")
        return audience

    @field_validator("jwt_algorithms")
    @classmethod
    def _check_algorithms(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        other = [name for name in names if name not in ALGORITHMS]
        if other or not names:
            known = ", ".join(ALGORITHMS)
            raise ValueError(f"use some of {known}: who checks a token must not be able to make one")
        return names

    @field_validator("heartbeat_url")
    @classmethod
    def _check_heartbeat(cls, url: SecretStr | None) -> SecretStr | None:
        text = "" if url is None else url.get_secret_value()
        if text and not re.fullmatch(r"https?://[^@/?#\s]+(/[^?#\s]*)?", text):
            raise ValueError(
                "write it as https://host/path, without a query: /start and /fail are put behind it"
            )
        return url if text else None

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, name: str) -> str:
        if name.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("use DEBUG, INFO, WARNING or ERROR")
        return name.upper()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the library's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the library's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, InitSettingsSource(settings_cls, _STORED.get()))

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'nightkey.db'}"

    @property
    def keyring_path(self) -> Path:
        return self.keyring or self.home / "keyring" / "keyring.json"

    @property
    def templates_path(self) -> Path:
        return self.templates or self.home / "templates"

    @property
    def has_stored_secret(self) -> bool:
        """Whether the file, and not the environment, gives a password or a URL that is one."""
        urls = (self._stored.get(name) for name in ("database_url", "broker_url", "outbound_proxy"))
        secrets = any(self._stored.get(name) for name in ("heartbeat_url", "oidc_client_secret"))
        return secrets or any(_PASSWORD.search(str(url or "")) for url in urls)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def heartbeat(self) -> Secret | None:
        return None if self.heartbeat_url is None else Secret(self.heartbeat_url.get_secret_value())

    @property
    def client_secret(self) -> Secret | None:
        """What the identity provider knows Nightkey by."""
        text = "" if self.oidc_client_secret is None else self.oidc_client_secret.get_secret_value()
        return Secret(text) if text else None

    @property
    def role_rules(self) -> tuple[RoleRule, ...]:
        return tuple(map(parse_role_rule, self.oidc_roles))

    @property
    def guard(self) -> Guard:
        return build_guard(self.outbound_only, self.outbound_private)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def retry(self) -> timedelta:
        return timedelta(seconds=self.retry_seconds)

    @property
    def catch_up(self) -> timedelta:
        return timedelta(hours=self.catch_up_hours)

    @property
    def limits(self) -> Limits:
        """How rotations wait and retry; how long the other side may take to accept is the policy's."""
        return Limits(
            attempts=self.attempts,
            pause=self.retry,
            pause_max=timedelta(seconds=self.retry_max_seconds),
            patience=timedelta(hours=self.patience_hours),
            candidates=self.candidates,
            propagation=timedelta(0),
        )

    @property
    def caps(self) -> Caps:
        return Caps(night=self.night_cap, target=self.target_cap)

    @property
    def breaker(self) -> Breaker:
        return Breaker(failures=self.breaker_failures, share=self.breaker_share)

    @property
    def freeze_windows(self) -> tuple[Window, ...]:
        return tuple(map(parse_window, self.freezes))

    @property
    def payloads_kept(self) -> timedelta:
        return timedelta(days=self.payload_days)

    @property
    def check_pace(self) -> CheckPace:
        return CheckPace(every=timedelta(days=self.check_every_days), per_target=self.check_target_cap)

    @property
    def failed_hold(self) -> timedelta:
        return timedelta(hours=self.failed_hold_hours)


def load_settings(home: Path | None = None, **overrides: Any) -> Settings:  # noqa: ANN401  # any field
    """The settings of the data folder `home` (default: `NIGHTKEY_HOME`, then `~/.nightkey`)."""
    _check_encoding()
    folder = _find_home(home)
    file = folder / SETTINGS_FILE
    check_folder(folder, "the data folder")
    stored = read_file(file)
    problem = ""
    given = _STORED.set(stored)
    try:
        return Settings(home=folder, **overrides)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        problem = explain_setting(first, file=file, environment=os.environ, known=Settings.model_fields)
    finally:
        _STORED.reset(given)
    raise ConfigurationError(problem)


def unknown_variables() -> dict[str, str]:
    """Each `NIGHTKEY_…` variable that has no effect, with the sentence that says so."""
    return find_unknown(os.environ, Settings.model_fields)


def _check_encoding() -> None:
    """What a variable holds is text, or nothing of it could be stored or said."""
    for variable, value in os.environ.items():
        if variable.upper().startswith(PREFIX):
            try:
                f"{variable}{value}".encode()
            except UnicodeEncodeError:
                break
    else:
        return
    raise ConfigurationError(f"the variable {variable!a} is not UTF-8 text: write it in UTF-8")


def _find_home(home: Path | None) -> Path:
    given = home or Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    problem = ""
    try:
        folder = given.expanduser().absolute()
        str(folder).encode()
        return folder
    except UnicodeEncodeError:
        problem = "the path of the data folder is not UTF-8 text: choose another"
    except RuntimeError:  # neither HOME nor an entry for this user
        problem = f"user {os.getuid()} has no home folder for {given}: name the data folder"
    except FileNotFoundError:
        problem = (
            "the folder that this command was started in is gone: change to another, or name the data folder"
        )
    raise ConfigurationError(f"{problem} by --home or {HOME_VARIABLE}, as a whole path")
