"""Credentials that the other side refuses, as findings."""

from collections.abc import Iterator

from sqlalchemy import Connection

from vaultcore.consumers import ROTATOR_NODE, References
from vaultcore.model import Policy
from worker.domain.credential_checks import find_refused
from worker.domain.findings import Finding
from worker.rotators.catalog import can_set_anew
from worker.rows import credential_checks as check_rows
from worker.rows.credential_checks import LastCheck


def walk_refused(connection: Connection, references: References, *, page_size: int) -> Iterator[list[Finding]]:
    """Those that were refused, and have no other value since then."""
    for page in check_rows.walk_refused(connection, page_size=page_size):
        yield [
            find_refused_credential(
                connection,
                references,
                item_id=one.item_id,
                name=one.name,
                policy=one.policy,
                check=one.check,
            )
            for one in page
        ]


def find_refused_credential(
    connection: Connection, references: References, *, item_id: str, name: str, policy: Policy, check: LastCheck
) -> Finding:
    return find_refused(
        item_id,
        name,
        said=check.detail,
        can_set_anew=can_be_set_anew(connection, references, item_id, policy),
        lifetime=policy.lifetime,
        next_at=check.next_at,
    )


def can_be_set_anew(connection: Connection, references: References, item_id: str, policy: Policy) -> bool:
    """Not where its rotator is let in by the very value that is refused."""
    if not can_set_anew(policy):
        return False
    named = references.of_consumer(connection, item_id)
    return not any(one.node_id == ROTATOR_NODE and one.item_id == item_id for one in named)
