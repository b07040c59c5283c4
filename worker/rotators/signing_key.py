"""Rotator `signing-key`: a new key that signs tokens, known to those who check them before it signs any."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from pydantic import Field

from vaultcore.errors import Cause, TargetError
from vaultcore.model import Kind
from vaultcore.secret import Secret
from worker.outbound import cause_of
from worker.rotators import base
from worker.signing.keys import Algorithm, SigningKey, generate, read_key
from worker.signing.tokens import RefusedTokenError, check, sign

_TRIAL = timedelta(minutes=1)
_NOT_LISTED: Final = base.FixedSentence("a shared key has no key set")
_REVOKED: Final = base.FixedSentence(
    "the key before leaves the key set, and what it signed is refused from now on"
)
_UNDONE: Final = base.FixedSentence("nothing was signed by it; it leaves the key set")


class SigningKeySettings(base.RotatorSettings):
    algorithm: Algorithm
    published: str | None = Field(
        default=None,
        max_length=4000,
        description="the URL at which those who check tokens read the key set: the new key must be listed "
        "there before it signs anything",
    )
    ahead: int = Field(
        default=0,
        ge=0,
        le=7 * 86_400,
        description="seconds from when a new key is made until it signs: what publishing it takes, and then as "
        "long as key sets are cached",
    )


class SigningKeyRotator:
    """Makes a new key that signs tokens: HS256, ES256, EdDSA or RS256, there as long as the one before (4096
    bits at most).

    It changes nothing by a call: what changes is the key set (JWKS) of the item, which `nightkey key jwks`
    prints, or writes to a file for a web server. As soon as a new key is made it is listed there as the next
    one; when it is activated, the one before it stays listed until it is retired. HS256 has one key for both
    sides and no key set: those who check its tokens must be given the new one while both work.

    It needs an overlap that is longer than tokens live and key sets are cached: a token that was signed by
    the key before holds until that is retired, and no longer. Where `published` is set, the new key must be
    found at that address first, and with `ahead` so many seconds must have gone by; both are waited for with
    the same key, so the set may be written every few minutes, or come out of a cache. One that is never found
    there is a person's to look into, once `patience_hours` are over.

    Half-way there is a key that nothing was signed by: it is discarded, and leaves the key set. A key that
    signs already and is no longer found is given up for the one before it, if that is.
    """

    Settings: ClassVar[type[base.RotatorSettings]] = SigningKeySettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = False
    needs: ClassVar[tuple[str, str] | None] = ("joserfc", "jwt")
    example: ClassVar[Mapping[str, Any]] = {
        "algorithm": "ES256",
        "published": "https://auth.example.org/.well-known/jwks.json",
        "ahead": 600,
    }

    def asks_nobody(self, settings: base.RotatorSettings) -> bool:
        """Without a published key set it is we alone who say that it signs."""
        return _read(settings).published is None

    def overlaps(self, settings: base.RotatorSettings) -> bool:  # noqa: ARG002  # the contract's
        return True

    def target(self, settings: base.RotatorSettings) -> str | None:  # noqa: ARG002  # the contract's
        return None

    def create(self, job: base.Job) -> base.Candidate:
        settings = _read(job.settings)
        value = generate(settings.algorithm, like=job.old)
        key = read_key(value)
        external: dict[str, Any] = {"made_at": _now().isoformat()}
        public = key.public()
        if public is not None:
            external |= {"kid": key.kid, "public": public}
        return base.Candidate(value=value, external=external)

    def install(self, job: base.Job) -> str:
        if "kid" not in job.new_external:
            return _NOT_LISTED
        return f"listed as the next key, {job.new_external['kid']}"

    def verify(self, job: base.Job, value: Secret) -> str:
        settings = _read(job.settings)
        key = read_key(value, settings.algorithm)
        try:
            check(sign(key, {"exp": int((_now() + _TRIAL).timestamp())}), [key], now=_now())
        except RefusedTokenError as error:
            problem = f"it does not check what it signed: {error}"
        else:
            problem = ""
        if problem:
            raise TargetError(problem, cause=Cause.REJECTED)
        awaited = value == job.new and not job.accepted
        listed = self._expect_listed(job, key, settings, awaited=awaited)
        if value == job.new:
            _expect_known(job, settings)
        return f"it checks what it signs{listed}"

    def revoke(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return _REVOKED

    def undo(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return _UNDONE

    def _expect_listed(
        self, job: base.Job, key: SigningKey, settings: SigningKeySettings, *, awaited: bool
    ) -> str:
        if settings.published is None or key.public() is None:
            return ""
        answer = job.http.request("GET", settings.published, follow=True)
        cause = cause_of(answer.status)
        if cause is not None:
            # Whoever reads a key set shows no credential: nothing that is answered judges one.
            cause = Cause.OUTAGE if cause is Cause.OUTAGE else Cause.MISTAKE
            raise TargetError(f"the key set was answered with {answer.status}", cause=cause)
        keys = answer.body.get("keys") if isinstance(answer.body, dict) else None
        if not isinstance(keys, list):
            raise TargetError("there is no key set at the address of `published`", cause=Cause.MISTAKE)
        if not any(isinstance(one, dict) and one.get("kid") == key.kid for one in keys):
            raise _explain_missing(awaited=awaited)
        return f", and is listed among {len(keys)}"


def _read(settings: base.RotatorSettings) -> SigningKeySettings:
    if not isinstance(settings, SigningKeySettings):
        raise TargetError("the settings are of another rotator", cause=Cause.MISTAKE)
    return settings


def _explain_missing(*, awaited: bool) -> TargetError:
    """A new key that is not found yet is not judged by that: another one would be found no sooner."""
    if not awaited:
        return TargetError("the key set does not list this key", cause=Cause.REJECTED)
    return TargetError(
        "the key set at the address of `published` does not list the new key yet", cause=Cause.OUTAGE
    )


def _expect_known(job: base.Job, settings: SigningKeySettings) -> None:
    """It is listed for as long as others may still hold the key set from before."""
    made_at = job.new_external.get("made_at")
    if not settings.ahead or made_at is None:
        return
    known_at = datetime.fromisoformat(str(made_at)) + timedelta(seconds=settings.ahead)
    if _now() < known_at:
        raise TargetError(
            f"those who check tokens may not have read the new key before {known_at:%Y-%m-%d %H:%M:%S} UTC",
            cause=Cause.OUTAGE,
            retry_at=known_at,
        )


def _now() -> datetime:
    """The time of those who check tokens, which is no clock of ours to turn."""
    return datetime.now(UTC)
