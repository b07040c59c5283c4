"""The rotator `http` against a real service: each step, its repeat, and what a lost answer leaves behind."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightkey_demo.loopback import Answer, Incoming, LoopbackServer
from nightkey_demo.token_service import TokenService, _digest
from tests.http_rotator import ACCOUNT, ADMIN, NOW, ROTATOR, describe, fail, make_job
from tests.numbered import NumberedTokens
from vaultcore.errors import Cause
from vaultcore.secret import Secret
from worker.rotators.catalog import parse_settings

NO_TEXT = "issue: the answer holds no value at path `token`, but what is not text, or empty: see setting value"
NO_TIME = "issue: the answer holds no time at path `expires_at`, but"


@pytest.fixture
def service():
    with TokenService(clock=lambda: NOW) as started:
        yield started


@pytest.fixture
def old(service):
    """The token in use, which another hand issued: its id is not known here."""
    return Secret(service.issue(ACCOUNT)[1])


class Stubborn(TokenService):
    """Says that it revoked a token, and goes on accepting it."""

    def _revoke(self, token_id: str) -> Answer:
        return Answer(status=204)


class Scripted(LoopbackServer):
    """Answers each method as it was told to; an order carries the label in its path."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        super().__init__()
        self.answers = answers

    def respond(self, incoming: Incoming) -> Answer:
        return self.answers.get(incoming.method, Answer(status=200, body={}))


# The way a rotation goes


def test_a_rotation_from_end_to_end_leaves_the_new_token_alone(service, old):
    made = ROTATOR.create(make_job(service, old=old))
    job = make_job(service, old=old, made=made)
    assert ROTATOR.install(job) == "accepted since it was issued"
    assert ROTATOR.verify(job, made.value) == "the service accepts it (200)"
    assert ROTATOR.verify(job, old) == "the service accepts it (200)"
    assert ROTATOR.revoke(job) == "revoked, and the service refuses the old value"
    assert service.live_tokens(ACCOUNT) == [made.external["id"]]


def test_each_step_may_be_repeated(service, old):
    made = ROTATOR.create(make_job(service, old=old))
    job = make_job(service, old=old, made=made)
    for _ in range(2):
        ROTATOR.install(job)
        ROTATOR.verify(job, made.value)
    ROTATOR.revoke(job)
    revocations = [request for request in service.requests if request.method == "DELETE"]
    assert ROTATOR.revoke(job) == "the service refused the old value already"
    assert [request for request in service.requests if request.method == "DELETE"] == revocations
    ROTATOR.verify(job, made.value)
    for _ in range(2):
        assert ROTATOR.undo(job) == "revoked what was issued (1)"
    assert service.live_tokens(ACCOUNT) == []


def test_what_is_issued_bears_the_label_and_says_its_id_and_expiry(service):
    settings = describe(service)
    settings["issue"]["body"]["lifetime_seconds"] = 3600
    made = ROTATOR.create(make_job(service, settings=settings))
    assert service.live_tokens(ACCOUNT) == [made.external["id"]]
    assert (set(made.external), made.expires_at) == ({"id"}, NOW + timedelta(hours=1))
    again = fail(ROTATOR.create, make_job(service))
    assert again == (
        "issue: one with this label is there already (409): it is revoked before the next try",
        Cause.OUTAGE,
    )
    settings = describe(service, find=None)
    assert fail(ROTATOR.create, make_job(service, settings=settings)) == (
        "issue: the service answered 409",
        Cause.MISTAKE,
    )


def test_a_token_is_revoked_by_the_id_it_was_issued_with_and_by_no_other_call(service):
    first = ROTATOR.create(make_job(service, label="nightkey-rot_1"))
    second = ROTATOR.create(make_job(service, label="nightkey-rot_2"))
    settings = describe(service, verify_id=None, find=None)
    job = make_job(service, old=first.value, made=second, settings=settings, external=first.external)
    assert ROTATOR.revoke(job) == "revoked, and the service refuses the old value"
    assert service.live_tokens(ACCOUNT) == [second.external["id"]]


