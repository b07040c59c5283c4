"""The vault's rules, pure: limits, legal stage moves, expiry, due times, staleness and hygiene.

Functions of data and `now`: no clock, no I/O, no database. Errors are `InvalidInputError`.
"""

import hashlib
import re
from datetime import datetime, timedelta

from vaultcore.errors import InvalidInputError
from vaultcore.forms import KEY_MAX, LIMITS, VALUE_MAX, Form, explain_form, form_of
from vaultcore.model import (
    Consumers,
    Hygiene,
    Kind,
    Mode,
    Policy,
    ReferenceState,
    Stage,
    Staleness,
)
from vaultcore.names import describe_character, judge

NAME_MIN, NAME_MAX = 3, 50
MASKED_MIN = 4
"""Characters of a value that masking can take out of a text; what is shorter hides the whole text."""
API_KEY_PREFIX = "api-key:"

_EXAMPLE = "prod-ticketing-api-token"
_NO_TEMPLATE = re.compile(r'["{}\\|%]')
_NEVER_WRITTEN = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"{}\\|%]')
ITEM_ID_FORM = "vlt_[0-9a-hjkmnp-tv-z]{26}"
_ITEM_ID = re.compile(ITEM_ID_FORM)

_MOVES: dict[Stage, frozenset[Stage]] = {
    Stage.PENDING: frozenset({Stage.CURRENT, Stage.DESTROYED}),
    Stage.CURRENT: frozenset({Stage.PREVIOUS, Stage.DESTROYED}),
    Stage.PREVIOUS: frozenset({Stage.CURRENT, Stage.DESTROYED}),
    Stage.DESTROYED: frozenset(),
}

# Words that say what a credential is, or where, but not what it opens.
_GENERIC_WORDS = frozenset(
    "a access admin api apikey app auth basic bearer credential credentials cred creds default dev "
    "development env generic item key keys live local login my new old pass passwd password prod "
    "production pw qa sandbox secret secrets service stage staging temp test testing tmp token "
    "tokens uat user username value var vault".split()
)


def make_nameable(name: str) -> str:
    """The name of something else, with dashes for what no item has in its name."""
    return _NO_TEMPLATE.sub("-", name)


def check_name(name: str) -> str:
    """The name as it is kept, if it is one: 3 to 50 characters, usable inside `{{ vault["…"] }}`, and no id."""
    name = judge(name, what="item", least=NAME_MIN, most=NAME_MAX, example=_EXAMPLE)
    found = _NO_TEMPLATE.search(name)
    if found is not None:
        raise InvalidInputError(
            f"item name {name!r} holds {describe_character(found[0])} at position {found.start() + 1}, which a "
            "template cannot name: leave out double quotes, braces, backslash, bar and percent"
        )
    if name == API_KEY_PREFIX:
        raise InvalidInputError(f"item name {name!r} is a prefix alone: write on whose key it is")
    if _ITEM_ID.fullmatch(name):
        raise InvalidInputError(f"item name {name!r} looks like an item's id: choose another")
    return name


def check_written(name: str) -> str:
    """The name as a template has it, if an item may have been given it, by this release or an older one."""
    if not NAME_MIN <= len(name) <= NAME_MAX:
        raise InvalidInputError(
            f"item name {name[:60]!r} has {len(name)} characters: "
            f"use {NAME_MIN} to {NAME_MAX}, for example {_EXAMPLE}"
        )
    if not is_written(name):
        raise InvalidInputError(f"item name {name!r} holds a character that no item's name has")
    return name


def is_written(name: str) -> bool:
    """Whether `check_written` takes it."""
    return NAME_MIN <= len(name) <= NAME_MAX and name == name.strip() and not _NEVER_WRITTEN.search(name)


def is_item_id(text: str) -> bool:
    return _ITEM_ID.fullmatch(text) is not None


def kind_of(name: str) -> Kind:
    return Kind.API_KEY if name.startswith(API_KEY_PREFIX) else Kind.SECRET


