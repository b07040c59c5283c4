"""Odd answers to the rotator `http`: a clear cause, nothing left outside, and the old value works."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from nightkey_demo.faces import Face
from nightkey_demo.loopback import Answer, Incoming, LoopbackServer
from nightkey_demo.token_service import TokenService
from tests.http_rotator import ACCOUNT, NOW, ROTATOR, describe, fail, make_job
from tests.numbered import NumberedTokens
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret

DEEP = "[" * 1500 + "]" * 1500
Change = Callable[[dict[str, Any]], Answer]


class Odd(TokenService):
    """Issues as ever, and says so in another way."""

    def __init__(self, say: Change) -> None:
        super().__init__(clock=lambda: NOW)
        self.say = say

    def respond(self, incoming: Incoming) -> Answer | None:
        answer = super().respond(incoming)
        if answer is None or incoming.method != "POST" or answer.status != 201:
            return answer
        return self.say(answer.body)


def say(**changes: Any) -> Change:
    return lambda body: Answer(status=201, body=body | changes)


def say_raw(text: str) -> Change:
    return lambda body: Answer(status=201, xml=text % {"token": body["token"], "id": body["id"]})


def say_nothing(status: int, **headers: str) -> Change:
    return lambda _: Answer(status=status, headers=headers)


LEFT = "nightkey-rot_1, and revoke it"
CANNOT_BE_ID = "issue: what lies at id cannot be an id: it holds a control character"
UNUSABLE: dict[str, tuple[Change, str]] = {
    "NUL in the token": (say(token="a\0b"), "issue: what lies at token holds a control character"),
    "CR in the token": (say(token="a\rb"), "issue: what lies at token holds a line break, and verify sends it"),
    "LF in the token": (say(token="a\n"), "issue: what lies at token holds a line break, and verify sends it"),
    "a lone surrogate in the token": (say(token="a\ud800b"), "issue: the value of prod-crm-token is not text"),
    "a token too long": (say(token="a" * 2001), "issue: the value of prod-crm-token has 2001 characters"),
    "a token that is a number": (
        say(token=10**20),
        "issue: the answer holds no value at path `token`, but what is not text",
    ),
    "no token": (
        lambda body: Answer(status=200, body={"id": body["id"]}),
        "issue: the answer holds no value at path `token`",
    ),
}
"""Nothing that its use could tell of."""
USABLE: dict[str, tuple[Change, str]] = {
    "an end that is a number of a hundred digits": (
        say(expires_at=10**99),
        "issue: the answer holds no time at path `expires_at`, but a number",
    ),
    "NUL in the id": (say(id="a\0b"), CANNOT_BE_ID),
    "CR in the id": (say(id="a\rb"), CANNOT_BE_ID),
    "LF in the id": (say(id="a\nb"), CANNOT_BE_ID),
    "a lone surrogate in the id": (say(id="a\ud800"), CANNOT_BE_ID),
    "an id that leads up": (say(id=".."), CANNOT_BE_ID),
    "an id too long": (say(id="a" * 501), CANNOT_BE_ID),
    "true for an id": (say(id=True), "issue: the answer holds no id at path `id`: see setting id"),
    "the token for an id": (
        lambda body: Answer(status=201, body=body | {"id": body["token"]}),
        "issue: at id lies a value, and a value is never kept as an id",
    ),
    "the token in an id": (
        lambda body: Answer(status=201, body=body | {"id": f"https://x/{body['token']}"}),
        "issue: at id lies a value, and a value is never kept as an id",
    ),
}
SILENT: dict[str, tuple[Change, str]] = {
    "an empty body": (
        say_nothing(200),
        "issue: the answer holds no value at path `token`, and no body came with 200",
    ),
    "204": (say_nothing(204), "issue: the answer holds no value at path `token`, and no body came with 204"),
    "202 with a Location": (
        say_nothing(202, Location="/v1/jobs/1"),
        "issue: the service accepted it, to do it later (202): where it is to be asked for its end, it",
    ),
    "a redirect": (say_nothing(303, Location="/v1/jobs/1"), "issue: the service answered 303, a redirect"),
    "deeper than a thousand levels": (
        say_raw('{"token": "%(token)s", "id": "%(id)s", "more": ' + DEEP + "}"),
        "issue: the answer holds no value at path `token`, since the body cannot be read as JSON (nested",
    ),
    "NaN": (
        say_raw('{"token": "%(token)s", "id": NaN}'),
        "issue: the answer holds no value at path `token`, since the body cannot be read as JSON (NaN",
    ),
}


def refuse(service: Odd, old: Secret, **changes: Any) -> TargetError:
    with pytest.raises(TargetError) as caught:
        ROTATOR.create(make_job(service, old=old, settings=describe(service, **changes)))
    return caught.value


@pytest.mark.parametrize("name", [*USABLE, *UNUSABLE, *SILENT])
def test_what_an_odd_answer_gave_is_found_and_revoked_and_the_old_value_works(name):
    change, problem = (USABLE | UNUSABLE | SILENT)[name]
    with Odd(change) as service:
        old_id, old = service.issue(ACCOUNT)
        error = refuse(service, Secret(old))
        assert str(error).startswith(problem)
        assert (error.cause, error.acted, error.__context__) == (Cause.MISTAKE, True, None)
        job = replace(make_job(service, old=Secret(old)), unanswered=True)
        assert ROTATOR.undo(job).startswith("revoked what was issued (")
        assert service.live_tokens(ACCOUNT) == [old_id]
        assert service.is_live(old)


@pytest.mark.parametrize("name", USABLE)
def test_without_a_search_what_cannot_be_used_is_revoked_at_once_by_the_id_that_its_use_tells(name):
    change, problem = USABLE[name]
    with Odd(change) as service:
        old_id, old = service.issue(ACCOUNT)
        error = refuse(service, Secret(old), find=None)
        assert str(error).startswith(problem)
        assert str(error).endswith("; what was issued is revoked")
        assert (error.cause, error.acted) == (Cause.MISTAKE, False)
        assert service.live_tokens(ACCOUNT) == [old_id]


@pytest.mark.parametrize("name", [*UNUSABLE, *SILENT])
def test_without_a_search_what_no_use_tells_of_is_said_to_be_left_with_its_label(name):
    change, problem = (UNUSABLE | SILENT)[name]
    with Odd(change) as service:
        _, old = service.issue(ACCOUNT)
        error = refuse(service, Secret(old), find=None)
        assert str(error).startswith(problem)
        assert error.acted
        settings = describe(service, find=None)
        job = replace(make_job(service, old=Secret(old), settings=settings), unanswered=True)
        said, cause = fail(ROTATOR.undo, job)
        assert said.endswith("no `find` is set to look it up: look there for nightkey-rot_1, and revoke it")
        assert cause is Cause.MISTAKE
        assert service.is_live(old)


def test_a_service_that_gives_the_value_in_use_again_replaces_nothing_and_loses_nothing():
    with Odd(say()) as service:
        old_id, old = service.issue(ACCOUNT)
        service.say = lambda body: Answer(status=200, body={"token": old, "id": old_id, "expires_at": None})
        error = refuse(service, Secret(old))
        assert str(error) == "issue: the service gave the value that is in use already: nothing is replaced"
        assert (error.cause, error.acted) == (Cause.MISTAKE, False)
        assert service.is_live(old)


def test_a_line_break_is_no_flaw_of_a_value_that_goes_into_a_body():
    key = "-----BEGIN PRIVATE KEY-----\nTm90IGEga2V5\n-----END PRIVATE KEY-----\n"
    with Odd(say(token=key)) as service:
        settings = describe(service)
        settings["verify"] |= {"headers": {}, "method": "POST", "body": {"key": "{{ rotation.value }}"}}
        assert ROTATOR.create(make_job(service, settings=settings)).value == Secret(key)


@pytest.mark.parametrize("number", [10**99, -(10**99), 2**53 + 1])
def test_a_number_that_readers_of_json_read_differently_is_an_id_as_text(number):
    with Odd(say(id=number)) as service:
        assert ROTATOR.create(make_job(service)).external == {"id": str(number)}


# Ids in URLs


class Paths(LoopbackServer):
    """Tokens by ids that hold whatever a URL is made of; `DELETE /all` takes all of them away."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[str, str] = {}
        self.deleted: list[str] = []

    def respond(self, incoming: Incoming) -> Answer:
        if incoming.method == "GET":
            value = incoming.headers.get("authorization", "").removeprefix("Bearer ")
            found = next((one for one, held in self.live.items() if held == value), None)
            return Answer(status=401) if found is None else Answer(status=200, body={"id": found})
        self.deleted.append(incoming.path)
        name = unquote(incoming.path.removeprefix("/tokens/").removesuffix("/end"))
        gone = self.live.pop(name, None) if incoming.path.count("/") == 3 else None
        return Answer(status=404 if gone is None else 204)


