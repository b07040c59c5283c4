"""Each code has its sentence, each sentence its parameters; what was stored in words becomes codes."""

import ast
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import worker
from vaultcore.old_sentences import TEMPLATES, read_sentence, undo_reason, write_sentence
from worker.domain.reasons import (
    Code,
    Reason,
    read_reason,
    read_reasons,
    show_reason,
    store_reason,
    store_reasons,
)
from worker.wording.parts import say_count
from worker.wording.reasons import SENTENCES, say, say_all, say_each
from worker.wording.rotations import say_shown_by

AT = datetime(2026, 3, 2, 2, 0, 1, tzinfo=UTC)
RUN = Reason.of(Code.FIRST_RUN, workflow="sync")
SAID = Reason.failed("verify: the service answered 502")
SHOW = "nightkey rotation show rot_1"
UNREAD = "nothing here could read what replaces it"

STEPS: list[tuple[Reason, str]] = [
    (Reason.of(Code.SAID, text="the service has it"), "the service has it"),
    (Reason.of(Code.PENDING, version=2), "version 2 is pending"),
    (Reason.of(Code.NO_WAY_BACK), "the old value no longer works, so there is no way back"),
    (Reason.of(Code.CURRENT, new=2), "version 2 is current"),
    (Reason.of(Code.OLD_STOPPED, version=1), "version 1 stopped working when that was issued"),
    (Reason.of(Code.OLD_STOPPED_BEFORE, version=1), "version 1 had stopped working before"),
    (Reason.of(Code.OLD_WORKS_ON, version=1), "version 1 works on"),
    (Reason.of(Code.OLD_KEPT, version=1), "version 1 is kept for the way back"),
    (Reason.of(Code.OLD_LAPSED_BEFORE), "the old value had lapsed before"),
    (Reason.of(Code.OLD_IS_DIGEST), "the old value is kept as a digest, and opens as before"),
    (Reason.of(Code.OLD_ACCEPTED, text="db.test takes it"), "the old value: db.test takes it"),
    (Reason.of(Code.SAME_AS_OLD), "the new value is the old one: nothing to revoke"),
    (Reason.of(Code.SAME_AS_GIVEN), "the value that was given is the new one: nothing to take away"),
    (Reason.of(Code.TOLD_APART, text="db.test takes it"), "db.test takes it, and refuses a made-up one"),
    (
        Reason.of(Code.TOLD_NOTHING, text="db.test takes it"),
        "unproven: db.test takes it, but a made-up one passes the same check",
    ),
    (
        Reason.of(Code.TOLD_UNKNOWN, text="db.test takes it"),
        "unproven: db.test takes it, but no made-up one could be shown to it",
    ),
    (Reason.of(Code.ENDS_THERE, at=AT), "it ends there at 2026-03-02 02:00 UTC"),
    (Reason.of(Code.TESTS_PASSED, names=("sync/call", "sync/mail")), "passed: sync/call, sync/mail"),
    (Reason.of(Code.NO_TEST_PASSED), "passed: none"),
    (Reason.of(Code.NO_NODE_USES_IT), "passed: no node uses it"),
    (Reason.of(Code.NO_WORKFLOW_USES_IT), "passed: no workflow uses it"),
    (
        Reason.of(Code.TESTS_UNPROVEN, names=("sync/call",)),
        "unproven, since no made-up value was refused: sync/call",
    ),
    (Reason.of(Code.NOT_TESTED_ALONE, names=("sync/ssh",)), "not tried alone: sync/ssh"),
    (
        Reason.of(
            Code.NOT_TESTED_ALONE,
            names=(
                Reason.of(
                    Code.NODE_NOT_TRIED,
                    workflow="sync",
                    node="ssh",
                    why=Reason.of(Code.NODE_ELSEWHERE, text="it needs n1.id"),
                ),
                Reason.of(Code.NODE_NOT_TRIED, workflow="sync", node="wait", why=SAID),
            ),
        ),
        (
            "not tried alone: sync/ssh (it runs elsewhere, and it needs n1.id), sync/wait (verify: the service "
            "answered 502)"
        ),
    ),
    (
        Reason.of(Code.NODE_NOT_TRIED, workflow="sync", node="ssh", why=SAID),
        "sync/ssh (verify: the service answered 502)",
    ),
    (Reason.of(Code.NODE_ELSEWHERE, text="it needs n1.id"), "it runs elsewhere, and it needs n1.id"),
    (Reason.of(Code.RUN_ELSEWHERE, names=("sync", "bill")), "run elsewhere: sync, bill"),
    (
        Reason.of(Code.WAITS_FOR, why=RUN),
        "waits for the first good production run of sync",
    ),
    (Reason.of(Code.WAITS_FOR_NOTHING), "nothing to wait for"),
    (Reason.of(Code.ANOTHER_IS_MADE), "another one is made"),
    (Reason.of(Code.NOTHING_OUTSIDE), "nothing of it is outside"),
    (Reason.of(Code.CONSUMERS_RETURNED), "everybody is on the value that stays"),
    (Reason.of(Code.GIVEN_IS_USED, version=3), "version 3, which a person gave, is in use by now"),
    (Reason.of(Code.WORKS_UNTIL_UNNEEDED, version=2), "version 2 works on until nobody needs it"),
    (Reason.of(Code.GIVEN_BY_HAND, version=3), "version 3 was given by hand"),
    (Reason.of(Code.DECIDED_BY, by="user:ann"), "by user:ann"),
    (Reason.of(Code.DECIDED_BY, by="user:ann", text="it is quiet"), "by user:ann: it is quiet"),
]
"""What a step came to: kept as reasons from the beginning of these on."""

