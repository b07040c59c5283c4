"""Making an item, with its first value."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError
from vaultcore.labels import sort_labels
from vaultcore.model import Item, Label, Policy
from vaultcore.owners import Owners
from vaultcore.rules import check_given, check_name, check_policy, expiry_of_next, kind_of, needs_consumer
from vaultcore.secret import Secret
from vaultcore.twins import find_twins
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.commands import explain_lapsed_metadata, explain_waiting
from worker.domain.consumption import explain_unread_plan
from worker.domain.findings import FindingKind
from worker.domain.policies import PolicyChange
from worker.domain.sharing import refuse_twins
from worker.rotators.catalog import find_accounts
from worker.rows import findings as finding_rows
from worker.services.items.copies import Copies
from worker.services.items.given_values import find_expiry_of
from worker.services.items.policies import build_first_policy
from worker.services.rotation.pickups import Collected, Pickups


class ItemCreation:
    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        owners: Owners,
        references: References,
        pickups: Pickups,
        copies: Copies,
        audit: AuditLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._owners = owners
        self._references = references
        self._pickups = pickups
        self._copies = copies
        self._audit = audit
        self._clock = clock

    def create(
        self,
        name: str,
        *,
        read_value: Callable[[], Secret] | None,
        owners: Sequence[str],
        expires_at: datetime | None,
        policy: PolicyChange,
        labels: Sequence[Label] = (),
        actor: str,
        beside: Callable[[Connection, Item], None] = lambda *_: None,
    ) -> tuple[Item, Collected | None]:
        """A new item; `beside` stores what belongs to it in the same transaction. Its value is read once all
        else is in order. An `api-key:` item is given none: it generates its own, kept until its creator has it.

        Refused where Nightkey would replace what nothing here reads: the workflow that names it comes first.
        """
        check_given(name, is_given=read_value is not None)
        built = build_first_policy(name, policy)
        accounts = find_accounts(built)
        check_policy(built, name=check_name(name), kind=kind_of(name))
        labels = sort_labels(labels)
        with self._database.read() as connection:
            self._owners.ids_of(connection, owners)
            self._pickups.check_first(connection, name, actor=actor)
            self._refuse_waiting(connection, name)
            self._check_awaited(connection, name, built)
            copy_of = self._copies.resolve(connection, built, None).copy_of
            refuse_twins(find_twins(connection, item_id=None, copy_of=copy_of, accounts=accounts), name)
        value = None if read_value is None else read_value()
        if value is not None:
            now = self._clock()
            said = expires_at or expiry_of_next(built, now)
            expires_at = find_expiry_of(value, said, name=name, now=now)
        likeness = None if value is None else self._versions.likeness(value)
        with self._database.write() as connection:
            self._check_awaited(connection, name, built)
            built = self._copies.resolve(connection, built, None, lock=True)  # its value may have taken a while
            self._audit.take_turn(connection)
            refuse_twins(
                find_twins(
                    connection, item_id=None, copy_of=built.copy_of, accounts=accounts, likeness=likeness
                ),
                name,
            )
            created = self._vault.create(
                connection,
                name=name,
                value=value,
                owner_ids=self._owners.ids_of(connection, owners),
                expires_at=expires_at,
                policy=built,
                accounts=accounts,
                labels=labels,
                actor=actor,
            )
            beside(connection, created.item)
            return created.item, self._pickups.keep_first(connection, created, actor=actor)

    def make_first_key(self, name: str, *, actor: str) -> tuple[Item, Collected]:
        """The key of an `api-key:` item that came in without one: made, and kept until it has arrived with who
        asked for it, as that of a new item.
        """
        with self._database.write() as connection:
            item = self._vault.get(connection, name, lock=True)
            says = self._vault.expiry_of_next(item, item.policy)
            if item.version is None and item.expires_at is not None and says is None:
                raise InvalidInputError(explain_lapsed_metadata(item, self._clock()))
            created = self._vault.make_first_key(connection, item.id, actor=actor)
            finding_rows.resolve(connection, FindingKind.NO_VALUE, item.id, created.item.updated_at)
            kept = self._pickups.keep_first(connection, created, actor=actor)
        if kept is None:
            raise RefusedError(f"{name} has a key already")
        return created.item, kept

    def check_new_name(self, name: str) -> str:
        """The name as a new item would be kept under it; an error as of `create` where none may be."""
        with self._database.read() as connection:
            self._refuse_waiting(connection, name)
            return self._vault.check_new_name(connection, name)

    def _refuse_waiting(self, connection: Connection, name: str) -> None:
        """What came in already is not to be created under another name, but to be given its value."""
        with suppress(NotFoundError):
            item = self._vault.get(connection, name)
            if item.version is None:
                raise RefusedError(explain_waiting(item, self._clock()))

    def _check_awaited(self, connection: Connection, name: str, policy: Policy) -> None:
        if needs_consumer(policy, kind_of(name)) and not self._references.is_awaited(connection, name):
            raise RefusedError(explain_unread_plan(name))