@pytest.mark.parametrize(
    "odd_id",
    ["a/b", "../all", "a?b=c", "a#b", "a%2Fb", "a b", "a;b", "https://127.0.0.1/all", "é", "a&b", "..%2f"],
)
@pytest.mark.parametrize("written", ["{{ rotation.id }}", "{{ rotation.id | url_encode }}"])
def test_an_id_is_one_part_of_a_url_whatever_it_holds(odd_id, written):
    with Paths() as service:
        service.live = {odd_id: "the-new-value", "all": "another", "a": "a third"}
        settings = {
            "id": "id",
            "verify_id": "id",
            "issue": {"url": f"{service.url}/tokens"},
            "verify": {
                "method": "GET",
                "url": f"{service.url}/me",
                "headers": {"Authorization": "Bearer {{ rotation.value }}"},
            },
            "revoke": {"method": "DELETE", "url": f"{service.url}/tokens/{written}/end"},
        }
        job = make_job(service, settings=settings)
        job = replace(job, new=Secret("the-new-value"), new_external={"id": odd_id})
        assert ROTATOR.verify(job, Secret("the-new-value"))
        assert ROTATOR.undo(job) == "revoked what was issued (1)"
        assert service.live == {"all": "another", "a": "a third"}
        assert len(service.deleted) == 1