WORDED: list[tuple[Reason, str]] = [
    *STEPS,
    (Reason.of(Code.OTHER, text="as it was"), "as it was"),
    (Reason.of(Code.UNKNOWN), "unknown"),
    (SAID, "verify: the service answered 502"),
    # Why a rotation was opened
    (Reason.of(Code.BY_HAND), "asked for by hand"),
    (Reason.of(Code.COMPROMISED), "compromised"),
    (Reason.of(Code.BY_OWNER), "its owner replaced it"),
    (Reason.of(Code.EXPIRES, seconds=3 * 86400 + 5), "expires in 3 days"),
    (Reason.of(Code.EXPIRES, seconds=3600), "expires in 1 hour"),
    (Reason.of(Code.EXPIRES, seconds=-2 * 86400), "lapsed 2 days ago"),
    (
        Reason.of(Code.EXPIRES_THEN, seconds=7200, at=AT),
        "expires in 2 hours, begins 2026-03-02 02:00 UTC, when changes may be made",
    ),
    # Why it ended, or goes back
    (Reason.of(Code.NIGHT_STOPPED), "too many rotations of this night have failed"),
    (Reason.of(Code.STOPPED_IT, item="prod-crm", why=SAID, rotation="rot_1"), f"prod-crm: {say(SAID)} (rot_1)"),
    (Reason.of(Code.STOPPED_IT, item="prod-crm", rotation="rot_1"), "prod-crm:  (rot_1)"),
    (Reason.of(Code.NOBODY_APPROVED), "nobody approved it in time"),
    (Reason.of(Code.DELETED), "the item was deleted"),
    (Reason.of(Code.GIVEN_MEANWHILE), "its owner gave it another value meanwhile"),
    (Reason.of(Code.GIVEN_IN_USE, version=3), "version 3 was given by hand since, and is in use"),
    (
        Reason.of(Code.GIVEN_TAKES_AWAY, version=3),
        "version 3 was given by hand since, and what is not in use is taken away",
    ),
    (
        Reason.of(Code.GIVEN_NOT_GONE, version=3, why=SAID),
        (
            "version 3, which was given by hand, is in use; what was made before is not gone: "
            "verify: the service answered 502"
        ),
    ),
    (Reason.of(Code.ENDED_BY, decision="cancel", by="user:ann"), "cancel by user:ann"),
    (Reason.of(Code.TAKEN_BACK_BY, by="user:ann"), "taken back by user:ann"),
    (Reason.of(Code.NOT_COLLECTED, until=AT), "nobody collected the new key by 2026-03-02 02:00 UTC"),
    (
        Reason.of(Code.NOT_ARRIVED, by="user:ann", until=AT),
        "the new key did not arrive at user:ann by 2026-03-02 02:00 UTC",
    ),
    # Why a step must not be done, or has failed
    (
        Reason.of(Code.UNREAD_ROTATION, item="prod-crm", command="nightkey item update prod-crm"),
        (
            f"no active workflow here uses prod-crm, so {UNREAD}: apply one that does, or say that "
            f"nothing here needs to read it (nightkey item update prod-crm); if somebody else knows "
            f"the value, add --compromised"
        ),
    ),
    (
        Reason.of(Code.NAMES_NO_VALUE, names=("prod-a", "prod-b")),
        "its settings name what has no value: prod-a, prod-b",
    ),
    (Reason.of(Code.BAD_SETTINGS, text="no url"), "no url"),
    (Reason.of(Code.CUT_OFF, times=11), "its step was cut off 11 times: see the worker's log"),
    (
        Reason.of(Code.CHANGED_SINCE_APPROVAL),
        "its policy or value was changed after it was approved: ask again",
    ),
    (
        Reason.of(Code.LEADS_ELSEWHERE, now="b.example", before="a.example"),
        "its policy leads to b.example by now, and it was begun with a.example: put that back until it is over",
    ),
    (Reason.of(Code.UNEXPECTED, error="KeyError", step="create"), "unexpected KeyError in step create"),
    (Reason.of(Code.TROUBLE, text="the disk is full"), "the disk is full"),
    (Reason.of(Code.TAMPERED, text="the row was changed"), "the row was changed"),
    (
        Reason.of(
            Code.DIFFERS,
            item="prod-crm",
            detail=Reason.of(Code.ACCEPTED, version=1, unknown=("tok_2",)),
            command="nightkey reconcile accept prod-crm",
        ),
        (
            "prod-crm differs from its target since the restore, and is neither rotated nor revoked: "
            "version 1 is accepted; unknown here, and there: tok_2. Mend that, or answer for it by "
            "`nightkey reconcile accept prod-crm`"
        ),
    ),
    (
        Reason.of(Code.NODE_TEST_FAILED, workflow="sync", node="call", text="401"),
        "node call of workflow sync: 401",
    ),
    (
        Reason.of(Code.WORKFLOW_TEST_FAILED, workflow="sync", node="call", text="401"),
        "workflow sync, node call: 401",
    ),
    (Reason.of(Code.WORKFLOW_TEST_FAILED, workflow="sync", text="it timed out"), "workflow sync: it timed out"),
    (
        Reason.of(Code.RUN_REJECTED, workflow="sync", node="call", text="401", version=2),
        "production run of sync, node call: 401 (with version 2)",
    ),
    (
        Reason.of(Code.NOT_SHOWN, check=Reason.of(Code.CHECK), command="nightkey rotation waive rot_1"),
        (
            "the old value is kept, for it waits for a check that can fail: nothing has shown that "
            "the new value works, since verification and node tests accept made-up values, too (say "
            "there what a good answer holds, by expect); or answer for the new one: `nightkey "
            "rotation waive rot_1`"
        ),
    ),
    (
        Reason.of(Code.NEITHER_ACCEPTED, new=2, old=1, text="401", command="nightkey item update x"),
        (
            "neither version 2 nor version 1 is accepted now: 401; give a value that works (`nightkey "
            "item update x`)"
        ),
    ),
    (Reason.of(Code.NO_LONGER_ACCEPTED, new=2, text="401"), "version 2 is accepted no longer: 401"),
    (Reason.of(Code.OLD_LAPSED), "the old value has lapsed: going back would help nobody"),
    (
        Reason.of(Code.NOT_TOLD_APART, version=2, listed=3, label="nightkey-rot_1"),
        (
            "version 2, which was in use, cannot be told among what bears its label (3): look there "
            "for nightkey-rot_1, and revoke what is not version 2"
        ),
    ),
    # What a rotation waits for
    (Reason.of(Code.APPROVAL), "a person's approval"),
    (
        Reason.of(Code.FIRST_AT_TARGET, item="prod-crm"),
        "prod-crm, the first at its target system in this night",
    ),
    (Reason.of(Code.MOMENT), "a moment in which changes may be made"),
    (Reason.of(Code.MOMENT, at=AT), "a moment in which changes may be made, from 2026-03-02 02:00 UTC"),
    (
        Reason.of(Code.OTHER_SIDE, why=SAID),
        "the other side to come back: verify: the service answered 502",
    ),
    (
        Reason.of(Code.TO_BE_COMPARED, detail=SAID),
        "its target to be compared with, after the restore: verify: the service answered 502",
    ),
    (Reason.of(Code.LATE_EFFECT), "what may take effect late at the other side"),
    (
        Reason.of(Code.LATE_EFFECT, until=AT),
        "what may take effect late at the other side, until 2026-03-02 02:00 UTC",
    ),
    (Reason.of(Code.OVERLAP, until=AT, beside=True), "the overlap, until 2026-03-02 02:00:01 UTC"),
    (
        Reason.of(Code.OVERLAP, until=AT, beside=False),
        "the time for first runs, until 2026-03-02 02:00:01 UTC",
    ),
    (Reason.of(Code.READER), "a workflow that uses it: nothing here has read the new value"),
    (Reason.of(Code.RUN_WITH_OLD, workflow="sync"), "a run of sync that began with the old value"),
    (Reason.of(Code.RUN_WITH_NEW, workflow="sync"), "a run of sync that began with the new value"),
    (
        Reason.of(Code.COPY_IN_USE, copy="prod-b", item="prod-a"),
        "workflows of prod-b, a copy with the value from before: let them name prod-a",
    ),
    (Reason.of(Code.NOT_COLLECTED_YET), "its owner, who has not collected the new key"),
    (
        Reason.of(Code.NOT_ARRIVED_YET, by="user:ann"),
        "the new key to arrive at user:ann, who began to collect it",
    ),
    (
        Reason.of(Code.EDITED_WORKFLOW, workflow="sync"),
        "workflow sync, which was changed behind the vault's back: audit verify --rows",
    ),
    (
        Reason.of(Code.LOST_USE, workflow="sync", item="prod-a", command="nightkey workflow show sync"),
        (
            "workflow sync, whose use of prod-a was changed or taken away behind the vault's back: "
            "apply it again (nightkey workflow show sync)"
        ),
    ),
    (Reason.of(Code.GOES_FIRST, why=RUN), "the first good production run of sync, which goes first"),
    # How a consumer stands
    (Reason.of(Code.ANSWERED_FOR, workflow="sync"), "sync: somebody answers for it"),
    (Reason.of(Code.PINNED, workflow="sync", version=1), "sync, which is pinned to version 1"),
    (Reason.of(Code.RAN_WELL, workflow="sync", version=2), "sync ran well with version 2"),
    (
        Reason.of(Code.RAN_WITH_ANY, why=Reason.of(Code.RAN_WELL, workflow="sync", version=2)),
        "sync ran well with version 2, as it may with any value",
    ),
    (Reason.of(Code.AFTER_CANARY, workflow="sync"), "sync, which moves after the canary"),
    (RUN, "the first good production run of sync"),
    (
        Reason.of(Code.FIRST_RUN, workflow="sync", failed="node call: 500", but=Reason.of(Code.NOT_ACTIVE)),
        "the first good production run of sync (its last one failed: node call: 500), which is not active",
    ),
    (
        Reason.of(Code.FIRST_REPORT, workflow="sync", but=Reason.of(Code.NEVER_REPORTED)),
        "a report (nightkey run report) of the first good run of sync elsewhere; none was ever reported",
    ),
    (Reason.of(Code.NOT_ACTIVE), ", which is not active"),
    (Reason.of(Code.NOT_IN_TIME, beside=True), ", which did not come during the overlap"),
    (Reason.of(Code.NOT_IN_TIME, beside=False), ", which did not come during the time for first runs"),
    (
        Reason.of(Code.NEXT_RUN_LATER, at=AT, beside=True),
        ", whose next run (2026-03-02 02:00 UTC) is after the overlap",
    ),
    (Reason.of(Code.NEVER_RAN), ", which has never run"),
    (Reason.of(Code.NEVER_REPORTED), "; none was ever reported"),
    (Reason.of(Code.CALLERS_ANSWERED_FOR), "its callers: somebody answers for them"),
    (Reason.of(Code.FIRST_CALL), "the first call with the new key"),
    (
        Reason.of(Code.FIRST_CALL, collected_at=AT, by="user:ann", late=True),
        (
            "the first call with the new key, which was collected by user:ann on 2026-03-02; it did "
            "not come during the overlap"
        ),
    ),
    (
        Reason.of(Code.FIRST_CALL, collected_at=AT),
        "the first call with the new key, which was collected on 2026-03-02",
    ),
    (Reason.of(Code.CALLERS_MOVED), "its callers present the new key, and no longer the old one"),
    (
        Reason.of(Code.OLD_KEY_USED, last_at=AT),
        "callers who still present the old key, last on 2026-03-02",
    ),
    (
        Reason.of(Code.OLD_KEY_USED, last_at=AT, late=True),
        "callers who still present the old key, last on 2026-03-02, after the overlap",
    ),
    (
        Reason.of(Code.CHECK),
        (
            "a check that can fail: nothing has shown that the new value works, since verification "
            "and node tests accept made-up values, too (say there what a good answer holds, by expect)"
        ),
    ),
    (Reason.of(Code.CHECK_ANSWERED_FOR), "a check: somebody answers for it"),
    # What a night decides for an item
    (Reason.of(Code.DIFFERS_SINCE_RESTORE), "it differs from its target since the restore"),
    (
        Reason.of(Code.DIFFERS_SINCE_RESTORE, command="nightkey reconcile list"),
        "it differs from its target since the restore: nightkey reconcile list",
    ),
    (Reason.of(Code.UNREAD), f"no active workflow here uses it: {UNREAD}"),
    (Reason.of(Code.RETRIES_AFTER, at=AT), "its rotation failed, next try after 2026-03-02 02:00 UTC"),
    (Reason.of(Code.ROTATES_FROM, at=AT), "rotates from 2026-03-02 02:00 UTC"),
    (Reason.of(Code.ASKS_FROM, at=AT), "asks for approval from 2026-03-02 02:00 UTC"),
    (Reason.of(Code.NO_MOMENT), "its windows and freezes allow no moment for a rotation"),
    (
        Reason.of(Code.OPENS_TOO_LATE, at=AT),
        "its window opens too late, 2026-03-02 02:00 UTC: it lapses first",
    ),
    (Reason.of(Code.OPENS, at=AT), "its window opens 2026-03-02 02:00 UTC"),
    (Reason.of(Code.NIGHT_FULL, number=9), "tonight's 9 rotations are taken"),
    (Reason.of(Code.TARGET_FULL, number=9, target="crm"), "tonight's 9 rotations at crm are taken"),
    (
        Reason.of(Code.ANOTHER_NIGHT, why=Reason.of(Code.NIGHT_FULL, number=9)),
        "tonight's 9 rotations are taken: another night",
    ),
    (Reason.of(Code.AWAITS_VALUE, command="nightkey x"), "it waits for its value: nightkey x"),
    (Reason.of(Code.OWNER_REPLACES, command="nightkey x"), "only its owner can replace it: nightkey x"),
    (
        Reason.of(Code.IS_STUCK, rotation="rot_1", command=SHOW),
        f"rotation rot_1 is stuck and needs a person: {SHOW}",
    ),
    (Reason.of(Code.AWAITS_APPROVAL, command="nightkey x"), "waits for approval: nightkey x"),
    (Reason.of(Code.UNDER_WAY, rotation="rot_1", state="created"), "rotation rot_1 is created"),
    # What Nightkey does about it by itself
    (
        Reason.of(Code.DOES_NOTHING, why=Reason.of(Code.NO_MOMENT)),
        "does nothing: its windows and freezes allow no moment for a rotation",
    ),
    (Reason.of(Code.DOES_RETRY), "tries to replace it again, since the last try failed"),
    (
        Reason.of(Code.DOES_RETRY, at=AT),
        "tries to replace it again after 2026-03-02 02:00 UTC, since the last try failed",
    ),
    (Reason.of(Code.DOES_ASK_FROM, at=AT), "asks for an approval to replace it from 2026-03-02 02:00 UTC on"),
    (Reason.of(Code.DOES_REPLACE_FROM, at=AT), "replaces it from 2026-03-02 02:00 UTC on"),
    (
        Reason.of(Code.DOES_REPLACE_IN_WINDOW, at=AT),
        "replaces it from 2026-03-02 02:00 UTC on, when changes may be made",
    ),
    (Reason.of(Code.DOES_ASK), "asks for an approval, in a message of its own"),
    (Reason.of(Code.DOES_REPLACE_AT_OPENING, at=AT), "replaces it when its window opens 2026-03-02 02:00 UTC"),
    (
        Reason.of(Code.DOES_REPLACE_ANOTHER_NIGHT, why=Reason.of(Code.NIGHT_FULL, number=9)),
        "replaces it another night: tonight's 9 rotations are taken",
    ),
    (Reason.of(Code.DOES_REPLACE_TONIGHT), "replaces it in this night"),
    (Reason.of(Code.DOES_AWAIT_VALUE), "waits until it has its value"),
    (Reason.of(Code.DOES_REPLACE_WHEN_APPROVED), "replaces it as soon as somebody approves that"),
    (
        Reason.of(Code.DOES_GO_ON, why=Reason.of(Code.UNDER_WAY, rotation="rot_1", state="created")),
        "is at it: rotation rot_1 is created",
    ),
    (Reason.of(Code.DOES_REPLACE_BEFORE, lead="12h"), "replaces it 12h before it lapses"),
    (Reason.of(Code.NOTHING_BEFORE_THAT), "does nothing before that"),
    (Reason.of(Code.STUCK), "its rotation is stuck"),
    (Reason.of(Code.STAYS), "its value stays as it is"),
    (Reason.of(Code.NOT_BEFORE_IT_AGREES), "it neither rotates nor revokes it until that agrees"),
    # What was found
    (
        Reason.of(Code.UNREADABLE, what="it", problem="policy"),
        "what is stored of it cannot be read (policy): restore its row from a backup",
    ),
    (
        Reason.of(Code.EDITED_ROW, table="routes", key="rte_1", name="mail"),
        (
            "a route mail (routes rte_1) was changed behind the vault's back: nothing is done by it. "
            "Restore it from a backup, or look at it and answer for it"
        ),
    ),
    (
        Reason.of(Code.SEALED_ROW, table="versions", key="vlt_1 2"),
        (
            "a version of an item (versions vlt_1 2) does not open: its sealed record was changed: "
            "nothing is done by it. Restore it from a backup, or look at it and answer for it"
        ),
    ),
    (
        Reason.of(Code.BAD_TEMPLATE, template="digest.md", problem="{% what"),
        "the template digest.md is passed over, ours is sent in its place: {% what",
    ),
    (Reason.of(Code.NAMED, workflow="sync", node="call"), "node call of workflow sync names it"),
    (
        Reason.of(Code.NAMED, workflow="sync", mentioned=True),
        "the document of workflow sync mentions it",
    ),
    (
        Reason.of(Code.USED_LAPSED, workflow="sync", node="call", seconds=-86400),
        "node call of workflow sync uses it, and it lapsed 1 day ago",
    ),
    (
        Reason.of(Code.PINNED_OLD, workflow="sync", node="call", version=1, current=2),
        "node call of workflow sync is pinned to version 1, and version 2 is current",
    ),
    (
        Reason.of(Code.RAN_OLD, workflow="sync", node="call", version=1, current=2),
        "node call of workflow sync last ran with version 1, and version 2 is current",
    ),
    (
        Reason.of(Code.HELD_IDLE, workflow="sync", node="call", seconds=-86400),
        "node call of workflow sync holds it, and last ran 1 day ago",
    ),
    (
        Reason.of(Code.HELD_IDLE, workflow="sync", node="call"),
        "node call of workflow sync holds it, and has never run",
    ),
    (
        Reason.of(Code.NO_CONSUMER, command="nightkey item update x --consumers none"),
        (
            f"no active workflow here uses it: {UNREAD}. Apply one that does; or, if nothing here "
            f"needs to read it, nightkey item update x --consumers none; or leave its replacement to "
            f"its owner"
        ),
    ),
    (
        Reason.of(Code.UNUSED),
        "apply the workflow that uses it, or say that something else does; if nothing does, it can go",
    ),
    (Reason.of(Code.NO_OWNER), "nobody but the operators hears of it"),
    (Reason.of(Code.NO_EXPIRY), "nobody will notice when it stops working"),
    (Reason.of(Code.NO_PLAN), "say how it is replaced: auto, approve or notify"),
    (Reason.of(Code.GENERIC_NAME), "name service and environment, as in prod-ticketing-api-token"),
    (
        Reason.of(Code.NO_VALUE),
        "it came in without its value: nothing here can use it before that is given",
    ),
    (
        Reason.of(Code.MISFIT, lasts="1h", lead="2d"),
        (
            "its last replacement lives 1h, and its policy counts on a lead of 2d. Have its service "
            "give longer ones, or say how long they live"
        ),
    ),
    (
        Reason.of(Code.MISFIT, lasts="1h", lead="2d", overlap="50m", short=True),
        (
            "its last replacement lives 1h, and its policy counts on a lead of 2d and an overlap of "
            "50m: a night comes once a day, and may find it lapsed. Have its service give longer "
            "ones, or say how long they live"
        ),
    ),
    (
        Reason.of(Code.SAME_VALUE, items=("prod-a", "prod-b")),
        (
            "it has the same value as prod-a, prod-b: when one of them is replaced the other stops "
            "working. Let workflows name one of them and delete the other, or declare which is the copy"
        ),
    ),
    (
        Reason.of(Code.SAME_ACCOUNT, items=("prod-a",), account="user x"),
        (
            "it changes user x, as does prod-a: when one of them is replaced the other stops working. "
            "Let workflows name one of them and delete the other, or declare which is the copy"
        ),
    ),
    (
        Reason.of(Code.COPY_IS_OLD, original="prod-a", at=AT),
        (
            "its original prod-a was replaced on 2026-03-02 02:00 UTC, and it still has the value "
            "from before. One of the two stops working, and no value is ever read out of the vault: "
            "let what uses it name prod-a, or give it the value that works"
        ),
    ),
    (
        Reason.of(Code.COPY_DIFFERS, original="prod-a", at=AT),
        (
            "it has another value than its original prod-a, which got its own on 2026-03-02 02:00 "
            "UTC. One of the two stops working, and no value is ever read out of the vault: let what "
            "uses it name prod-a, or give it the value that works"
        ),
    ),
    (Reason.of(Code.AFTER_RESTORE, detail=SAID), "after the restore: verify: the service answered 502"),
    # How an item stands that somebody who leaves could read
    (
        Reason.of(Code.FREEZE, item="prod-crm", until=AT),
        (
            "nothing is to change for prod-crm until 2026-03-02 02:00 UTC (freeze): "
            "wait for that, or add --in-freeze"
        ),
    ),
    (
        Reason.of(Code.LEFT_AWAITS_VALUE),
        "it waits for its value: what they know of it is elsewhere, and replaced there",
    ),
    (Reason.of(Code.LEFT_REPLACED, version=2, unread=False), "by version 2"),
    (
        Reason.of(Code.LEFT_REPLACED, version=2, unread=True),
        "by version 2; no workflow uses it: nothing here can hand out the new value",
    ),
    (Reason.of(Code.LEFT_OVERLAPS, version=2), "version 2 is current, waits for its overlap"),
    (
        Reason.of(Code.LEFT_OVERLAPS, version=2, waits="the first good production run of sync"),
        "version 2 is current, waits for the first good production run of sync",
    ),
    (
        Reason.of(Code.LEFT_FIRST_VALUE, command="nightkey item rotate prod-crm"),
        "its first value may be the one that they knew, so replace it: nightkey item rotate prod-crm",
    ),
    (Reason.of(Code.LEFT_TO_OWNER), "only its owner can replace it"),
    (Reason.of(Code.LEFT_FAILED, why=SAID, rotation="rot_1"), "verify: the service answered 502 (rot_1)"),
    (Reason.of(Code.LEFT_TO_DO), "still to be replaced"),
    (Reason.of(Code.LEFT_UNDER_WAY, rotation="rot_1", state="created"), "rot_1 is created"),
    (Reason.of(Code.LEFT_WAITS, rotation="rot_1", state="stuck"), "rot_1 is stuck: a person"),
    (Reason.of(Code.LEFT_WAITS, rotation="rot_1", state="stuck", waits="502"), "rot_1 is stuck: 502"),
    # What a target said of an item after a restore
    (Reason.of(Code.NOT_ASKED_YET), ""),
    (Reason.of(Code.ACCEPTED, version=1), "version 1 is accepted"),
    (
        Reason.of(Code.ACCEPTED, version=1, unknown=("tok_2", "tok_3 (nightkey-rot_2)")),
        "version 1 is accepted; unknown here, and there: tok_2, tok_3 (nightkey-rot_2)",
    ),
    (
        Reason.of(Code.ACCEPTED_UNLISTED, version=1),
        (
            "version 1 is accepted, and what else was made there since the copy cannot be listed: "
            "look there for labels that begin with nightkey-, and revoke what is not in use"
        ),
    ),
    (Reason.of(Code.ACCEPTED_ROTATING, version=2), "version 2 is accepted, as its rotation knows"),
    (
        Reason.of(Code.REFUSED_HERE, version=2, accepted=1, stage="previous"),
        "version 2, the current one here, is refused, and version 1 (previous) is accepted",
    ),
    (
        Reason.of(Code.ALL_REFUSED, unknown=("tok_2",)),
        (
            "no version, the current one here, is refused, and so is every other value of it here: it "
            "was replaced after the copy; unknown here, and there: tok_2"
        ),
    ),
    (
        Reason.of(Code.REFUSED_HERE, version=2, accepted=3, stage="pending", unknown=("tok_2",)),
        (
            "version 2, the current one here, is refused, and version 3 (pending) is accepted; unknown here, "
            "and there: tok_2"
        ),
    ),
    (
        Reason.of(Code.ALL_REFUSED, version=2),
        (
            "version 2, the current one here, is refused, and so is every other value of it here: it "
            "was replaced after the copy"
        ),
    ),
    (
        Reason.of(Code.KEY_UNDER_WAY),
        (
            "a new key was being handed out when the copy was made, and whether it is in use by now "
            "is not known here"
        ),
    ),
    (
        Reason.of(Code.KEYS_UNKNOWN),
        (
            "a key that was handed out since the copy was made is unknown here and opens nothing: "
            "rotate it, if one was"
        ),
    ),
    (
        Reason.of(Code.NO_ROTATOR),
        (
            "no rotator can ask which value is in use: if its owner has replaced it since the copy "
            "was made, give the newer one"
        ),
    ),
    (Reason.of(Code.WORKS_HERE), "its value works here alone"),
    (Reason.of(Code.ASKING_FAILED, error="KeyError"), "unexpected KeyError while asking"),
    (Reason.of(Code.DIFFERS_THERE, item="prod-crm", detail=SAID), f"prod-crm: {say(SAID)}"),
    # What a check of a credential came to
    (
        Reason.of(Code.CHECK_ACCEPTED, target="db.example.org:5432", version=3),
        "db.example.org:5432 accepts version 3, and refuses a made-up value",
    ),
    (
        Reason.of(Code.CHECK_REFUSED, version=3, text="verify: the service answered 401"),
        "the other side refuses version 3: verify: the service answered 401",
    ),
    (
        Reason.of(Code.CHECK_AWAY, target="auth.example.org", version=3, text="it answered 503"),
        "auth.example.org could not be asked: it answered 503",
    ),
    (
        Reason.of(Code.CHECK_BLIND, target="auth.example.org", version=3),
        (
            "auth.example.org accepts version 3, but the same check takes a made-up value, too, so that it "
            "tells nothing"
        ),
    ),
    (
        Reason.of(Code.CHECK_UNSHOWN, target="auth.example.org", version=3),
        (
            "auth.example.org accepts version 3, but no made-up value could be shown to the same check, so "
            "that it tells nothing"
        ),
    ),
    (
        Reason.of(Code.CHECK_FAILED, target="auth.example.org", version=3, text="the settings are of another"),
        "auth.example.org could not be asked whether it works: the settings are of another",
    ),
    (Reason.of(Code.CHECK_CUT_OFF, number=3), "it was begun 3 times, and whoever asked did not come back"),
    (Reason.of(Code.CHECK_NO_ROTATOR), "it has no rotator that could ask the other side"),
    (
        Reason.of(Code.ASKED_AGAIN, at=AT),
        f"it is asked of again when its value has changed, or from {AT:%Y-%m-%d} on",
    ),
    # What keeps a night from ending well
    (Reason.of(Code.WAS_CUT_OFF), "it was cut off"),
    (Reason.of(Code.SCAN_FAILED, error="KeyError"), "unexpected KeyError"),
    (Reason.of(Code.NOT_DELIVERED, subject="a digest", place="mail"), "'a digest' by mail: not tried yet"),
    (Reason.of(Code.NOT_DELIVERED, subject="a digest", place="mail", text="550"), "'a digest' by mail: 550"),
    (
        Reason.of(Code.OPERATORS_NAME_TAKEN),
        "none of us gave that name to the owner who has it, so nothing is sent to the operators",
    ),
    (Reason.of(Code.FOREIGN_MESSAGES, counts=("2 too long", "1 unsigned")), "2 too long, 1 unsigned"),
    (Reason.of(Code.OLDER_DATABASE, text="it is older"), "it is older"),
]


