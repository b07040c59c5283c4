"""The settings of the rotator `http`: its requests, and where their answers hold what."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from vaultcore.errors import InvalidInputError
from vaultcore.references import texts_in
from worker.outbound.expecting import Expect
from worker.rotators import base
from worker.workflows.templates import Path, check, check_reads, find_reads
from worker.workflows.url_hosts import check_host

VALUE: Path = ("rotation", "value")
ID: Path = ("rotation", "id")
CURSOR: Path = ("rotation", "cursor")
_ALWAYS = frozenset({"label", "item"})
_SEEN: Mapping[str, frozenset[str]] = {
    "issue": _ALWAYS,
    "verify": _ALWAYS | {"value"},
    "revoke": _ALWAYS | {"value", "id"},
    "find": _ALWAYS,
    "inventory": frozenset({"item"}),
}
"""What each request sees of `rotation`; with `find_next`, the last two see `rotation.cursor` as well."""
_LISTS = ("find", "inventory")


class Request(base.RotatorSettings):
    """One HTTP request; `url`, `headers` and `body` are templates, and a `body` that is not text is JSON.

    `expect`: what a good answer holds; without it, any status of 2xx is one. A redirect is not followed.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | dict[str, Any] | None = None
    expect: Expect | None = None

    @model_validator(mode="after")
    def _check_templates(self) -> "Request":
        for field, text, header in self.templates():
            problem = ""
            try:
                check(text, header=header)
            except InvalidInputError as error:
                problem = str(error)
            if problem:
                raise ValueError(f"{field}: {problem}")
        return self

    def templates(self) -> list[tuple[str, str, bool]]:
        """(field, text, whether it is a header) of each."""
        texts = [("url", self.url, False), *((f"headers.{n}", t, True) for n, t in self.headers.items())]
        return texts + [("body", text, False) for text in texts_in(self.body)]

    def reads(self, path: Path, *, headers_alone: bool = False) -> bool:
        """Whether one of its templates needs that."""
        return any(
            path in find_reads(text, header=header)
            for _, text, header in self.templates()
            if header or not headers_alone
        )

    def asks_by_value_alone(self) -> bool:
        """Whether nothing but the credential in question opens it: no item does."""
        if any(check(text, header=header) for _, text, header in self.templates()):
            return False
        return self.reads(VALUE)


class HttpSettings(base.RotatorSettings):
    """Paths are dotted, as in `data.token`; `header:NAME` takes a header of the answer instead."""

    issue: Request = Field(description="the request that makes a credential; it should carry rotation.label")
    value: str = Field(default="token", description="the path of the value in the answer to issue")
    id: str | None = Field(default=None, description="the path of what the service calls it")
    expires: str | None = Field(
        default=None, description="the path of its expiry: a time or a period, in any usual form"
    )
    verify: Request = Field(description="a request that only an accepted credential, rotation.value, is served")
    verify_id: str | None = Field(
        default=None,
        description="the path of the credential's id in its answer; none there is a rejection, and another one "
        "than id told is a mistake",
    )
    revoke: Request = Field(description="the request that takes rotation.id or rotation.value away")
    find: Request | None = Field(default=None, description="a request that lists what bears rotation.label")
    find_ids: str = Field(default="*.id", description="the path of the ids in its answer; * is every entry")
    find_label: str | None = Field(
        default=None,
        description="the path in each entry of what must be rotation.label, where find lists others too",
    )
    find_next: str | None = Field(
        default=None,
        description="the path of the next page's URL or cursor in a list's answer; `Link: rel=next` needs none",
    )
    find_cursor: str | None = Field(
        default=None,
        min_length=1,
        description="the parameter of the URL's query that takes the cursor; or the request names "
        "rotation.cursor, which is empty for the first page",
    )
    inventory: Request | None = Field(
        default=None,
        description="a request that lists all credentials of the account, in the shape that find has: after a "
        "restore, what the vault does not know is named",
    )
    inventory_label: str = Field(
        default="label", description="the path in each entry of the label that it bears"
    )
    inventory_gone: str | None = Field(
        default=None,
        description="the path in each entry, also of find, of what is true once it works no longer (revoked)",
    )
    overlaps: bool = Field(
        default=True, description="whether the old credential works on once the new one is issued"
    )

    @model_validator(mode="after")
    def _check_find(self) -> "HttpSettings":
        if self.find is not None and self.id is None and self.verify_id is None:
            raise ValueError(
                "find needs id or verify_id: without it, what find lists cannot be told from the new credential"
            )
        return self

    @model_validator(mode="after")
    def _check_ids(self) -> "HttpSettings":
        entries = self.find_ids.partition("*")[2].strip(".") if "*" in self.find_ids else self.find_ids
        for name, path in (("id", self.id), ("verify_id", self.verify_id), ("find_ids", entries)):
            if path is not None and _spell(path) == _spell(self.value):
                raise ValueError(
                    f"{name}: it takes what value takes, and a value is never kept as an id: name another path"
                )
        return self

    @model_validator(mode="after")
    def _check_pages(self) -> "HttpSettings":
        if self.find_cursor is not None and self.find_next is None:
            raise ValueError("find_cursor needs find_next: the path of the cursor in the answer")
        for name in _LISTS:
            request: Request | None = getattr(self, name)
            if request is not None and self.find_next is None and request.reads(CURSOR):
                raise ValueError(f"{name}: rotation.cursor needs find_next: the path of the cursor")
        return self

    @model_validator(mode="after")
    def _check_reads(self) -> "HttpSettings":
        for name, seen in _SEEN.items():
            request: Request | None = getattr(self, name)
            paged = {"cursor"} if name in _LISTS and self.find_next is not None else set[str]()
            for field, text, header in [] if request is None else request.templates():
                problem = ""
                try:
                    paths = check_reads(text, {"rotation": seen | paged}, header=header)
                except InvalidInputError as error:
                    paths, problem = (), str(error)
                if not problem and field == "url":
                    problem = _explain_host(text)
                if ID in paths and self.id is None and self.verify_id is None:
                    problem = "rotation.id is not known without id or verify_id: set one of them"
                if problem:
                    raise ValueError(f"{name}.{field}: {problem}")
        return self


def _explain_host(url: str) -> str:
    """What another side chose, and what is secret, leads nowhere else and is looked up nowhere."""
    try:
        check_host(url, (VALUE, ID, CURSOR), escapes=True)
    except InvalidInputError as error:
        return str(error)
    return ""


def _spell(path: str) -> str:
    """Names of headers mean the same in any case."""
    where, separator, name = path.partition(":")
    return f"header:{name.lower()}" if separator and where == "header" else path