def check_given(name: str, *, is_given: bool) -> None:
    """A value is given to every item but those that generate their own."""
    if kind_of(name) is Kind.API_KEY and is_given:
        raise InvalidInputError(f"{name} takes no value: an {API_KEY_PREFIX} item generates its own")
    if kind_of(name) is not Kind.API_KEY and not is_given:
        raise InvalidInputError(f"{name} needs a value")


def check_value(value: str, *, name: str) -> str:
    """The value, if it may be stored: text that can be encoded, 1 to 2,000 characters of it, or 16,000 of a
    PEM key or a JSON key document.
    """
    if not value:
        raise InvalidInputError(f"the value of {name} is empty: give 1 to {VALUE_MAX} characters")
    if len(value) > VALUE_MAX:
        _check_length(value, name=name)
    try:
        value.encode()
    except UnicodeEncodeError:
        pass
    else:
        return value
    raise InvalidInputError(f"the value of {name} is not text: it holds lone surrogates")


def _check_length(value: str, *, name: str) -> None:
    form = form_of(value)
    if len(value) <= LIMITS[form]:
        return
    others = "" if form is not Form.REGULAR else f" ({Form.PEM} or {Form.JSON} may have {KEY_MAX})"
    raise InvalidInputError(
        f"the value of {name} has {len(value)} characters: {LIMITS[form]} at most, since it was taken for "
        f"{form}{others}{explain_form(value)}"
    )