def test_an_id_that_a_template_writes_in_another_form_is_written_so():
    with Paths() as service:
        settings = describe(service, find=None, verify_id=None)
        settings["revoke"] = {"method": "DELETE", "url": f"{service.url}/{{{{ rotation.id | base64_encode }}}}"}
        job = make_job(service, settings=settings)
        job = replace(job, new=Secret("the-new-value"), new_external={"id": "a b/c"}, shown=True)
        ROTATOR.undo(job)
        assert service.deleted == ["/YSBiL2M="]


# One id for two


def test_an_id_that_the_old_and_the_new_value_share_ends_neither():
    """A service that has one id for an account, of which the value is replaced."""
    with Paths() as service:
        old, new = Secret("the-old-value"), Secret("the-new-value")
        service.live = {"one": new.expose(), "other": old.expose()}
        settings = describe(service, find=None, verify_id=None, verify={
            "method": "GET",
            "url": f"{service.url}/me",
            "headers": {"Authorization": "Bearer {{ rotation.value }}"},
        })  # fmt: skip
        settings["revoke"]["url"] = f"{service.url}/tokens/{{{{ rotation.id }}}}/end"
        job = replace(
            make_job(service, old=old, settings=settings, external={"id": "one"}),
            new=new,
            new_external={"id": "one"},
            held=frozenset({"one"}),
        )
        message, cause = fail(ROTATOR.revoke, job)
        assert message == (
            "revoke: the service calls the old and the new value one, so that revoking by this id would end "
            "both: let revoke name rotation.value"
        )
        assert cause is Cause.MISTAKE
        del service.live["other"]
        assert ROTATOR.revoke(job) == "the service refused the old value already"
        message, cause = fail(ROTATOR.undo, job)
        assert message.startswith("undo: the service calls the new value one, as a version that is in use")
        assert cause is Cause.MISTAKE
        assert (service.live, service.deleted) == ({"one": new.expose()}, [])


def test_an_old_value_that_is_called_as_another_version_is_not_revoked_by_that_name():
    with TokenService(clock=lambda: NOW) as service:
        old_id, old = service.issue(ACCOUNT)
        made = ROTATOR.create(make_job(service))
        job = replace(make_job(service, old=Secret(old), made=made), held=frozenset({old_id}))
        message, cause = fail(ROTATOR.revoke, job)
        assert message.startswith(
            f"revoke: the service calls the old value {old_id}, as a version that is in use"
        )
        assert cause is Cause.MISTAKE
        assert service.is_live(old)


# An id that is another's

OLD, THEIRS, NEW = 1, 2, 3


@contextmanager
def be_told(number: int, **changes: Any) -> Iterator[tuple[NumberedTokens, Secret, dict[str, Any]]]:
    """A service that says so of whatever it issues; the old value there, given by hand; and settings."""
    with NumberedTokens(issued=lambda _: number) as service:
        old = Secret(service.issue())
        service.issue("of another team")
        yield service, old, service.describe(**changes)