def _name(one: Reason | str) -> str:
    return one if isinstance(one, str) else one.code.value


NEVER_STORED = frozenset(
    {
        Code.OTHER, Code.FAILED, Code.BAD_SETTINGS, Code.TROUBLE, Code.TAMPERED, Code.OLDER_DATABASE,
        Code.CALLERS_ANSWERED_FOR, Code.CALLERS_MOVED, Code.CHECK_ANSWERED_FOR, Code.RETRIES_AFTER,
        Code.ROTATES_FROM, Code.ASKS_FROM, Code.OPENS, Code.ANOTHER_NIGHT, Code.AWAITS_VALUE,
        Code.OWNER_REPLACES, Code.IS_STUCK, Code.AWAITS_APPROVAL, Code.WAS_CUT_OFF,
        Code.OPERATORS_NAME_TAKEN, Code.FREEZE, Code.LEFT_AWAITS_VALUE, Code.LEFT_REPLACED, Code.LEFT_OVERLAPS,
        Code.LEFT_FIRST_VALUE, Code.LEFT_TO_OWNER, Code.LEFT_FAILED, Code.LEFT_TO_DO, Code.LEFT_UNDER_WAY,
        Code.LEFT_WAITS, Code.CHECK_ACCEPTED, Code.CHECK_REFUSED, Code.CHECK_AWAY, Code.CHECK_BLIND,
        Code.CHECK_UNSHOWN, Code.CHECK_FAILED, Code.CHECK_CUT_OFF, Code.CHECK_NO_ROTATOR, Code.ASKED_AGAIN,
        Code.STOPPED_IT, Code.DIFFERS_THERE,
        *(reason.code for reason, _ in STEPS),
    },
)  # fmt: skip
"""Shown and never kept before there were codes, or a text of others alone."""
KEPT_AS_TEXT = frozenset(
    {
        Code.RUN_WITH_NEW, Code.EDITED_ROW, Code.SEALED_ROW, Code.SCAN_FAILED, Code.NOT_DELIVERED,
        Code.FOREIGN_MESSAGES, Code.NODE_TEST_FAILED, Code.WORKFLOW_TEST_FAILED,
    },
)  # fmt: skip
"""Kept for no longer than to the next look, or to the next try of a step: what was stored of these stays a text
until then.
"""


