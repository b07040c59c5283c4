"""What a route says beside its address: whom it leads to, what of it would be dropped, what is a secret."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.delivery.listening import say_reason
from worker.delivery.sender import AppriseSender
from worker.settings import ROUTE_SCHEMES

SENDER = AppriseSender(NETWORK, HTTP)
MAIL = "mailto://robot:a-password@example.org"
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
TELEGRAM = "tgram://123456789:abcdefg_hijklmnop"
TWILIO = f"twilio://AC{'a' * 32}:{'b' * 32}@+15551234567"


@pytest.mark.parametrize(
    ("url", "recipients"),
    [
        ("json://host/path", ("",)),
        ("json://exämple.org/path", ("",)),
        (MAIL, ("robot@example.org",)),
        (f"{MAIL}?to=a@x.org&cc=b@x.org&bcc=c@x.org", ("a@x.org", "b@x.org", "c@x.org")),
        (f"{MAIL}/a@x.org/b@x.org,a@x.org", ("a@x.org", "b@x.org")),
        (f"{MAIL}?to=a@x.org&cc=A@x.org", ("a@x.org",)),
        (f"{MAIL}?to=Jane <a@x.org>".replace(" ", "%20"), ("a@x.org",)),
        (f"{MAIL}?cc=b@x.org", ("robot@example.org", "b@x.org")),
        (f"{MAIL}?to=jos@exämple.org", ("jos@xn--exmple-cua.org",)),
        ("mailto://robot:p@mail.exämple.org", ("robot@mail.xn--exmple-cua.org",)),
        (f"{SLACK}/#ops/@bob", ("#ops", "@bob")),
        (f"{SLACK}/#ops", ("",)),
        (SLACK, ("",)),
        (f"{TELEGRAM}/1234/-5678", ("1234", "-5678")),
        (f"{TWILIO}/+15551234568,+15551234569", ("+15551234568", "+15551234569")),
        ("ntfys://ntfy.example/one/two", ("topic 1", "topic 2")),
        ("mmost://host/token/?channels=a,b", ("a", "b")),
        ("sendgrid://abcdefghijkl:from@x.org/a@x.org?cc=b@x.org", ("a@x.org", "b@x.org")),
        ("signal://host/+15551234567/+15551234568/+15551234569?batch=yes", ("",)),  # its service sends to all
        ("rockets://user:password@host/#room/@user", ("",)),  # a user is served only with a room
        ("json://host/?overflow=split&format=text&rto=3", ("",)),
    ],
)
def test_a_route_leads_to_its_recipients(url, recipients):
    assert SENDER.check(Secret(url)) == recipients
    assert tuple(one.name for one in SENDER.recipients(Secret(url))) == recipients


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"{MAIL}?to=foo,b@r", "'foo' is not a mail address; 'b@r' is not a mail address"),
        (f"{MAIL}?to=a@x.org,foo", "'foo' is not a mail address"),
        (f"{MAIL}?to=a@x.org&cc=b@r", "'b@r' is not a mail address"),
        (f"{MAIL}?to=a@x.org&bcc=b@r", "'b@r' is not a mail address"),
        (f"{MAIL}?to=jös@example.org", "has letters outside ASCII before the @"),
        (f"{MAIL}?to=a@x.org&reply=b@r", "Dropped invalid Reply To"),
        (f"{MAIL}?to=a@x.org&to=b@x.org", "'to' stands 2 times"),
        (f"{MAIL}?to=a@x.org;b@x.org", "does not know one"),
        (f"{MAIL}?tp=a@x.org", "does not know 'tp': did you mean"),
        ("json://host/?token=abcdef", "json:// does not know 'token'"),
        ("mailtos://u:p@example.org?mode=startls", "The secure mode specified"),
        ("json://host/?format=bogus", "Unsupported format specified"),
        ("json://host/?tz=Nowhere", "Unknown timezone specified"),
        ("tgram://123:", "not complete for tgram://: see https://appriseit.com/services/telegram"),
        (f"{TELEGRAM}/1234/a b".replace(" ", "%20"), "is not a recipient"),
        (f"{TWILIO}/+15551234568/junk", "'junk' is not a recipient that twilio:// can reach"),
        ("slack://a/b", "the route cannot be used"),
        ("discord://", "the route cannot be used"),
        ("msteams://a/b/c", "apprise knows no scheme 'msteams'"),
        ("mailto://u:p@exa mple.org".replace(" ", "%20"), "the route cannot be used"),
        (f"json://{'ä' * 70}.org", "cannot be encoded for DNS"),
    ],
)
def test_what_would_be_dropped_refuses_it(url, says):
    with pytest.raises(InvalidInputError) as caught:
        SENDER.check(Secret(url))
    text = str(caught.value)
    assert says in text
    assert len(text.splitlines()) == 1
    assert "a-password" not in text
    assert "abcdef" not in text.replace("'abcdef'", "")


SECRET = "tOk3n-4711-xyz"


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.sampled_from(ROUTE_SCHEMES.split()),
    st.lists(
        st.sampled_from([SECRET, "host", "/", ":", "@", "?to=", "&x=", "#", "a@x.org", ",", "12345", "é"])
    ),
)
def test_no_reason_has_a_token_in_it(scheme, parts):
    """But for one that stands where a recipient or the name of a parameter stands."""
    url = f"{scheme}://{SECRET}:{SECRET}@host/{''.join(part for part in parts if part != SECRET)}"
    try:
        SENDER.check(Secret(url))
    except InvalidInputError as error:
        assert SECRET not in str(error)  # noqa: PT017  # the other outcome is as good


@pytest.mark.parametrize(
    ("heard", "says"),
    [
        (["The token specified (tOk3n) is invalid."], "The token specified … is invalid"),
        (["Could not load X URL: x://...", "no 'tOk3n' here"], "no … here"),
        (["bad tOk3n for host.example"], "bad … for …"),
        (["bad TOK3N"], "bad"),
        (["tOk3n"], None),
        ([], None),
    ],
)
def test_a_reason_is_said_without_the_words_of_the_route(heard, says):
    said = say_reason(heard, "x://tOk3n@host.example/")
    assert said == says or (said or "").removesuffix(" …") == says


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("json://host/path", None),
        ("json://host:8080/path?method=put", None),
        ("xml://host", None),
        ("form://user@host/", None),
        ("mailto://mail.example.org?from=n@x.org&to=a@x.org", None),
        ("mailto://robot@example.org?to=a@x.org", None),
        ("signal://host/+15551234567/+15551234568", None),
        (MAIL, "a password"),
        ("json://user:a-password@host/path", "a password"),
        ("json://host/?pass=a-password&user=x", "a password"),
        ("json://host/?+Authorization=Bearer", "headers or fields"),
        ("json://host/?-key=x", "headers or fields"),
        (SLACK, "a token"),
        (TELEGRAM, "a token"),
        (TWILIO, "a token"),
        ("discord://1234567890/abcdefghijabcdefghij", "a token"),
        ("gotify://host/AAAAAAAAAAAAAAA", "a token"),
        ("workflows://host:443/aaaaaaaa/bbbbbbbbbbb/", "a token"),
        ("ntfy://host/topic", "a token"),
        ("ntfy://host/topic?token=x", "a token"),
        ("tgram://123:", "a token"),
        ("mailto://robot:se/cret@example.org", "a password or a token"),
        ("mailto://robot:se#cret@example.org", "a password or a token"),
    ],
)
def test_what_is_a_secret_in_a_route_is_known(url, secret):
    found = SENDER.find_secret(Secret(url))
    assert found is None if secret is None else secret in (found or "")
