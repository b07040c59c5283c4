"""What the demo's night must have come to: each a sentence, and whether it holds. Asked of both sides."""

from collections.abc import Iterator

from nightkey_demo.organisation import Organisation
from nightkey_demo.target_systems import Machines, TargetSystems
from vaultcore.model import Stage
from worker.bootstrap import Services
from worker.domain.saga import State
from worker.rows import findings as finding_rows
from worker.rows import notices as notice_rows
from worker.rows import rotations as rotation_rows

_OTHER_KINDS = (
    "prod-outgoing-mail-password",
    "prod-ledger-soap-password",
    "prod-files-ssh-key",
    "prod-orders-signing-key",
)
_STALE = ("missing", "expired", "superseded", "unused", "idle")


def find_checks(
    services: Services, targets: TargetSystems, machines: Machines, organisation: Organisation
) -> Iterator[tuple[str, bool]]:
    """Asks the vault, the token service and the sinks."""
    service = targets.token_service
    with services.database.read() as connection:
        states = {rotation.item: rotation.state for rotation in rotation_rows.list_rotations(connection)}
        findings = {(row.kind, row.item) for row in finding_rows.list_open(connection)}
        ticketing = services.vault.get(connection, "prod-ticketing-api-token")
        billing = services.vault.get(connection, "prod-billing-api-token")
        ticketing_stages = [v.stage for v in services.versions.of_item(connection, ticketing.id)]
    first = {name: value.expose() for name, value in organisation.first_values.items()}
    old_ticketing, old_billing = first["prod-ticketing-api-token"], first["prod-billing-api-token"]
    yield (
        "prod-ticketing-api-token was replaced; its predecessor is destroyed here and refused there",
        states["prod-ticketing-api-token"] is State.DONE
        and ticketing_stages == [Stage.DESTROYED, Stage.CURRENT]
        and not service.is_live(old_ticketing)
        and len(service.live_tokens("ticketing")) == 1,
    )
    yield (
        "prod-billing-api-token got a bad replacement, which its workflow test caught: the old one works on",
        states["prod-billing-api-token"] is State.ROLLED_BACK
        and billing.version == 1
        and service.is_live(old_billing)
        and len(service.live_tokens("billing")) == 1,
    )
    yield (
        "prod-billing-callback-secret was replaced, proven by its first production run",
        states["prod-billing-callback-secret"] is State.DONE,
    )
    yield (
        "a mail password, a SOAP password, an SSH key and a signing key were replaced, each where it is",
        {states[name] for name in _OTHER_KINDS} == {State.DONE}
        and not machines.hoster.knows(first["prod-ledger-soap-password"])
        and not machines.ssh.lets_in(first["prod-files-ssh-key"])
        and len(services.runs.key_sets.jwks("prod-orders-signing-key")["keys"]) == 1,
    )
    mails, entries = len(machines.outgoing.messages), machines.hoster.entries
    yield f"the workflows went on: {mails} mails were taken, and {entries} entries", bool(mails and entries)
    yield (
        "api-key:partner-portal has a new key, and the old one works until its owner collects that",
        states["api-key:partner-portal"] is State.WATCHING,
    )
    yield (
        "prod-crm-password waits for its owner, prod-inventory-api-token for an approval: both were left alone",
        {("expiring", "prod-crm-password"), ("expiring", "prod-inventory-api-token")} <= findings
        and "prod-crm-password" not in states
        and states["prod-inventory-api-token"] is State.REQUESTED,
    )
    yield "prod-fax-gateway-password lapsed, and is told", ("lapsed", "prod-fax-gateway-password") in findings
    yield (
        f"each kind of stale reference is found: {', '.join(_STALE)}",
        set(_STALE) <= {kind for kind, _ in findings},
    )
    with services.database.read() as connection:
        notices = notice_rows.list_notices(connection)
    sent = [notice for notice in notices if notice.state == "sent"]
    yield (
        f"{len(sent)} notices were sent; {len(targets.mail.messages)} mails were taken after AUTH",
        len(sent) == len(notices) and len(targets.mail.messages) >= 1,
    )
    verdict = services.upkeep.anchors.verify()
    yield f"the audit log is whole: {verdict.rows} rows", verdict.whole
