"""Requests of the rotator `http`: written from their templates, sent, and what of an answer is no good one."""

import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.outbound import Response, cause_unmet, say_status
from worker.rotators import base
from worker.rotators.http_settings import HttpSettings, Request
from worker.workflows.templates import Scope, render

_STAND_IN = 10**30


def settings_of(job: base.Job) -> HttpSettings:
    if not isinstance(job.settings, HttpSettings):
        raise TargetError("the settings are of another rotator", cause=Cause.MISTAKE)
    return job.settings


def send(
    request: Request,
    job: base.Job,
    *,
    what: str,
    value: Secret | None = None,
    external_id: object = None,
    cursor: str | None = None,
    at: str | None = None,
) -> Response:
    """The answer, whatever it says; a redirect is one. `at` stands in for the URL that the request has."""
    known = _known(job, value=value, external_id=external_id, cursor=cursor)
    scope = Scope(context={"rotation": known}, values=job.values)
    failure: TargetError
    sent = False
    try:
        body = _render_all(request.body, scope)
        headers = _render_headers(request, scope)
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
            if "content-type" not in map(str.lower, headers):
                headers["Content-Type"] = "application/json"
        url = _render_url(request.url, known, job.values) if at is None else at
        sent = True
        return job.http.request(request.method, url, headers=headers, content=body)
    except TargetError as error:
        failure = TargetError(
            f"{what}: {error}", cause=error.cause, acted=sent and error.acted, retry_at=error.retry_at
        )
    raise failure


def poll(
    request: Request,
    job: base.Job,
    url: str,
    *,
    what: str,
    value: Secret | None,
    external_id: object,
    timeout: float,
) -> Response:
    """The answer to a question at that URL, with what opens the request."""
    known = _known(job, value=value, external_id=external_id)
    failure: TargetError
    try:
        headers = _render_headers(request, Scope(context={"rotation": known}, values=job.values))
        kept = {name: text for name, text in headers.items() if not name.lower().startswith("content-")}
        return job.http.request("GET", url, headers=kept, timeout=timeout)
    except TargetError as error:
        failure = TargetError(f"{what}: {error}", cause=error.cause, acted=error.acted, retry_at=error.retry_at)
    raise failure


def write_url(
    request: Request,
    job: base.Job,
    *,
    what: str,
    value: Secret | None = None,
    external_id: object = None,
    cursor: str | None = None,
) -> str:
    """The URL that `send` would ask."""
    problem = ""
    known = _known(job, value=value, external_id=external_id, cursor=cursor)
    try:
        return _render_url(request.url, known, job.values)
    except TargetError as error:
        problem = f"{what}: {error}"
    raise TargetError(problem, cause=Cause.MISTAKE, acted=False)


def check_good(answer: Response, request: Request, what: str, *, judges: bool = False) -> None:
    """`TargetError` unless it is what the settings call a good answer: any of 2xx, if they say nothing.

    `judges`: a credential is asked about, so that what is answered, and is no good answer, is a rejection.
    """
    expect = request.expect
    stated = expect is not None and answer.status in expect.status
    lacks = None if expect is None else expect.judge(answer)
    if not stated and not 200 <= answer.status < 300:
        problem, acted = f"the service {say_status(answer.status)}", answer.status < 400
    elif lacks is not None:
        problem, acted = f"the answer is not the expected one: {lacks}", True
    else:
        return
    cause = cause_unmet(answer) if judges else answer.cause or Cause.MISTAKE
    acted = acted or cause is Cause.OUTAGE
    raise TargetError(f"{what}: {problem}", cause=cause, acted=acted, retry_at=answer.retry_at)


def _known(
    job: base.Job, *, value: Secret | None = None, external_id: object = None, cursor: str | None = None
) -> dict[str, Any]:
    known: dict[str, Any] = {"label": job.label, "item": job.item, "cursor": cursor or ""}
    if value is not None:
        known["value"] = value.expose()
    if external_id is not None:
        known["id"] = external_id
    return known


def _render_url(text: str, known: Mapping[str, Any], values: Mapping[str, Secret]) -> str:
    """What the other side chose is one part of the URL, whatever it holds: a slash leads to no other place.

    It is written in after the rest, so that a template that encodes it itself does not encode it twice; where
    that makes something else of it, such as base64, it is given to the template as it is.
    """
    parts = {name: str(known[name]) for name in ("id", "value", "cursor") if name in known}
    odd = {name: quote(part, safe="") for name, part in parts.items() if quote(part, safe="") != part}
    stand_ins = {name: str(_STAND_IN + secrets.randbelow(_STAND_IN)) for name in odd}
    url = render(text, Scope(context={"rotation": {**known, **stand_ins}}, values=values)).text
    written = {name: stand_in for name, stand_in in stand_ins.items() if stand_in in url}
    if written != stand_ins:
        url = render(text, Scope(context={"rotation": {**known, **written}}, values=values)).text
    for name, stand_in in written.items():
        url = url.replace(stand_in, odd[name])
    return url


def _render_headers(request: Request, scope: Scope) -> dict[str, str]:
    return {name: render(text, scope, header=True).text for name, text in request.headers.items()}


def _render_all(data: Any, scope: Scope) -> Any:  # noqa: ANN401  # JSON
    if isinstance(data, str):
        return render(data, scope).text
    if isinstance(data, Mapping):
        return {key: _render_all(part, scope) for key, part in data.items()}
    if isinstance(data, list):
        return [_render_all(part, scope) for part in data]
    return data