def check_expiry(expires_at: datetime | None, *, name: str, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise InvalidInputError(
            f"the expiry of {name}, {expires_at:%Y-%m-%dT%H:%M:%SZ}, is not in the future: "
            "give a later time, or none"
        )


def expiry_of_next(policy: Policy, now: datetime, *, awaited: datetime | None = None) -> datetime | None:
    """When a new value lapses if nobody says; None: nothing says it.

    `awaited` is the expiry with which an item came in that still waits for this value: while that is to come
    it is the value's own. Otherwise the policy's lifetime counts; an expiry from before was another value's.
    """
    if awaited is not None and awaited > now:
        return awaited
    return None if policy.lifetime is None else now + policy.lifetime


def check_move(old: Stage, new: Stage) -> None:
    """Only these moves exist; nothing ever comes back from `destroyed`."""
    if new not in _MOVES[old]:
        raise InvalidInputError(f"a version cannot go from {old} to {new}")


def check_policy(policy: Policy, *, name: str, kind: Kind) -> None:
    """Refuses what contradicts itself. Rotator and settings are checked by the rotator."""
    _check_times(policy, name)
    if policy.mode is not Mode.NOTIFY and policy.rotator is None:
        raise InvalidInputError(
            f"policy of {name}: mode {policy.mode} needs a rotator: add --rotator NAME, or choose --mode notify"
        )
    if policy.copy_of is not None and (policy.mode is not Mode.NOTIFY or kind is Kind.API_KEY):
        raise InvalidInputError(
            f"policy of {name}: a copy is not replaced by itself, its original is: choose --mode notify, or "
            "--copy-of none"
        )
    if kind is Kind.SECRET and policy.rotator == "workflow-api-key":
        raise InvalidInputError(
            f"policy of {name}: rotator workflow-api-key makes keys for our own callers: "
            f"the item's name must start with {API_KEY_PREFIX}"
        )
    if kind is Kind.API_KEY and policy.rotator not in (None, "workflow-api-key"):
        raise InvalidInputError(
            f"policy of {name}: an {API_KEY_PREFIX} item is rotated by workflow-api-key alone"
        )


def _check_times(policy: Policy, name: str) -> None:
    """Each by itself, and against the others."""
    for field, duration in (
        ("lifetime", policy.lifetime),
        ("lead", policy.lead),
        ("idle_after", policy.idle_after),
        ("approval", policy.approval),
        ("pickup", policy.pickup),
    ):
        if duration is not None and duration <= timedelta(0):
            raise InvalidInputError(f"policy of {name}: {field} must be longer than nothing")
    if any(days < 0 for days in policy.thresholds):
        raise InvalidInputError(f"policy of {name}: thresholds are days before expiry, 0 or more")
    if min(policy.overlap, policy.spread or timedelta(0), policy.propagation) < timedelta(0):
        raise InvalidInputError(f"policy of {name}: overlap, spread and propagation cannot be negative")
    early = policy.lead + (policy.spread or timedelta(0))
    if policy.lifetime is not None and early >= policy.lifetime:
        spread = f" with its spread ({show_duration(policy.spread)})" if policy.spread else ""
        raise InvalidInputError(
            f"policy of {name}: the lead ({show_duration(policy.lead)}){spread} is not shorter than the "
            f"lifetime ({show_duration(policy.lifetime)}): each new value would be due at once"
        )
    if policy.lifetime is not None and policy.overlap > policy.lifetime:
        raise InvalidInputError(
            f"policy of {name}: the overlap ({show_duration(policy.overlap)}) is longer than the "
            f"lifetime ({show_duration(policy.lifetime)})"
        )
    if policy.rotator is not None and policy.overlap > policy.lead:
        raise InvalidInputError(
            f"policy of {name}: the overlap ({show_duration(policy.overlap)}) is longer than the "
            f"lead ({show_duration(policy.lead)}): the old value would expire before it ends"
        )


def needs_consumer(policy: Policy, kind: Kind) -> bool:
    """Whether a new value would be lost on everybody unless something here reads it.

    Values leave the vault for workflows and rotators alone; a key for callers of ours is collected by its
    owner, and what its owner replaces is theirs already.
    """
    replaced_here = policy.mode is not Mode.NOTIFY and kind is not Kind.API_KEY
    return replaced_here and policy.consumers is Consumers.REQUIRED


def default_lead(lifetime: timedelta | None) -> timedelta:
    """14 days, or a third of a lifetime that is too short for that."""
    fortnight = timedelta(days=14)
    return fortnight if lifetime is None else min(fortnight, lifetime / 3)


def lead_of(policy: Policy, life: timedelta | None) -> timedelta:
    """The policy's lead; of a version that a rotation made and whose `life` is known, half of that at most, or
    the share that the policy's own figures give it.

    The other side may give less than the policy says: a whole lead would make each new value due at once. Half
    of a life leaves as much time for its use as for tests, overlap and retries.
    """
    return _bound(policy.lead, life, of=policy.lifetime)


def spread_of(policy: Policy, life: timedelta | None = None) -> timedelta:
    """The policy's own, or a quarter of the lead, and of what the lead leaves of a known lifetime; of a version
    with a `life`, half at most of what its lead leaves.
    """
    left = None if policy.lifetime is None else policy.lifetime - policy.lead
    spread = policy.spread
    if spread is None:
        spread = min([policy.lead] + ([] if left is None else [left])) / 4
    return _bound(spread, None if life is None else life - lead_of(policy, life), of=left)


def overlap_of(policy: Policy, life: timedelta | None) -> timedelta:
    """The policy's overlap, and no longer than the lead of the version that is current: a rotation that still
    waited for its overlap when the next is due would let the value lapse.
    """
    return policy.overlap if life is None else min(policy.overlap, lead_of(policy, life))


def thresholds_of(policy: Policy, life: timedelta | None) -> tuple[int, ...]:
    """The policy's notice thresholds, in days; of a version with a `life`, within the second half of it."""
    if life is None:
        return policy.thresholds
    return tuple(sorted({min(days, (life / 2).days) for days in policy.thresholds}, reverse=True))


def is_misfit(policy: Policy, life: timedelta | None) -> bool:
    """Whether its replacements live so much shorter than the policy says that its lead, its overlap or its
    notices, or nights that come once a day, do not fit.
    """
    if life is None or (policy.lifetime is not None and life > policy.lifetime * 0.99):
        return False
    notices = timedelta(days=0 if policy.mode is Mode.AUTO else max(policy.thresholds, default=0))
    return max(policy.lead, policy.overlap, timedelta(days=1)) > life / 2 or notices >= life


def _bound(wanted: timedelta, life: timedelta | None, *, of: timedelta | None) -> timedelta:
    """At most half of a life, or what `wanted` is of the life that the policy counts on."""
    if life is None:
        return wanted
    share = 0.5 if not of else max(0.5, wanted / of)
    return min(wanted, life * share)


def fraction_of(text: str) -> float:
    """A number from 0 to 1 (excluded) that is the same for the same text, everywhere and for ever."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def rotate_from(
    policy: Policy, expires_at: datetime, *, item_id: str, life: timedelta | None = None
) -> datetime:
    """When a value is to be replaced: its lead before it lapses, and earlier by the item's own share of
    the spread, so that a thousand items made on one day do not fall due in one minute.
    """
    return expires_at - lead_of(policy, life) - spread_of(policy, life) * fraction_of(item_id)


def due_at(
    policy: Policy,
    expires_at: datetime | None,
    *,
    item_id: str,
    waits: bool = False,
    life: timedelta | None = None,
) -> datetime | None:
    """When the night first has something to do for this expiry, absolute; None: never.

    An item that rotates is due when its replacement is; one that only its owner replaces, or that waits for its
    value, at its first notice threshold; one that a person must approve at what comes first.
    """
    if expires_at is None:
        return None
    first_notice = expires_at - timedelta(days=max(thresholds_of(policy, life), default=0))
    if policy.mode is Mode.NOTIFY or waits:
        return first_notice
    rotates = rotate_from(policy, expires_at, item_id=item_id, life=life)
    return rotates if policy.mode is Mode.AUTO else min(rotates, first_notice)


def staleness(state: ReferenceState, now: datetime) -> tuple[Staleness, ...]:
    """In which ways a reference is stale. References of inactive consumers are not looked at.

    A run on the version before is stale only when the overlap is over: until then it is what an
    overlap is for.
    """
    if not state.active:
        return ()
    if state.item_id is None:
        return (Staleness.MISSING,)
    found = []
    if state.expires_at is not None and state.expires_at <= now:
        found.append(Staleness.EXPIRED)
    overlap_is_over = state.activated_at is None or state.activated_at + state.overlap <= now
    if (state.pinned is not None and state.pinned != state.current) or (
        state.pinned is None
        and state.last_version is not None
        and state.last_version != state.current
        and overlap_is_over
    ):
        found.append(Staleness.SUPERSEDED)
    if state.idle_at is not None and state.idle_at <= now:
        found.append(Staleness.IDLE)
    return tuple(found)


def hygiene(
    *,
    name: str,
    owned: bool,
    expires: bool,
    policy: Policy,
    kind: Kind,
    waits: bool = False,
    life: timedelta | None = None,
) -> tuple[Hygiene, ...]:
    """What an item lacks that its creator should have given it, in a fixed order. `waits`: even its value.
    `life`: that of its current version, where a rotation made it.
    """
    found = []
    if not owned:
        found.append(Hygiene.NO_OWNER)
    if not expires:
        found.append(Hygiene.NO_EXPIRY)
    if not policy.stated:
        found.append(Hygiene.NO_PLAN)
    if is_generic(name.removeprefix(API_KEY_PREFIX) if kind is Kind.API_KEY else name):
        found.append(Hygiene.GENERIC_NAME)
    if waits:
        found.append(Hygiene.NO_VALUE)
    if is_misfit(policy, life):
        found.append(Hygiene.MISFIT)
    return tuple(found)


def is_generic(name: str) -> bool:
    """Whether no word of the name says which service it opens."""
    words = [word for word in re.split(r"[\W_]+", name.lower()) if word]
    return all(word in _GENERIC_WORDS or word.isdigit() for word in words)


_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"([0-9]{1,9})([wdhms])")


def parse_duration(text: str) -> timedelta:
    """`90d`, `12h`, `30m`, `10s`, `2w`, and sums of them such as `1d12h`; at most 100 years."""
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise InvalidInputError(f"{text[:40]!r} is not a duration: write it like 90d, 12h, 30m or 1d12h")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if seconds > 100 * 366 * 86400:
        raise InvalidInputError(f"{text[:40]!r} is longer than a hundred years")
    return timedelta(seconds=seconds)


def show_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back; whole seconds."""
    seconds = int(duration.total_seconds())
    if seconds <= 0:
        return "0s"
    parts = []
    for unit in "dhms":
        number, seconds = divmod(seconds, _UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)