def test_a_value_that_is_refused_is_rejected_and_one_that_is_not_answered_is_not(service, old):
    job = make_job(service, old=old)
    assert fail(ROTATOR.verify, job, Secret("never-issued")) == (
        "verify: the service answered 401",
        Cause.REJECTED,
    )
    service.fail_next("/v1/account", status=503)
    assert fail(ROTATOR.verify, job, old) == ("verify: the service answered 503", Cause.OUTAGE)
    assert ROTATOR.verify(job, old) == "the service accepts it (200)"


# Lost answers


def test_what_a_lost_answer_left_is_found_by_its_label_and_revoked(service, old):
    service.fail_next("/v1/tokens", method="POST", after_effect=True)
    job = make_job(service, old=old)
    assert fail(ROTATOR.create, job) == ("issue: the service answered 503", Cause.OUTAGE)
    assert len(service.live_tokens(ACCOUNT)) == 2
    assert ROTATOR.undo(job) == "revoked what was issued (1)"
    assert ROTATOR.verify(job, old)
    made = ROTATOR.create(job)
    assert service.live_tokens(ACCOUNT)[1:] == [made.external["id"]]


def test_an_order_that_never_arrived_leaves_nothing_to_undo(service, old):
    service.fail_next("/v1/tokens", method="POST")
    job = make_job(service, old=old)
    fail(ROTATOR.create, job)
    assert ROTATOR.undo(job) == "revoked what was issued (0)"
    assert len(service.live_tokens(ACCOUNT)) == 1


def test_what_was_issued_late_is_revoked_with_the_old_value_though_only_its_use_tells_the_new_ones_id(
    service, old
):
    settings = parse_settings("http", describe(service, id=None))
    job = replace(make_job(service, old=old), settings=settings)
    made = ROTATOR.create(job)
    _, late = service.issue(ACCOUNT, label=f"{job.label} late")
    with_label = replace(service._by_digest[_digest(late)], label=job.label)
    service._by_digest[_digest(late)] = with_label
    said = ROTATOR.revoke(replace(job, new=made.value, new_external=made.external))
    assert "revoked, too, what else bears its label (1)" in said
    assert service.is_live(made.value.expose())
    assert not service.is_live(late)


@pytest.mark.parametrize("issued", [int, str])
@pytest.mark.parametrize("used", [int, str])
@pytest.mark.parametrize("listed", [int, str])
@pytest.mark.parametrize(
    "changes",
    [{}, {"id": None}, {"id": "header:X-Id", "verify_id": "header:X-Id"}, {"verify_id": None}],
    ids=["by_body", "by_use", "by_header", "by_issue"],
)
def test_the_new_credential_is_told_from_late_ones_however_each_answer_writes_ids(
    issued, used, listed, changes
):
    with NumberedTokens(issued=issued, used=used, listed=listed) as service:
        settings = service.describe(**changes)
        old = Secret(service.issue())
        label = "nightkey-rot_1"
        late = service.issue(label)
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        job = make_job(service, old=old, made=made, settings=settings, external={"id": issued(1)})
        assert ROTATOR.revoke(job) == (
            "revoked, and the service refuses the old value; revoked, too, what else bears its label (1)"
        )
        assert [service.accepts(value) for value in (old.expose(), late, made.value.expose())] == [
            False,
            False,
            True,
        ]
        assert ROTATOR.revoke(job) == "revoked, and the service refuses the old value"
        assert ROTATOR.verify(job, made.value)
        assert ROTATOR.undo(job) == "revoked what was issued (1)"
        assert service.live == {}


@pytest.mark.parametrize("changes", [{}, {"id": None}, {"verify_id": None}])
def test_where_the_new_credential_is_not_among_what_is_found_nothing_of_the_label_is_revoked(changes):
    with NumberedTokens(listed=lambda number: f"token-{number}") as service:
        settings = service.describe(**changes)
        old = Secret(service.issue())
        late = service.issue("nightkey-rot_1")
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        job = make_job(service, old=old, made=made, settings=settings, external={"id": 1})
        for _ in range(2):
            message, cause = fail(ROTATOR.revoke, job)
            assert message.startswith(
                "find: the new credential, id 3, is not among the 2 that it lists, so none"
            )
            assert cause is Cause.MISTAKE
        assert (service.accepts(late), service.accepts(made.value.expose())) == (True, True)
        assert set(service.deletions()) == {"/tokens/1"}


