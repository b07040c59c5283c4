"""`/nightkey/pickups`: an owner collects a key that was generated while nobody looked."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from vaultcore.access import Action
from worker.web.api.asking import AskedRoute, Asker, asks, services_of

router = APIRouter(prefix="/nightkey/pickups", tags=["pickups"], route_class=AskedRoute)


class Token(BaseModel):
    """From the notice that told of the new key."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token: SecretStr = Field(max_length=200, examples=["clm_…"])


class CollectedKey(BaseModel):
    item: str
    item_id: str
    version: int
    key: str = Field(examples=["wfk_…"])


@router.post("", **asks(Action.PICKUP_COLLECT))
def collect(request: Request, principal: Asker, wanted: Token) -> CollectedKey:
    """The key, for who answers for its item. Until its first use, and for an hour at most, the same principal
    may ask again, since the answer may be lost; nobody else.
    """
    services, token = services_of(request), wanted.token.get_secret_value()
    item_id = services.rotation.pickups.find_item(token)
    services.access.principals.find_item(principal, item_id, Action.PICKUP_COLLECT)
    found = services.rotation.pickups.collect(token, actor=principal.actor, show=lambda _: None)
    key = found.key.expose()
    return CollectedKey(item=found.item, item_id=found.item_id, version=found.version, key=key)