@pytest.mark.parametrize(
    ("reason", "sentence"),
    WORDED,
    ids=lambda one: one if isinstance(one, str) else one.code,
)
def test_a_code_says_its_sentence_also_after_it_was_stored(reason: Reason, sentence: str) -> None:
    assert say(reason) == sentence
    stored = json.loads(json.dumps(store_reason(reason)))
    assert read_reason(stored) == reason


def test_each_code_has_a_sentence_and_stands_in_the_table() -> None:
    assert SENTENCES.keys() == set(Code)
    assert {reason.code for reason, _ in WORDED} == set(Code)


def test_who_makes_a_reason_gives_it_no_parameter_that_its_sentence_does_not_know() -> None:
    known: dict[str, set[str]] = {}
    for reason, _ in WORDED:
        known.setdefault(reason.code.name, set()).update(reason.parameters)
    used = [use for file in Path(worker.__file__).parent.rglob("*.py") for use in _uses(file)]
    assert len(used) > 100
    assert [use for use in used if not use[1] <= known[use[0]]] == []


def _uses(file: Path) -> list[tuple[str, set[str]]]:
    """Every `Reason.of(Code.NAME, …)` of a file: the name, and the names of what is given."""
    return [
        (node.args[0].attr, {one.arg for one in node.keywords if one.arg is not None})
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "Reason.of"
        and isinstance(node.args[0], ast.Attribute)
    ]


