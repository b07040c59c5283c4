"""The settings: what each means, what it may hold, and what the rest of the worker makes of it."""

import re
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.domain.broker_address import read_broker_url
from worker.domain.credential_checks import CheckPace
from worker.domain.guard import Guard, build_guard
from worker.domain.identity import ALGORITHMS, RoleRule, parse_role_rule
from worker.domain.limits import Breaker, Caps
from worker.domain.saga import Limits
from worker.domain.windows import Window, parse_window, show_window
from worker.origins import PREFIX, read_list

STORED: ContextVar[dict[str, Any]] = ContextVar("STORED")
"""What `nightkey.toml` says, while the settings are made."""

# Services that a person reads. Left out: what runs programs, writes files or talks to this desktop.
ROUTE_SCHEMES = (
    "discord form forms gchat gotify gotifys json jsons mailto mailtos matrix matrixs mmost mmosts "
    "msteams ntfy ntfys opsgenie pagerduty pover rocket rockets sendgrid signal signals slack sns "
    "ses tgram twilio webex workflows wxteams xml xmls zulip"
)

PROBES = ("healthz", "readyz", "metrics")
"""What other programs ask a server, and may be answered without a token."""

_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@|[?&][^=&\s]*password=[^&\s]")

_ISSUER_MAX = 200
"""Characters."""

Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(read_list)]