def test_a_new_value_that_goes_with_the_late_ones_is_told():
    class Careless(NumberedTokens):
        """Takes away all that bears the label."""

        def _delete(self, number: int) -> Answer:
            gone = self.live.get(number)
            self.live = {n: held for n, held in self.live.items() if gone is None or held[0] != gone[0]}
            return Answer(status=204)

    with Careless() as service:
        settings = service.describe()
        old = Secret(service.issue())
        service.issue("nightkey-rot_1")
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        job = make_job(service, old=old, made=made, settings=settings)
        assert fail(ROTATOR.revoke, job) == (
            "revoke: the service refuses the new value by now; 1 beside it, of the same label, were revoked",
            Cause.MISTAKE,
        )


def test_undoing_leaves_what_other_rotations_and_accounts_issued(service):
    ROTATOR.create(make_job(service, label="nightkey-rot_2"))
    service.issue("other", label="nightkey-rot_1")
    ROTATOR.create(make_job(service))
    ROTATOR.undo(make_job(service))
    assert (len(service.live_tokens(ACCOUNT)), len(service.live_tokens("other"))) == (1, 1)


def test_a_revocation_whose_answer_was_lost_is_finished_by_its_repeat(service, old):
    service.fail_next("/v1/tokens/", method="DELETE", after_effect=True)
    job = make_job(service, old=old)
    assert fail(ROTATOR.revoke, job) == ("revoke: the service answered 503", Cause.OUTAGE)
    assert ROTATOR.revoke(job) == "the service refused the old value already"


def test_an_undoing_that_was_cut_off_is_finished_by_its_repeat(service, old):
    made = ROTATOR.create(make_job(service, old=old))
    job = make_job(service, old=old, made=made)
    for path, method, what in (
        ("/v1/tokens", "GET", "find"),
        ("/v1/tokens/", "DELETE", "revoke"),
        ("/v1/account", "GET", "verify"),
    ):
        service.fail_next(path, method=method)
        assert fail(ROTATOR.undo, job) == (f"{what}: the service answered 503", Cause.OUTAGE)
    assert ROTATOR.undo(job) == "revoked what was issued (1)"


def test_without_find_a_known_value_is_undone_by_the_id_that_it_says_itself(service):
    settings = describe(service, id=None, find=None)
    made = ROTATOR.create(make_job(service, settings=settings))
    assert made.external == {}
    assert ROTATOR.undo(make_job(service, made=made, settings=settings)) == "revoked what was issued (1)"
    assert service.live_tokens(ACCOUNT) == []


WAYS: dict[str, dict[str, Any]] = {
    "by_the_id_it_was_issued_with": {"verify_id": None},
    "by_the_id_that_its_use_tells": {"id": None},
    "by_a_search": {"find": {"method": "GET", "url": "@/tokens/{{ rotation.label }}"}},
    "by_itself_and_the_id_it_was_issued_with": {"verify_id": None, "revoke": "itself"},
    "by_itself_and_the_id_that_its_use_tells": {"id": None, "revoke": "itself"},
    "by_its_value_alone": {"id": None, "verify_id": None, "revoke": "value"},
}


def describe_way(service: NumberedTokens, way: str) -> dict[str, Any]:
    """Settings that revoke in that way."""
    by_itself = {"method": "DELETE", "headers": {"Authorization": "Bearer {{ rotation.value }}"}}
    requests = {
        "itself": by_itself | {"url": f"{service.url}/own/{{{{ rotation.id }}}}"},
        "value": by_itself | {"url": f"{service.url}/own/"},
    }
    changes: dict[str, Any] = {"find": None} | WAYS[way]
    if "revoke" in changes:
        changes["revoke"] = requests[changes["revoke"]]
    if changes["find"]:
        changes["find"] = changes["find"] | {"url": changes["find"]["url"].replace("@", service.url)}
    return service.describe(**changes)


