"""What a program is given of principals and their tokens, of routes that were tried, of who is reached by none,
and of who leaves. Command line and interface share it; what they describe lies in rooms above.
"""

from collections.abc import Iterable
from typing import Any

from vaultcore.crypto import apikeys
from vaultcore.model import Item
from vaultcore.secret import Secret
from worker.domain.commands import quote_word
from worker.domain.reach import Gap, Unreached
from worker.wording.reasons import say


def describe_principal(principal: Any) -> dict[str, Any]:  # noqa: ANN401  # of `vaultcore.principals`
    return {
        "id": principal.id,
        "name": principal.name,
        "kind": principal.kind,
        "roles": list(principal.roles),
        "owners": list(principal.owners),
        "created_at": principal.created_at,
        "disabled_at": principal.disabled_at,
    }


def describe_bearer(principal: Any, tokens: Iterable[Any]) -> dict[str, Any]:  # noqa: ANN401  # as above
    """A principal with its tokens: when each lapses, and when it was last used."""
    return describe_principal(principal) | {
        "tokens": [
            {
                "item": token.item.name,
                "item_id": token.item.id,
                "expires_at": token.item.expires_at,
                "last_used_at": token.last_used_at,
            }
            for token in tokens
        ]
    }


def describe_tried_route(tried: Any) -> dict[str, Any]:  # noqa: ANN401  # as `worker.services` has it
    """What came of a test message at one recipient."""
    return {
        "route": tried.route,
        "id": tried.id,
        "recipient": tried.recipient,
        "taken": tried.error is None,
        "error": tried.error,
    }


def describe_departure(departure: Any) -> dict[str, Any]:  # noqa: ANN401  # as above
    """How each item stands that somebody who leaves could read; `finished_at` null: some of it is left."""
    return {
        "id": departure.id,
        "name": departure.name,
        "items": [vars(left) | {"why": say(left.why)} for left in departure.items],
        "finished_at": departure.finished_at,
    }


def describe_templates(letters: Any, folder: object) -> dict[str, Any]:  # noqa: ANN401  # as above
    """The kinds of message, what words each, and what is wrong with those of the organisation."""
    return {
        "folder": str(folder),
        "templates": [
            {"kind": name, "template": "built in" if own is None else str(own)}
            for name, own in letters.kinds().items()
        ],
        "problems": letters.check(),
    }


def describe_presented(key: Secret, found: tuple[Item, int] | None) -> dict[str, Any]:
    """Of a key that somebody presents: whose it is, by which version."""
    if found is None:
        real = apikeys.looks_real(key.expose())
        return {"valid": False, "checksum": real, "item": None, "item_id": None, "version": None}
    item, number = found
    return {"valid": True, "checksum": True, "item": item.name, "item_id": item.id, "version": number}


def describe_unreached(one: Unreached) -> str:
    """What is missing, what comes of it, and the command that mends it."""
    word = quote_word(one.name)
    route = f"nightkey owner route {word} --route-file PATH"
    match one.gap:
        case Gap.NO_OPERATORS:
            return (
                f"the setting operators names {one.name!r}, which no owner is called, so nobody hears of whole "
                f"nights or of what nobody owns: change it, or nightkey owner create {word} --route-file PATH"
            )
        case Gap.OPERATORS_UNROUTED:
            return f"{one.name}, who hear of what nobody owns and of whole nights, have no route: {route}"
        case Gap.UNREACHED:
            return f"{one.name} has no route, and neither a deputy nor the operators have one: {route}"
        case Gap.DEPUTY_UNROUTED:
            return f"{one.name}, deputy of {one.of}, has no route: {route}"