def test_a_sentence_is_told_whatever_its_row_lacks_or_holds() -> None:
    assert say(read_reason({"code": "pinned"})) == "?, which is pinned to version ?"
    no_time = read_reason({"code": "moment", "at": "soon"})
    assert say(no_time) == "a moment in which changes may be made, from soon"
    assert say(read_reason({"code": "expires", "seconds": "many"})) == "expires ?"
    assert say(read_reason({"code": "pinned", "workflow": "{version}", "version": 1})) == (
        "{version}, which is pinned to version 1"
    )
    assert say(None) == ""
    assert say_all([]) == ""


def test_a_code_of_another_release_is_shown_as_it_stands() -> None:
    assert json.loads(say(read_reason({"code": "to-come", "n": 1}))) == {"code": "to-come", "n": 1}
    assert say(show_reason("garbage")) == "garbage"
    with pytest.raises(ValueError, match="not an object"):
        read_reason("garbage")
    with pytest.raises(ValueError, match="no list"):
        read_reasons({"code": "approval"})


FORMER = {
    Code.UNUSED: "delete it if nothing else does",
    Code.DOES_NOTHING: "nothing: its windows and freezes allow no moment for a rotation",
    Code.NOTHING_BEFORE_THAT: "nothing, before that",
}
"""What was stored in other words than those of today."""
OLD = [
    (reason, FORMER.get(reason.code, sentence))
    for reason, sentence in WORDED
    if reason.code not in NEVER_STORED | KEPT_AS_TEXT
]


