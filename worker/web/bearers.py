"""Who presents a key: a principal by its token, which is ours or of the identity provider, or nobody."""

from starlette.requests import Request

from vaultcore.access import Principal
from vaultcore.errors import TamperedError, TargetError
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.log import get_logger
from worker.web.answers import HttpProblem

_log = get_logger(__name__)


def presented_key(request: Request) -> Secret:
    """The key of the request's headers; an empty one, which opens nothing, where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return Secret(token.strip())
    return Secret(request.headers.get("x-api-key", "").strip())


def authenticate(services: Services, key: Secret) -> Principal | None:
    """None: nobody who is let in, nor anybody whose principal or token was changed behind the vault's back."""
    try:
        if services.access.identities is not None and _is_token_of_provider(key):
            return services.access.identities.authenticate(key)
        return services.access.principals.authenticate(key)
    except TamperedError as error:  # the night makes a finding of it
        _log.error("principal.tampered", table=error.table)
        return None
    except TargetError as error:
        _log.warning("token.unchecked", error=str(error))
        raise HttpProblem(
            503, "unavailable", "the identity provider's keys cannot be read now: try again later"
        ) from None


def _is_token_of_provider(key: Secret) -> bool:
    """Whether it has the form of a JSON Web Token, which no key of ours has."""
    return key.expose().count(".") == 2
