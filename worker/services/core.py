"""What every room of the services stands on: settings, clock and the opened vault; and, apart, the ways out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.named_policies import NamedPolicies
from vaultcore.owners import Owners
from vaultcore.presented_keys import PresentedKeys
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.config import Settings

if TYPE_CHECKING:  # with them comes all that calls others: `bootstrap` makes them for who does
    from worker.outbound import HttpClient, Network


@dataclass(frozen=True, kw_only=True)
class Core:
    """`worker.open_vault` makes it, once in a process."""

    settings: Settings
    clock: Callable[[], datetime]
    deployment_id: str
    keyring: Keyring
    database: Database
    audit: AuditLog
    versions: Versions
    presented_keys: PresentedKeys
    vault: Vault
    references: References
    owners: Owners
    named_policies: NamedPolicies


@dataclass(frozen=True, kw_only=True)
class WaysOut:
    """They call nothing but what the guard lets through. Apart from the core, so that who only looks at a vault
    loads no certificates, and is not refused for those that cannot be read.
    """

    network: "Network"
    http: "HttpClient"