@pytest.mark.parametrize(("reason", "sentence"), OLD, ids=_name)
def test_what_was_stored_in_words_becomes_its_code_and_says_the_same(reason: Reason, sentence: str) -> None:
    stored = read_sentence(sentence)
    assert stored["code"] == reason.code
    assert reason.code in FORMER or say(read_reason(stored)) == sentence
    assert write_sentence(stored) == sentence, "the digest of then was made over it"


@pytest.mark.parametrize(
    ("before", "today"),
    [
        ("expires in a minute", "expires in less than a minute"),
        ("lapsed a minute ago", "lapsed less than a minute ago"),
        ("lapsed 330 days ago", "lapsed 11 months ago"),
        ("expires in 59 days", "expires in 59 days"),
    ],
)
def test_a_distance_that_was_stored_in_words_is_told_as_all_are_today(before: str, today: str) -> None:
    stored = read_sentence(before)
    assert stored["code"] == Code.EXPIRES
    assert say(read_reason(stored)) == today
    assert write_sentence(stored) == before


def test_every_sentence_that_is_known_of_before_leads_to_a_code_of_today() -> None:
    assert {code for code, _, _ in TEMPLATES} == {reason.code.value for reason, _ in OLD}


PIECES = [*(text for _, text in OLD), ": ", ", ", "in 3 days"]


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_no_stored_sentence_is_lost(text: str) -> None:
    for stored in (read_sentence(text), read_sentence(text, failed=True)):
        assert write_sentence(stored) == text
        assert stored["code"] in FORMER or say(read_reason(stored)) == text


