"""The room of access: who asks, and whether they may."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vaultcore.principals import Principals
from vaultcore.sessions import Sessions
from worker.services.access.principals import PrincipalAccess
from worker.services.access.requests import Requests
from worker.services.access.sessions import SignIns
from worker.services.core import Core, WaysOut
from worker.services.items.room import ItemsRoom
from worker.services.runs.room import RunsRoom

if TYPE_CHECKING:  # its code is loaded only where a provider is set
    from worker.services.access.identities import Identities


@dataclass(frozen=True, kw_only=True)
class Access:
    """`identities`: of the identity provider; None: none is set."""

    principals: PrincipalAccess
    sign_ins: SignIns
    identities: "Identities | None"
    requests: Requests


def build_access(core: Core, ways_out: WaysOut, *, items: ItemsRoom, runs: RunsRoom) -> Access:
    principals = Principals(owners=core.owners, audit=core.audit, clock=core.clock)
    sessions = Sessions(principals=principals, audit=core.audit, clock=core.clock)
    return Access(
        principals=PrincipalAccess(
            database=core.database,
            vault=core.vault,
            versions=core.versions,
            principals=principals,
            items=items,
            caller_keys=runs.caller_keys,
            operators=core.settings.operators,
        ),
        sign_ins=SignIns(database=core.database, principals=principals, sessions=sessions),
        identities=_build_identities(core, ways_out, principals=principals, sessions=sessions),
        requests=Requests(
            database=core.database, deployment_id=core.deployment_id, keyring=core.keyring, clock=core.clock
        ),
    )


def _build_identities(
    core: Core, ways_out: WaysOut, *, principals: Principals, sessions: Sessions
) -> "Identities | None":
    settings = core.settings
    if not settings.oidc_client_id and not settings.jwt_audience:
        return None
    from worker.services.access.identities import Identities  # noqa: PLC0415  # only here is it needed
    from worker.services.access.identity_provider import IdentityProvider  # noqa: PLC0415  # as above

    provider = IdentityProvider(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.client_secret,
        algorithms=settings.jwt_algorithms,
        http=ways_out.http,
        clock=core.clock,
    )
    return Identities(
        provider=provider,
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        audience=settings.jwt_audience,
        rules=settings.role_rules,
        groups_claim=settings.oidc_groups_claim,
        back_to=f"{settings.console_url}/console/oidc/callback",
        database=core.database,
        principals=principals,
        sessions=sessions,
        owners=core.owners,
        audit=core.audit,
        keyring=core.keyring,
        clock=core.clock,
    )