@pytest.mark.parametrize("way", WAYS)
def test_undoing_and_revoking_are_repeated_as_often_as_need_be(way):
    for step, gone in ((ROTATOR.undo, "new"), (ROTATOR.revoke, "old")):
        with NumberedTokens() as service:
            settings = describe_way(service, way)
            made = [ROTATOR.create(make_job(service, settings=settings, label=label)) for label in ("a", "b")]
            old, new = (candidate.value for candidate in made)
            job = make_job(
                service, old=old, made=made[1], settings=settings, external=made[0].external, label="b"
            )
            job = replace(job, shown=True)
            for _ in range(3):
                step(job)
                assert service.accepts(new.expose()) == (gone == "old")
                assert service.accepts(old.expose()) == (gone == "new")
            assert len(service.live) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_candidate_that_never_worked_is_undone_where_a_list_names_it_and_told_to_be_left_where_nothing_does(
    way,
):
    with NumberedTokens() as service:
        settings = describe_way(service, way)
        old = Secret(service.issue())
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        service.deaf = {made.value.expose()}
        job = make_job(service, old=old, made=made, settings=settings)
        assert fail(ROTATOR.verify, job, made.value)[1] is Cause.REJECTED
        for number in range(2):
            if number == 0 and way == "by_a_search":
                ROTATOR.undo(job)
                continue
            message, cause = fail(ROTATOR.undo, job)
            assert message.startswith("undo: the new value is refused, and possibly left outside: ")
            assert message.endswith("look there for nightkey-rot_1, and revoke it")
            assert cause is (Cause.OUTAGE if way == "by_a_search" else Cause.MISTAKE)
        assert service.accepts(old.expose())
        assert not service.accepts(made.value.expose())


def test_one_refusal_of_a_candidate_is_not_believed(service):
    settings = describe(service, id=None, find=None)
    made = ROTATOR.create(make_job(service, settings=settings))
    service.fail_next("/v1/account", status=401)
    assert ROTATOR.undo(make_job(service, made=made, settings=settings)) == "revoked what was issued (1)"
    assert service.live_tokens(ACCOUNT) == []


def test_an_admin_who_may_not_revoke_is_told_though_the_candidate_is_refused_too(service):
    made = ROTATOR.create(make_job(service))
    job = make_job(service, made=made)
    service.fail_next("/v1/tokens/", status=403)
    service.fail_next("/v1/account", status=401, times=2)
    assert fail(ROTATOR.undo, job) == ("revoke: the service answered 403", Cause.REJECTED)


def test_while_the_service_is_away_nothing_is_revoked(service, old):
    service.fail_next("/v1/account", status=500)
    assert fail(ROTATOR.revoke, make_job(service, old=old)) == (
        "verify: the service answered 500",
        Cause.OUTAGE,
    )
    assert [request.method for request in service.requests] == ["GET"]


def test_a_service_that_is_gone_is_an_outage(service, old):
    job = make_job(service, old=old)
    service.stop()
    for step, given, what in (
        (ROTATOR.create, (job,), "issue"),
        (ROTATOR.verify, (job, old), "verify"),
        (ROTATOR.revoke, (job,), "verify"),
        (ROTATOR.undo, (job,), "find"),
    ):
        message, cause = fail(step, *given)
        assert (message.partition(":")[0], cause) == (what, Cause.OUTAGE)


# What must not pass for success


def test_a_revocation_that_the_service_does_not_honour_is_reported():
    with Stubborn(clock=lambda: NOW) as service:
        old = Secret(service.issue(ACCOUNT)[1])
        made = ROTATOR.create(make_job(service, old=old))
        job = make_job(service, old=old, made=made)
        assert fail(ROTATOR.revoke, job) == ("revoke: the service still accepts the old value", Cause.OUTAGE)
        assert fail(ROTATOR.undo, job) == ("undo: the service still accepts the new value", Cause.OUTAGE)


def test_a_revocation_that_the_service_refuses_is_reported(service, old):
    service.fail_next("/v1/tokens/", status=403)
    assert fail(ROTATOR.revoke, make_job(service, old=old)) == (
        "revoke: the service answered 403",
        Cause.REJECTED,
    )
    assert service.is_live(old.expose())