@given(st.text())
def test_a_reason_that_no_migration_would_have_made_gives_no_sentence_back(text: str) -> None:
    assert undo_reason({"reason": {"code": "other", "text": "its owner replaced it"}}) == {"reason": None}
    assert undo_reason({"reason": {"code": "by-owner", "more": text}}) == {"reason": None}
    assert undo_reason({"reason": text}) == {"reason": None}
    assert undo_reason({"reason": {"code": "by-owner"}}) == {"reason": "its owner replaced it"}


def test_what_nightkey_does_is_read_behind_its_name() -> None:
    """`Nightkey does nothing: its rotation is stuck.`"""
    done = [say(reason) for reason, _ in WORDED if reason.code.startswith("does-")]
    done.append(say(Reason.of(Code.NOTHING_BEFORE_THAT)))
    assert len(done) > 10
    assert {sentence.split()[0] for sentence in done} == {"asks", "does", "is", "replaces", "tries", "waits"}


def test_sentences_read_aloud_name_no_parameter() -> None:
    for _, sentence in WORDED:
        assert not re.search(r"\{\w+(:\w)?\}", sentence)
    assert store_reasons([Reason.of(Code.APPROVAL)]) == [{"code": "approval"}]


def test_a_code_is_no_text_by_itself():
    with pytest.raises(TypeError, match=r"the reason 'by-hand' is no text"):
        str(Reason.of(Code.BY_HAND))


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("odd", ["{", "{0}", "{key!r:>{x}}", "}{", "%s"])
def test_what_a_row_was_made_to_hold_is_shown_as_it_stands(code: Code, odd: str) -> None:
    names = ("table", "key", "name", "item", "workflow", "text", "node", "why", "version", "owner", "error")
    assert isinstance(say(read_reason({"code": code.value, **dict.fromkeys(names, odd)})), str)