@pytest.mark.parametrize("told", [OLD, THEIRS])
def test_an_id_that_the_use_of_the_value_contradicts_is_never_revoked(told):
    with be_told(told) as (service, old, settings):
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        assert made.external == {"id": told}
        job = make_job(service, old=old, made=made, settings=settings)
        assert fail(ROTATOR.verify, job, made.value) == (
            f"verify: the service takes the value for another credential than {told}: compare id and verify_id",
            Cause.MISTAKE,
        )
        assert ROTATOR.undo(job) == "revoked what was issued (1)"
        assert service.deletions() == [f"/tokens/{NEW}"]
        message, _ = fail(ROTATOR.undo, job)
        assert message.startswith(
            f"undo: the new value is refused, and possibly left outside: issue called it {told}"
        )
        assert message.endswith(LEFT)
        assert set(service.live) == {OLD, THEIRS}


@pytest.mark.parametrize("told", [OLD, THEIRS])
def test_where_no_list_says_which_of_two_ids_is_right_neither_is_revoked(told):
    with be_told(told, find=None) as (service, old, settings):
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        message, cause = fail(ROTATOR.undo, make_job(service, old=old, made=made, settings=settings))
        assert message.startswith(
            f"undo: the service still accepts the new value; issue called it {told}, its use calls it {NEW}, "
            "and nothing lists either"
        )
        assert message.endswith(LEFT)
        assert cause is Cause.MISTAKE
        assert service.deletions() == []


def test_a_refused_value_is_not_taken_away_by_the_id_of_the_old_one():
    with be_told(OLD, find=None) as (service, old, settings):
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        service.deaf = {made.value.expose()}
        message, cause = fail(ROTATOR.undo, make_job(service, old=old, made=made, settings=settings))
        assert message.endswith(LEFT)
        assert cause is Cause.MISTAKE
        assert (service.deletions(), service.accepts(old.expose())) == ([], True)


@pytest.mark.parametrize("told", [OLD, THEIRS])
def test_an_answer_that_cannot_be_used_takes_nothing_back_by_another_s_id(told):
    with be_told(told, find=None, expires="expires_at") as (service, old, settings):
        with pytest.raises(TargetError, match="no time at path `expires_at`: see setting") as caught:
            ROTATOR.create(make_job(service, old=old, settings=settings))
        assert caught.value.acted
        assert service.deletions() == []


@pytest.mark.parametrize("search", ["find", "no find"])
@pytest.mark.parametrize("given", ["its id", "no id"])
def test_an_answer_that_cannot_be_used_takes_back_nothing_that_a_list_does_not_speak_for(given, search):
    """Its use calls it another's."""
    with NumberedTokens(used=lambda number: THEIRS if number == NEW else number) as service:
        old = Secret(service.issue())
        service.issue("of another team")
        odd = {"expires": "expires_at"} if given == "its id" else {"id": "nothing"}
        settings = service.describe(None, **odd, **({} if search == "find" else {"find": None}))
        with pytest.raises(TargetError) as caught:
            ROTATOR.create(make_job(service, old=old, settings=settings))
        if (given, search) == ("its id", "find"):
            assert str(caught.value).endswith("; what was issued is revoked")
            assert set(service.live) == {OLD, THEIRS}
        elif search == "find":
            assert set(service.live) == {OLD, THEIRS, NEW}, "undo finds it"
        elif given == "its id":
            assert set(service.live) == {OLD, THEIRS, NEW}
        else:
            assert "it was revoked, and the service does not refuse it: look there for" in str(caught.value)
        assert caught.value.acted


def test_an_answer_whose_value_cannot_be_used_takes_nothing_back_by_the_id_of_the_old_one():
    with be_told(OLD, find=None, value="nothing") as (service, old, settings):
        with pytest.raises(TargetError, match="issue: the answer holds no value at path `nothing`"):
            ROTATOR.create(make_job(service, old=old, settings=settings))
        assert service.deletions() == []


def test_an_old_value_is_not_revoked_by_an_id_that_its_use_contradicts():
    with NumberedTokens() as service:
        settings = service.describe()
        old = Secret(service.issue())
        service.issue("of another team")
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        job = make_job(service, old=old, made=made, settings=settings, external={"id": THEIRS})
        assert fail(ROTATOR.revoke, job) == (
            (
                f"revoke: the service takes the old value for {OLD}, and called it {THEIRS} when it issued it: "
                "nothing is revoked; compare id and verify_id"
            ),
            Cause.MISTAKE,
        )
        assert service.deletions() == []


# What a good answer holds