def test_an_old_value_that_is_not_here_cannot_be_revoked(service):
    assert fail(ROTATOR.revoke, make_job(service)) == (
        "the old value is not here to be revoked",
        Cause.MISTAKE,
    )


@pytest.mark.parametrize("status", [404, 410])
def test_what_the_service_no_longer_knows_counts_as_revoked_only_if_it_is_refused(status):
    with Scripted(
        {"DELETE": Answer(status=status), "GET": Answer(status=200, body={"token_id": 7})}
    ) as service:
        assert fail(ROTATOR.revoke, make_job(service, old=Secret("old-value")))[0] == (
            "revoke: the service still accepts the old value"
        )
        service.answers = {"DELETE": Answer(status=status), "GET": Answer(status=401)}
        found = describe(service, find=None)
        job = make_job(service, settings=found, external={"id": 7}, old=Secret("old-value"))
        assert ROTATOR.revoke(job) == "revoked, and the service refuses the old value"


@pytest.mark.parametrize(
    ("body", "changes", "message"),
    [
        (
            {"id": 1, "expires_at": None},
            {},
            "issue: the answer holds no value at path `token`: see setting value",
        ),
        (
            {"token": 5, "id": 1, "expires_at": None},
            {},
            NO_TEXT,
        ),
        (
            {"token": "", "id": 1, "expires_at": None},
            {},
            NO_TEXT,
        ),
        (
            {"token": "value-1", "expires_at": None},
            {},
            "issue: the answer holds no id at path `id`: see setting id",
        ),
        (
            {"token": "value-1", "id": None, "expires_at": None},
            {},
            "issue: the answer holds no id at path `id`: see setting id",
        ),
        (
            {"token": "value-1", "id": {"a": 1}, "expires_at": None},
            {},
            "issue: the answer holds no id at path `id`: see setting id",
        ),
        (
            {"token": "value-1", "id": True, "expires_at": None},
            {},
            "issue: the answer holds no id at path `id`: see setting id",
        ),
        (
            {"token": "value-1", "id": "", "expires_at": None},
            {},
            "issue: the answer holds no id at path `id`: see setting id",
        ),
        (
            {"token": "value-1", "id": 1},
            {},
            "issue: the answer holds no time at path `expires_at`: see setting expires",
        ),
        (
            {"token": "value-1", "id": 1, "expires_at": "soon"},
            {},
            f"{NO_TIME} a text of 4 characters that is not a time: see setting expires",
        ),
        (
            {"token": "value-1", "id": 1, "expires_at": True},
            {},
            f"{NO_TIME} true or false: see setting expires",
        ),
        (
            {"token": "value-1", "id": 1, "expires_at": 1e300},
            {},
            f"{NO_TIME} a number that is not a time: see setting expires",
        ),
        (["value-1"], {}, "issue: the answer holds no value at path `token`: see setting value"),
        ("value-1", {}, "issue: the answer holds no value at path `token`: see setting value"),
        (
            {"data": [{"token": "x"}]},
            {"value": "data.1.token"},
            "issue: the answer holds no value at path `data.1.token`: see setting value",
        ),
    ],
)
def test_an_answer_without_what_the_settings_say_is_a_mistake_told_by_its_path(body, changes, message):
    with Scripted({"POST": Answer(status=200, body=body), "DELETE": Answer(status=500)}) as service:
        job = make_job(service, settings=describe(service, **changes))
        assert fail(ROTATOR.create, job) == (message, Cause.MISTAKE)


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        (None, None),
        ("2026-05-30T02:00:00.000000Z", datetime(2026, 5, 30, 2, tzinfo=UTC)),
        ("2026-05-30T04:00:00+02:00", datetime(2026, 5, 30, 2, tzinfo=UTC)),
        ("2026-05-30", datetime(2026, 5, 30, tzinfo=UTC)),
        (1780106400, datetime(2026, 5, 30, 2, tzinfo=UTC)),
        (1780106400.5, datetime(2026, 5, 30, 2, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_read_as_a_time_or_as_seconds(expires, expected):
    body = {"data": {"key": "value-1", "id": 7, "until": expires}}
    with Scripted({"POST": Answer(status=201, body=body)}) as service:
        settings = describe(service, value="data.key", id="data.id", expires="data.until")
        made = ROTATOR.create(make_job(service, settings=settings))
    assert (made.value, made.external, made.expires_at) == (Secret("value-1"), {"id": 7}, expected)
    assert made.expires_at is None or made.expires_at.tzinfo is not None


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (
            {"tokens": {"id": 1}},
            "tokens.*.id",
            "find: the answer holds no list at path `tokens.*`: see setting find_ids",
        ),
        (
            {"tokens": "none"},
            "tokens.*.id",
            "find: the answer holds no list at path `tokens.*`: see setting find_ids",
        ),
        ({"items": []}, "tokens.*.id", "find: the answer holds no list at path `tokens`: see setting find_ids"),
        ({"id": 1}, "*.id", "find: the answer holds no list at path `*`: see setting find_ids"),
        ([{"id": None}], "*.id", "find: an entry in the answer holds no id at path `id`: see setting find_ids"),
        (
            [{"id": ["a"]}],
            "*.id",
            "find: an entry in the answer holds no id at path `id`: see setting find_ids",
        ),
        ([{"name": 1}], "*.id", "find: an entry in the answer holds no id at path `id`: see setting find_ids"),
        ([[1]], "*", "find: an entry in the answer holds no id at path `*`: see setting find_ids"),
        ("<html>", "*.id", "find: the answer holds no list at path `*`: see setting find_ids"),
    ],
)
def test_a_search_with_another_answer_than_a_list_of_ids_never_passes_for_an_empty_one(body, path, message):
    with Scripted({"GET": Answer(status=200, body=body)}) as service:
        job = make_job(service, settings=describe(service, find_ids=path))
        told = f"and {message}: look there for nightkey-rot_1, and revoke it"
        assert fail(ROTATOR.undo, job) == (
            f"undo: whether a credential was issued is not known, {told}",
            Cause.MISTAKE,
        )