def test_reasons_within_reasons_end_somewhere() -> None:
    stored: dict[str, Any] = {"code": "other-side", "why": {"code": "failed", "text": "502"}}
    for _ in range(900):
        stored = {"code": "other-side", "why": stored}
    assert say(read_reason(stored)).startswith("the other side to come back: the other side")


def test_what_is_no_reason_in_a_list_of_them_is_shown_as_it_stands() -> None:
    read = read_reasons(["approval", 5, {"code": "of another release"}, None, [["a"]]])
    assert say_each(read)[:2] == ["approval", "5"]
    assert all(one.code is Code.OTHER for one in read)
    with pytest.raises(ValueError, match="no list"):
        read_reasons("approval")


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ("the first good production run of x" * 30, "first-run"),
        ("the other side to come back: " * 60 + "502", "other-side"),
        ("the other side to come back: " * 300, "other"),
        ("x" * 1_000_000, "other"),
    ],
)
def test_a_sentence_that_nobody_wrote_takes_no_longer_than_others(sentence: str, code: str) -> None:
    read = read_sentence(sentence)
    assert read["code"] == code
    assert code != "other" or read["text"] == sentence


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("verification", "verification"),
        ("node-test sync/call a", "node test of sync/call a"),
        ("node-test {}/{0}", "node test of {}/{0}"),
        ("here-alone", "nobody else is to accept it"),
        ("digest", "it is kept as a digest"),
        ("node test of sync/call", "node test of sync/call"),
        (None, None),
    ],
)
def test_what_showed_a_value_to_work_is_said_also_where_it_was_stored_in_words(stored, said) -> None:
    assert say_shown_by(stored) == said


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 rotations"), (1, "1 rotation"), (2, "2 rotations"), (1001, "1,001 rotations")]
)
def test_a_noun_agrees_with_its_number(number, said) -> None:
    assert say_count(number, "rotation") == said
    verb = "is" if number == 1 else "are"
    said = said.replace(",", "")  # a reason shows its numbers as they stand
    assert say(Reason.of(Code.NIGHT_FULL, number=number)) == f"tonight's {said} {verb} taken"
    assert say(Reason.of(Code.TARGET_FULL, number=number, target="crm")) == (
        f"tonight's {said} at crm {verb} taken"
    )
