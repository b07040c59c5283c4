"""Why somebody is not signed in, as their page says it."""

from collections.abc import Mapping
from typing import Final

from worker.domain.identity import NoEntry

REFUSALS: Final[Mapping[NoEntry, str]] = {
    NoEntry.NOT_BEGUN: "This sign-in was begun in another browser, was used before, or took longer than ten "
    "minutes. Begin again.",
    NoEntry.DENIED: "Your identity provider did not let you in.",
    NoEntry.BAD_TOKEN: "What your identity provider said of you does not hold: the issuer, the client or the "
    "time is not what it must be. The log names what is wrong; tell whoever runs Nightkey.",
    NoEntry.NO_ROLE: "You are known to your identity provider, but none of your groups has a role here. An "
    "admin of Nightkey gives one to a group (setting oidc_roles).",
    NoEntry.REVOKED: "You are let in no more: your principal was revoked. An admin of Nightkey can say why.",
    NoEntry.AWAY: "Your identity provider does not answer now. Try again in a minute.",
}