@pytest.mark.parametrize(
    ("body", "path", "count"),
    [
        ({"tokens": []}, "tokens.*.id", 0),
        ({"tokens": None}, "tokens.*.id", 0),
        ([{"id": 1}, {"id": "b"}, {"id": 1}], "*.id", 2),
        ([1, 2, 3], "*", 3),
        ({"found": {"id": "a"}}, "found.id", 1),
    ],
)
def test_every_id_that_a_search_gives_is_revoked_once(body, path, count):
    class Filtering(Scripted):
        deleted = 0

        def respond(self, incoming: Incoming) -> Answer:
            self.deleted += incoming.method == "DELETE"
            if self.deleted >= count > 0 and incoming.method == "GET":
                return Answer(status=404)
            foreign = incoming.method == "GET" and not incoming.query.endswith("=nightkey-rot_1")
            return Answer(status=404) if foreign else super().respond(incoming)

    with Filtering({"GET": Answer(status=200, body=body), "DELETE": Answer(status=204)}) as service:
        job = make_job(service, settings=describe(service, find_ids=path))
        assert ROTATOR.undo(job) == f"revoked what was issued ({count})"
        assert service.deleted == count


# What is swept is looked at again


class Keeping(NumberedTokens):
    """Says that it revoked a token, and goes on listing it."""

    kept = 0

    def _delete(self, number: int) -> Answer:
        return Answer(status=204) if number == self.kept else super()._delete(number)


LEFT = (
    "find still lists what was revoked (1), so that it may be left outside: look there for nightkey-rot_1; "
    "if it is shown as revoked, say where in inventory_gone"
)


def test_what_a_lost_answer_left_and_revoke_did_not_take_away_is_an_outage_and_not_done():
    with Keeping() as service:
        settings = service.describe()
        old = Secret(service.issue())
        lost, service.kept = service.issue("nightkey-rot_1"), 2
        job = replace(make_job(service, old=old, settings=settings), unanswered=True)
        assert fail(ROTATOR.undo, job) == (f"undo: {LEFT}", Cause.OUTAGE)
        made = ROTATOR.create(job)
        later = make_job(service, old=old, made=made, settings=settings)
        assert fail(ROTATOR.revoke, later) == (f"revoke: {LEFT}", Cause.OUTAGE)
        assert service.accepts(lost)
        service.kept = 0
        assert ROTATOR.revoke(later) == (
            "the service refused the old value already; revoked, too, what else bears its label (1)"
        )
        assert not service.accepts(lost)
        assert service.accepts(made.value.expose())


