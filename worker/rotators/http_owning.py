"""What a candidate is called beyond doubt, to be revoked by that: never what was only guessed. Pure."""

from dataclasses import dataclass

from worker.rotators.http_search import Found


@dataclass(frozen=True, kw_only=True)
class CandidateSign:
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
    called is not known, though it may be outside; None: nothing of it is. `used`: what its use told, right or
    wrong: as long as it tells that, the candidate works. `doubt`: why no list could tell.
    """

    ids: frozenset[str | None]
    unknown: str | None = None
    used: str | None = None
    doubt: str | None = None


def decide_own(sign: CandidateSign, found: Found) -> Own:
    """The ids by which the candidate may be revoked: never what a list shows without this rotation's label.

    What bears the label in a list is its own, and so is what its use tells, unless `issue` told another id, or
    a list that leaves no doubt has others. Where no list can tell, what `issue` told with a value that the
    service accepts, or was shown to, is too; unless its use should have told it and does not. A list that
    leaves no doubt contradicts what it does not hold.
    """
    if not sign.by_id:
        return Own(ids=_by_value(sign, found), used=sign.used)
    own = _own_by_use(sign, found) if sign.used is not None else _own_unused(sign, found)
    theirs = own.ids & found.others
    if not theirs:
        return own
    called = ", ".join(sorted(map(str, theirs)))
    return Own(ids=frozenset(), unknown=f"find lists {called} without this rotation's label", used=sign.used)


def _by_value(sign: CandidateSign, found: Found) -> frozenset[str | None]:
    named = sign.used if sign.used is not None else sign.told
    return frozenset() if named is None and not sign.asks_id and found.ids else frozenset({named})


def _own_by_use(sign: CandidateSign, found: Found) -> Own:
    used = sign.used
    if sign.told is not None and sign.told != used:
        held = next((one for one in (sign.told, used) if one in found.ids), None)
        if held is None:
            listed = "nothing lists either under its label" if found.doubt else "find lists neither"
            unknown = f"issue called it {sign.told}, its use calls it {used}, and {listed}"
            return Own(ids=frozenset(), unknown=unknown, used=used)
        return Own(ids=frozenset({held}), used=used)
    if found.ids and found.doubt is None and used not in found.ids:
        return Own(ids=frozenset(), used=used)  # it is among what bears the label, which is revoked anyhow
    return Own(ids=frozenset({used}), used=used)


def _own_unused(sign: CandidateSign, found: Found) -> Own:
    if sign.told is None and not sign.asks_id:
        return Own(ids=frozenset() if found.ids else frozenset({None}))
    if sign.told in found.ids:
        return Own(ids=frozenset({sign.told}))
    if sign.told is not None and found.doubt is not None and _is_vouched_for(sign):
        return Own(ids=frozenset({sign.told}))
    if (sign.shown and sign.refused) or (sign.told is None and found.ids):
        return Own(ids=frozenset())
    called = "what it is called was not told" if sign.told is None else f"issue called it {sign.told}"
    return Own(ids=frozenset(), unknown=f"{called}, which {_say_unconfirmed(sign, found)}")


def _is_vouched_for(sign: CandidateSign) -> bool:
    return sign.shown or not (sign.asks_id or sign.refused)


def _say_unconfirmed(sign: CandidateSign, found: Found) -> str:
    by_use = "nor its use" if sign.asks_id else "nor a check of it"
    listed = "find does not list" if found.doubt is None else f"nothing lists ({found.doubt})"
    return f"{listed}, {by_use} confirms"
