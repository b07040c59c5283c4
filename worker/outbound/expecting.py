"""What a good answer holds, as whoever asks says it: a status alone is said by a sign-in page as well."""

import json
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from vaultcore.errors import Cause, TargetError
from worker.domain.json_paths import take_path
from worker.outbound.answers import Response, cause_of

_SHOWN = 60
"""Characters of what was expected, in a sentence."""
_FOR_THIS_ONCE = (302, 303, 307)

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr | None


class Expect(BaseModel):
    """All that is named must hold. What is not named may be anything, but the status: without one it is 2xx."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, serialize_by_alias=True)

    status: list[int] = Field(default_factory=list, max_length=20, description="one of these; any 2xx if empty")
    fields: dict[str, Scalar] = Field(
        default_factory=dict,
        max_length=20,
        alias="json",
        description="dotted paths in the JSON body, the whole if empty, and what lies there: text, a number, "
        "true, false or null",
    )
    header: dict[str, str] = Field(
        default_factory=dict,
        max_length=20,
        description="headers, and their texts; what follows a semicolon may be left out",
    )
    text: str = Field(default="", max_length=1000, description="a text that the body holds")
    text_absent: str = Field(default="", max_length=1000, description="a text that the body does not hold")

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if not (self.status or self.tells):
            raise ValueError("name at least one of status, json, header and text: nothing would be expected")
        if any(not 200 <= status <= 599 for status in self.status):
            raise ValueError("status: an answer has one from 200 to 599")
        if any(not name.strip() for name in self.header):
            raise ValueError("header: a name is empty")
        return self

    @property
    def tells(self) -> bool:
        """Whether more than a status is looked at: such an answer is a good one wherever it came from."""
        return bool(self.fields or self.header or self.text or self.text_absent)

    @property
    def reads_body(self) -> bool:
        return bool(self.fields or self.text)

    def judge(self, answer: Response) -> str | None:
        """None: a good answer. Else what it lacks, in words of the expectation alone: whatever the other side
        said, but its status, may hold a value.
        """
        if not _is_among(answer.status, self.status):
            wanted = " or ".join(map(str, self.status)) or "2xx"
            return f"the status {answer.status} is not {wanted}"
        if self.fields and answer.flaw is not None:
            return f"the body cannot be read as JSON ({answer.flaw})"
        for path, expected in self.fields.items():
            if not _is_same(_look(answer.body, path), expected):
                where = f"{path[:_SHOWN]} in the body" if path else "the body"
                return f"{where} is not {_show(expected)}"
        for name, text in self.header.items():
            found = answer.headers.get(name.lower(), "")
            if text not in (found, found.partition(";")[0].strip()):
                return f"the header {name[:_SHOWN]} is not {_show(text)}"
        body = answer.text
        if self.text not in body:
            return f"the body does not hold {_show(self.text)}"
        if self.text_absent and self.text_absent in body:
            return f"the body holds {_show(self.text_absent)}"
        return None


def cause_unmet(answer: Response | int) -> Cause:
    """Why an answer, or one of a status, is not the expected one. What was served otherwise (200) but does not
    hold what a good answer holds has not let the caller in: it judges the credential, as a 401 does. So does a
    redirect for this once (302), most likely to a page that asks for a login; one for good says that the URL is
    another.
    """
    status, cause = (answer, cause_of(answer)) if isinstance(answer, int) else (answer.status, answer.cause)
    return Cause.REJECTED if cause is None or status in _FOR_THIS_ONCE else cause


def _is_among(status: int, wanted: list[int]) -> bool:
    return status in wanted if wanted else 200 <= status < 300


def _look(body: Any, path: str) -> Any:  # noqa: ANN401  # JSON
    try:
        return take_path(body, path)
    except TargetError:
        return _NOTHING


_NOTHING = object()


def _is_same(found: object, expected: Scalar) -> bool:
    """True is not 1, though Python has it so."""
    return isinstance(found, bool) is isinstance(expected, bool) and found == expected


def _show(expected: Scalar) -> str:
    shown = json.dumps(expected)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