@pytest.mark.parametrize("name", ["issue", "verify", "revoke", "find"])
def test_an_answer_that_is_not_what_the_settings_call_good_is_no_success(name):
    with TokenService(clock=lambda: NOW) as service:
        _, old = service.issue(ACCOUNT)
        settings = describe(service)
        settings[name]["expect"] = {"status": [200, 201, 204], "json": {"ok": True}}
        made = ROTATOR.create(make_job(service)) if name != "issue" else None
        job = replace(
            make_job(service, old=Secret(old), made=made, settings=settings), unanswered=name == "find"
        )
        steps: dict[str, Callable[[], object]] = {
            "issue": lambda: ROTATOR.create(job),
            "verify": lambda: ROTATOR.verify(job, Secret(old)),
            "revoke": lambda: ROTATOR.undo(job),
            "find": lambda: ROTATOR.undo(job),
        }
        with pytest.raises(TargetError) as caught:
            steps[name]()
        assert f"{name}: the answer is not the expected one: ok in the body is not true" in str(caught.value)
        assert caught.value.cause is (Cause.REJECTED if name == "verify" else Cause.MISTAKE)
        assert service.is_live(old)


def test_a_status_that_the_settings_call_good_is_one():
    with TokenService(clock=lambda: NOW) as service:
        settings = describe(service, verify_id=None)
        settings["verify"]["expect"] = {"status": [401]}
        assert (
            ROTATOR.verify(make_job(service, settings=settings), Secret("x")) == "the service accepts it (401)"
        )


@pytest.mark.parametrize(
    ("face", "problem"),
    [
        (Face.SAYS_NO_WITH_200, "verify: the answer holds no id at path `token_id`"),
        (Face.SIGN_IN, "verify: the service answered 302, a redirect to another place"),
    ],
)
def test_a_service_that_lets_nobody_in_with_a_good_status_accepts_nothing(face, problem):
    with TokenService(clock=lambda: NOW) as service:
        made = ROTATOR.create(make_job(service))
        job = make_job(service, made=made)
        assert ROTATOR.verify(job, made.value) == "the service accepts it (200)"
        ROTATOR.undo(job)
        service.faces = frozenset({face})
        with pytest.raises(TargetError) as caught:
            ROTATOR.verify(job, made.value)
        assert str(caught.value).startswith(problem)
        assert caught.value.cause is Cause.REJECTED


def test_a_value_that_opens_another_credential_is_a_mistake_that_no_other_candidate_would_mend():
    with Paths() as service:
        service.live = {"two": "the-new-value"}
        settings = describe(service, find=None, verify_id="id", verify={
            "method": "GET",
            "url": f"{service.url}/me",
            "headers": {"Authorization": "Bearer {{ rotation.value }}"},
        })  # fmt: skip
        job = replace(
            make_job(service, settings=settings), new=Secret("the-new-value"), new_external={"id": "one"}
        )
        assert fail(ROTATOR.verify, job, Secret("the-new-value")) == (
            "verify: the service takes the value for another credential than one: compare id and verify_id",
            Cause.MISTAKE,
        )
        assert ROTATOR.verify(replace(job, new_external={"id": "two"}), Secret("the-new-value"))


def test_a_value_that_its_owner_gave_need_not_have_an_id_and_the_old_one_is_revoked():
    class Nameless(Paths):
        """Says what it calls a token only of those that were issued by its interface."""

        def respond(self, incoming: Incoming) -> Answer:
            answer = super().respond(incoming)
            return replace(answer, body={}) if answer.body == {"id": "by hand"} else answer

    with Nameless() as service:
        service.live = {"one": "the-old-value", "by hand": "the-new-value"}
        settings = describe(service, find=None, verify_id="id", verify={
            "method": "GET",
            "url": f"{service.url}/me",
            "headers": {"Authorization": "Bearer {{ rotation.value }}"},
        })  # fmt: skip
        settings["revoke"]["url"] = f"{service.url}/tokens/{{{{ rotation.id }}}}/end"
        given, old = Secret("the-new-value"), Secret("the-old-value")
        job = replace(make_job(service, old=old, settings=settings, external={"id": "one"}), new=given)
        assert ROTATOR.verify(job, given) == "the service accepts it (200)"
        assert ROTATOR.revoke(job) == "revoked, and the service refuses the old value"
        assert service.live == {"by hand": "the-new-value"}
        never = "verify: the service answered 401"
        assert fail(ROTATOR.verify, job, Secret("never-issued")) == (never, Cause.REJECTED)
