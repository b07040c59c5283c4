"""`/nightkey/keys`: whether a key that somebody presents is one of ours."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from vaultcore.access import Action
from vaultcore.secret import Secret
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.wording.people import describe_presented

router = APIRouter(prefix="/nightkey/keys", tags=["keys"], route_class=AskedRoute)


class PresentedKey(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key: SecretStr = Field(max_length=20_000, examples=["wfk_…"])


class CheckedKey(BaseModel):
    """`checksum`: whether it has the form of one of ours. `valid` false: it opens nothing, or nothing of yours;
    then nothing else is said of it.
    """

    valid: bool
    checksum: bool
    item: str | None
    item_id: str | None
    version: int | None


@router.post("/check", **asks(Action.KEY_CHECK))
def check_key(request: Request, principal: Asker, presented: PresentedKey) -> CheckedKey:
    """Whose it is, and which version. That counts as a use of it."""
    key = Secret(presented.key.get_secret_value())
    return CheckedKey(
        **describe_presented(key, services_of(request).access.principals.check_key(principal, key))
    )
