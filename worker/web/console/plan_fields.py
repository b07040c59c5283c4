"""The parts of a plan that forms offer: how each is written, read, and shown as it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from starlette.datastructures import FormData

from vaultcore.errors import InvalidInputError
from vaultcore.model import Policy
from vaultcore.rules import show_duration
from worker.domain.policies import check_part
from worker.web.console.item_fields import FieldError, read_text

NONE: Final = "none"
"""What is written to have none any more."""
_TEXT_MAX: Final = 5_000


class FieldForm(StrEnum):
    """How a part is written."""

    TEXT = "text"
    LINES = "lines"
    SWITCH = "switch"
    CONSUMERS = "consumers"


@dataclass(frozen=True, kw_only=True)
class PlanField:
    """`name` is that of the policy's part. `first`: it is seen at once."""

    name: str
    label: str
    hint: str
    way: FieldForm = FieldForm.TEXT
    first: bool = False


PLAN_FIELDS: Final = (
    PlanField(
        name="lifetime", label="Lifetime", hint="For how long each new value works, such as 90d.", first=True
    ),
    PlanField(name="lead", label="Lead", hint="How long before it lapses it is due, such as 14d.", first=True),
    PlanField(
        name="overlap",
        label="Overlap",
        hint="How long the old value works on beside a new one, such as 1d.",
        first=True,
    ),
    PlanField(
        name="thresholds",
        label="Told before it lapses",
        hint="So many days before, such as 30, 14, 7, 1, 0.",
    ),
    PlanField(
        name="windows",
        label="Windows",
        hint="When it may be replaced by itself, one on each line: 0 2 * * 1-5 for 4h in Europe/Zurich.",
        way=FieldForm.LINES,
    ),
    PlanField(
        name="freezes",
        label="Freezes",
        hint="When nothing of it is changed, one on each line, such as 0 0 20 12 * for 14d.",
        way=FieldForm.LINES,
    ),
    PlanField(
        name="expiry_first",
        label="Replace it outside its windows rather than let it lapse?",
        hint="",
        way=FieldForm.SWITCH,
    ),
    PlanField(name="canary", label="First", hint="The workflow that gets a new value first, or auto."),
    PlanField(name="approval", label="Approval", hint="How long a request for it stands, such as 7d."),
    PlanField(name="pickup", label="Pickup", hint="How long a new key waits to be collected, such as 7d."),
    PlanField(
        name="propagation",
        label="Propagation",
        hint="How long a new value may take until it is accepted everywhere, such as 30s.",
    ),
    PlanField(
        name="answers",
        label="Good answers",
        hint="So many in a row, until a new value counts as accepted: 1 to 20. None: its rotator decides.",
    ),
    PlanField(name="spread", label="Spread", hint="How far before its lead it may be due, such as 3d."),
    PlanField(
        name="idle_after", label="Idle after", hint="Who uses it, and has not run for so long, is idle: 90d."
    ),
    PlanField(name="urgent", label="Tell its owner in their quiet hours, too?", hint="", way=FieldForm.SWITCH),
)
_CONSUMERS: Final = PlanField(
    name="consumers",
    label="Must something here read it?",
    hint="Values leave the vault for workflows and rotators alone: what none of them reads stays as it is.",
    way=FieldForm.CONSUMERS,
)
TARGET_FIELDS: Final = (
    _CONSUMERS,
    PlanField(
        name="four_eyes",
        label="Four eyes?",
        hint="Whoever asked for it may not approve it.",
        way=FieldForm.SWITCH,
    ),
)
"""Parts that say what must be agreed to before a value is sent somewhere."""

NEW_TARGET_FIELDS: Final = (_CONSUMERS,)
"""Those of them that a new item may need to be taken at all."""


def show_plan(policy: Policy, fields: tuple[PlanField, ...] = PLAN_FIELDS) -> dict[str, str]:
    """By name, what stands in the form: each part as it is."""
    return {one.name: _show(getattr(policy, one.name)) for one in fields}


def read_plan(
    form: FormData, policy: Policy | None, fields: tuple[PlanField, ...] = PLAN_FIELDS
) -> dict[str, Any]:
    """The parts that are not as `policy` has them; without one, those that are filled in. `FieldError` at the
    field of one that cannot be meant.
    """
    before: Mapping[str, str] = {} if policy is None else show_plan(policy, fields)
    parts: dict[str, Any] = {}
    for one in fields:
        text = "\n".join(read_text(form, one.name, most=_TEXT_MAX).splitlines())
        cleared = one.way is FieldForm.LINES or one.name == "canary"
        if one.name not in form or text == before.get(one.name, "") or not (text or cleared):
            continue
        try:
            parts[one.name] = _read(one, text)
            check_part(one.name, parts[one.name])
        except InvalidInputError as error:
            problem = str(error)
        else:
            continue
        raise FieldError(one.name, problem)
    return parts


def _show(part: object) -> str:
    if part is None:
        return ""
    if isinstance(part, timedelta):
        return show_duration(part)
    if isinstance(part, bool):
        return "yes" if part else "no"
    if isinstance(part, tuple):
        return ("\n" if any(isinstance(one, str) for one in part) else ", ").join(map(str, part))
    return str(part)


def _read(field: PlanField, text: str) -> object:
    """As a policy's part is given, so far as the text allows that."""
    if field.way is FieldForm.LINES:
        return [] if text in ("", NONE) else [line.strip() for line in text.split("\n") if line.strip()]
    if field.way is FieldForm.SWITCH:
        return {"yes": True, "no": False}.get(text, text)
    if field.name == "thresholds":
        days = re.split(r"[,\s]+", text)
        return [int(one) for one in days] if all(re.fullmatch("[0-9]{1,6}", one) for one in days) else days
    if field.name == "answers":
        if text in ("", NONE):
            return None
        return int(text) if re.fullmatch("[0-9]{1,6}", text) else text
    if field.name == "canary":
        return None if text in ("", NONE) else text
    return text