def test_what_a_search_says_to_be_gone_is_not_left_outside(service, old):
    service.issue(ACCOUNT, label="nightkey-rot_1")
    job = replace(make_job(service, old=old), unanswered=True)
    assert ROTATOR.undo(job) == "revoked what was issued (1)"
    silent = make_job(service, old=old, settings=describe(service, inventory_gone=None))
    assert fail(ROTATOR.undo, silent) == (f"undo: {LEFT}", Cause.OUTAGE)


# Where no check tells


class Blind(NumberedTokens):
    """Its check lets everybody in."""

    def _show(self, incoming: Incoming) -> Answer:
        return Answer(status=200, body={})


def test_where_no_check_can_tell_a_good_answer_ends_the_old_value_and_the_message_says_so():
    with Blind() as service:
        settings = service.describe(verify_id=None, find=None)
        made = [ROTATOR.create(make_job(service, settings=settings)) for _ in range(2)]
        job = make_job(service, old=made[0].value, made=made[1], settings=settings, external=made[0].external)
        assert fail(ROTATOR.revoke, job)[1] is Cause.OUTAGE
        service.issue()
        again = replace(job, old=Secret("value-of-number-3"), old_external={"id": 3}, unproven=True)
        assert ROTATOR.revoke(again) == (
            "revoked, as the service says; no check could show that it refuses the old value"
        )
        assert list(service.live) == [2]
        assert fail(ROTATOR.revoke, again) == (
            (
                "revoke: the service answered 404, and no check can show whether the old value is gone: look "
                "there, and then `nightkey rotation accept`"
            ),
            Cause.MISTAKE,
        )


def test_an_old_value_whose_id_nothing_tells_is_a_persons_with_what_to_do():
    with NumberedTokens() as service:
        settings = service.describe(verify_id=None)
        old = Secret(service.issue())
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        assert fail(ROTATOR.revoke, make_job(service, old=old, made=made, settings=settings)) == (
            (
                "revoke: what the service calls the old value is not known: set verify_id and `nightkey "
                "rotation retry`, or revoke it there and `nightkey rotation accept`"
            ),
            Cause.MISTAKE,
        )
        assert service.deletions() == []


# Our own mistakes


@pytest.mark.parametrize(
    ("request_changes", "message"),
    [
        (
            {"headers": {"X": "{{ vault.prod-other-token }}"}},
            "issue: item prod-other-token has no value for this run: it does not exist, or is not a secret",
        ),
        ({"headers": {"X": f"{{{{ vault.{ADMIN} }}}}\r\nY: z"}}, "issue: a header holds a line break"),
        ({"url": "ftp://{{ rotation.item }}"}, "issue: the request to prod-crm-token cannot be made"),
    ],
)
def test_a_request_that_cannot_be_written_is_a_mistake_that_names_the_request(
    service, request_changes, message
):
    settings = describe(service)
    settings["issue"] |= request_changes
    told, cause = fail(ROTATOR.create, make_job(service, settings=settings))
    assert told.startswith(message)
    assert cause is Cause.MISTAKE
    assert service.requests == []


def test_settings_of_another_rotator_are_a_mistake(service):
    job = replace(make_job(service), settings=parse_settings("random", {}))
    assert fail(ROTATOR.create, job) == ("the settings are of another rotator", Cause.MISTAKE)


def test_the_content_type_is_json_unless_the_settings_say_otherwise():
    seen = []

    class Listening(Scripted):
        def respond(self, incoming: Incoming) -> Answer:
            seen.append(incoming.headers.get("content-type"))
            return super().respond(incoming)

    with Listening({"POST": Answer(status=200, body={"token": "value-1"})}) as service:
        for headers in ({}, {"content-type": "application/vnd.x+json"}):
            settings = describe(service, id=None, expires=None)
            settings["issue"]["headers"] = headers
            ROTATOR.create(make_job(service, settings=settings))
    assert seen == ["application/json", "application/vnd.x+json"]