class Settings(BaseSettings):
    """Every setting. Durations are seconds; `night_at` is a cron expression in `time_zone`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, allow_inf_nan=False)
    home: Path = Field(description="The data folder; `--home` names it, too.")
    database_url: str = Field(
        default="", description="Another database than nightkey.db in the data folder: deploy/databases.md."
    )
    keyring: Path | None = Field(
        default=None, description="Where the keyring is, if not at keyring/keyring.json in the data folder."
    )
    broker_url: str = Field(
        default="", description="Another broker than broker/ in the data folder: deploy/databases.md."
    )
    night_at: str = Field(default="0 2 * * *", description="When the night begins, by cron, in time_zone.")
    time_zone: str = Field(
        default="UTC",
        description="The zone of night_at, and of times that commands show and are given without one.",
    )
    ring_seconds: float = Field(default=60, gt=0, le=3600, description="How often beat rings.")
    catch_up_hours: float = Field(
        default=24, ge=0, le=87_600, description="How long a silence may last whose missed night is made up."
    )
    operators: str = Field(
        default="operators", description="The owner who hears of what has no owner, and of failed nights."
    )
    route_schemes: str = Field(
        default=ROUTE_SCHEMES,
        description="Kinds of routes that are allowed, with blanks between them: deploy/notices.md.",
    )
    concurrency: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Workers that `up` starts; each does one thing at a time, or several rotations. "
        "Beside several, one more keeps nights going.",
    )
    rotations_at_once: int = Field(
        default=4,
        ge=1,
        le=8,
        description="Rotations that one worker, or `nightkey night`, drives side by side, at most: those that "
        "are due at the same moment. What they do in the vault is committed together, and their calls to "
        "targets go out together.",
    )
    page_size: int = Field(default=500, ge=1, le=10_000, description="Rows read at a time.")
    lease_seconds: float = Field(
        default=60, ge=2, le=86_400, description="How long a worker holds a rotation without renewing that."
    )
    retry_seconds: float = Field(
        default=10, gt=0, le=3600, description="The first pause after an outage; each further one is longer."
    )
    retry_max_seconds: float = Field(
        default=3600, gt=0, le=86_400, description="The longest pause between two tries."
    )
    attempts: int = Field(
        default=3, ge=1, le=20, description="Tries after which a night no longer waits for a rotation."
    )
    patience_hours: float = Field(
        default=72, gt=0, le=8760, description="How long an outage is waited out before a person is asked."
    )
    candidates: int = Field(default=3, ge=1, le=10, description="Replacements that one rotation makes at most.")
    night_cap: int = Field(default=500, ge=1, description="Rotations that begin in one night, at most.")
    target_cap: int = Field(
        default=100, ge=1, description="Rotations that begin in one night at one target system, at most."
    )
    target_at_once: int = Field(
        default=2,
        ge=1,
        description="Rotations and checks that are worked on at one target system at the same moment, over all "
        "workers, at most. One such rotation tests as many workflows at once, and never more than 4.",
    )
    breaker_failures: int = Field(
        default=5,
        ge=1,
        description="Failures after which a night begins no other rotation, if their share is reached, too.",
    )
    breaker_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="The share of failures, from 0 to 1, of all rotations of the night that have ended.",
    )
    freezes: Texts = Field(
        default=(),
        description='When nothing may change, for every item: "0 0 20 12 * for 14d in Europe/Zurich".',
    )
    check_every_days: float = Field(
        default=7, ge=0, le=365, description="How often nights ask whether a credential still works; 0: never."
    )
    check_target_cap: int = Field(
        default=20, ge=1, description="Credentials that one night asks about at one target system, at most."
    )
    rows_checked: int = Field(
        default=100_000, ge=1, description="Rows that each night holds against their digests."
    )
    payload_days: int = Field(
        default=30,
        ge=0,
        le=90,
        description="How long what a run began with is kept for a rerun, sealed; 0: not at all.",
    )
    failed_hold_hours: float = Field(
        default=20, gt=0, le=8760, description="How long an item rests after a rotation that failed."
    )
    http_timeout_seconds: float = Field(
        default=30, gt=0, le=300, description="How long one HTTP call may take."
    )
    http_max_bytes: int = Field(
        default=1_048_576, ge=1024, description="How long the answer to one HTTP call may be."
    )
    outbound_only: Texts = Field(
        default=(),
        description="The only hosts and networks that are called, if any are named: deploy/outbound.md.",
    )
    outbound_private: Texts = Field(
        default=(), description="Private addresses that may be called: deploy/outbound.md."
    )
    outbound_redirects: int = Field(
        default=3, ge=0, le=20, description="Redirects that are followed where any are."
    )
    outbound_proxy: str = Field(default="", description="A proxy that calls go through: deploy/outbound.md.")
    outbound_ca: Path | None = Field(
        default=None, description="A file with authorities of your own, beside those of the system."
    )
    heartbeat_url: SecretStr | None = Field(
        default=None, description="Called when a night begins and ends: deploy/running.md."
    )
    templates: Path | None = Field(
        default=None,
        description="Messages in your own words, if not at templates/ in the data folder: deploy/notices.md.",
    )
    listen: str = Field(
        default="127.0.0.1:8321",
        description="Where `up` and `serve` give the console and answer calls; empty: `up` serves nothing.",
    )
    console_url: str = Field(
        default="", description="Where browsers reach the console, as https://host: deploy/console.md."
    )
    oidc_issuer: str = Field(
        default="", description="The identity provider by which people sign in: deploy/console.md."
    )
    oidc_client_id: str = Field(default="", description="What the identity provider calls Nightkey.")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="What the identity provider knows Nightkey by."
    )
    oidc_groups_claim: str = Field(default="groups", description="The claim that names somebody's groups.")
    oidc_roles: Texts = Field(default=(), description="What groups give: GROUP=ROLE, or GROUP=owner:OWNER.")
    jwt_audience: str = Field(
        default="",
        description="Of tokens of that issuer that are taken over HTTP; empty: none is: deploy/calls.md.",
    )
    jwt_algorithms: Texts = Field(
        default=("RS256", "ES256", "EdDSA"), description="By which the issuer may have signed."
    )
    open_probes: Texts = Field(
        default=("healthz",),
        description="Which of healthz, readyz and metrics need no token: deploy/running.md.",
    )
    delivery_retry_seconds: float = Field(
        default=60, gt=0, le=3600, description="The first pause after a notice that could not be sent."
    )
    delivery_tries: int = Field(default=8, ge=1, le=20, description="How often a notice is tried.")
    delivery_timeout_seconds: float = Field(default=30, gt=0, le=240, description="How long one send may take.")
    delivery_threads: int = Field(default=64, ge=1, le=256, description="Sends at a time.")
    log_level: str = Field(
        default="INFO",
        description="DEBUG, INFO, WARNING or ERROR: the least that is logged.",
    )

    _stored: dict[str, Any] = PrivateAttr(default_factory=STORED.get)

    @field_validator("broker_url")
    @classmethod
    def _check_broker(cls, text: str) -> str:
        try:
            read_broker_url(text)
        except InvalidInputError as error:
            raise ValueError(str(error)) from None
        return text

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
        return (init_settings, env_settings, InitSettingsSource(settings_cls, STORED.get()))

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
