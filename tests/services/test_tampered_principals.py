"""A principal or a token that none of us wrote so lets nobody in."""

import pytest
from sqlalchemy import select

from tests.services.conftest import Moves
from tests.services.spoiling import find, forge, spoil, wrong
from tests.services.test_principals import create, issue
from vaultcore.access import Role
from vaultcore.errors import TamperedError
from vaultcore.tables import principals, tokens
from worker.bootstrap import Services

pytestmark = pytest.mark.rules


@pytest.mark.parametrize("name", principals.info["decides"])
def test_an_edited_principal_is_let_in_by_nothing(services: Services, name: str) -> None:
    create(services, "deploy-bot", Role.VIEWER)
    token = issue(services)
    ((found,),) = Moves(services).sql(select(principals.c.id))
    spoil(services, principals, found, name)
    with pytest.raises(TamperedError, match="principal"):
        services.access.principals.authenticate(token)
    assert wrong(services) == ["principals"]


def test_a_forged_token_lets_nobody_in(services: Services, moves: Moves) -> None:
    create(services, "admin-bot", Role.ADMIN)
    issue(services, "admin-bot")
    key, token = moves.add("api-key:callers", None), moves.get("api-key:admin-bot")
    assert key.key is not None
    forge(services, tokens, token.id, item_id=key.item.id)
    assert find(services, tokens, key.item.id)["mac"] is None
    with pytest.raises(TamperedError, match="token"):
        services.access.principals.authenticate(key.key)
