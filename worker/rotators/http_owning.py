"""What a candidate is called beyond doubt, to be revoked by that: never what was only guessed. Pure."""

from dataclasses import dataclass

from worker.rotators.http_search import Found


@dataclass(frozen=True, kw_only=True)
class Sign:
    """What is known of a candidate: `told`, the id that `issue` gave with it; `used`, the id that its use tells
    now; whether the service refuses it now; and whether it was shown to work before, under the id it was told.

    `asks_id`: its use tells ids at all (`verify_id`). `by_id`: credentials are revoked by their ids.
    """

    told: str | None
    used: str | None
    refused: bool
    shown: bool
    asks_id: bool
    by_id: bool


@dataclass(frozen=True, kw_only=True)
class Own:
    """`ids` are the candidate's; None among them: nothing but its value names it. `unknown`: why what it is
    called is not known, though it may be outside; None: nothing of it is.
    """

    ids: frozenset[str | None]
    unknown: str | None = None


def decide_own(sign: Sign, found: Found) -> Own:
    """The ids by which the candidate may be revoked.

    What its use tells, and what bears this rotation's label in a list, is its own. Where no list can tell, what
    `issue` told with a value that the service accepts, or was shown to, is too; unless its use should have told
    it and does not. A list that leaves no doubt contradicts what it does not hold.
    """
    if sign.used is not None:
        return Own(ids=frozenset({sign.used}))
    if sign.told is None and not sign.asks_id:
        return Own(ids=frozenset() if found.ids else frozenset({None}))
    if not sign.by_id or sign.told in found.ids:
        return Own(ids=frozenset({sign.told}))
    if sign.told is not None and found.doubt is not None and _is_vouched_for(sign):
        return Own(ids=frozenset({sign.told}))
    if (sign.shown and sign.refused) or (sign.told is None and found.ids):
        return Own(ids=frozenset())
    called = "what it is called was not told" if sign.told is None else f"issue called it {sign.told}"
    return Own(ids=frozenset(), unknown=f"{called}, which {_say_unconfirmed(sign, found)}")


def _is_vouched_for(sign: Sign) -> bool:
    return sign.shown or not (sign.asks_id or sign.refused)


def _say_unconfirmed(sign: Sign, found: Found) -> str:
    by_use = "nor its use" if sign.asks_id else "nor a check of it"
    listed = "find does not list" if found.doubt is None else f"nothing lists ({found.doubt})"
    return f"{listed}, {by_use} confirms"
