"""What a route may not ask for: less TLS, other calls, headers that steer, files, private addresses."""

import apprise
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.secret import Secret
from worker.delivery.routes import check_route
from worker.delivery.sender import AppriseSender
from worker.domain.guard import build_guard
from worker.domain.notices import Message
from worker.domain.recipients import WHOLE
from worker.outbound import HttpClient, Network

CLOSED = Network(build_guard((), ()))
SENDER = AppriseSender(CLOSED, HttpClient(CLOSED))
JSON = "jsons://hooks.example.org/in?"
MAIL = "mailtos://robot:a-password@example.org?to=a@example.org"
MESSAGE = Message(subject="a subject", body="a body\n")

LESS_TLS = [
    *(f"{JSON}{word}" for word in ("verify=no", "verify=false", "verify=0", "verify=off", "verify=", "verify")),
    *(f"{JSON}{word}" for word in ("VERIFY=NO", "Verify=No", "%76erify=n%6F", "verify+=no", "a=b;verify=no")),
    f"{JSON}verify=yes&verify=no",
    f"{JSON}verify=no&verify=yes",
    "jsons://hooks.example.org/#?verify=no",
    f"{MAIL}&verify=no",
    f"{MAIL}&mode=insecure",
    f"{MAIL}&MODE=Insecure",
    "mailto://robot:a-password@gmail.com?mode=insecure",
    "gotifys://push.example.org/AAAAAAAAAAAAAAA?verify=no",
    "matrixs://u:p@chat.example.org/#room?verify=no",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?verify=no",
]
REFUSED = [
    *((url, "may not turn off" if "&verify=yes" not in url else "'verify' stands 2 times") for url in LESS_TLS),
    *((f"{JSON}method={method}", "carries no message") for method in ("get", "GET", "head", "Delete")),
    ("form://hooks.example.org/?method=GET", "method=GET carries no message: use one of POST, PUT, PATCH"),
    *(
        (f"{JSON}+{name}=x", f"+{name}= is not taken: of headers, those that say who calls")
        for name in (
            "Host", "host", "Cookie", "Content-Type", "Content-Length", "Transfer-Encoding", "Connection",
            "X-Forwarded-For", "X-HTTP-Method-Override", "Metadata-Flavor", "Metadata", "Proxy-Authorization",
            "Sec-WebSocket-Key", "X-aws-ec2-metadata-token-ttl-seconds", "X-Original-URL",
        )
    ),
    (f"{JSON}%2BHost=x", "+Host= is not taken"),
    (f"{JSON}+X-Api-Key=a%0d%0aHost:%20b", "+X-Api-Key= holds what no header can"),
    (f"{JSON}+X-Api-Key=a%00b", "+X-Api-Key= holds what no header can"),
    (f"{JSON}+X%20Y=a", "a header is not taken"),
    *((f"{MAIL}&+{name}=e@example.org", "may change where a mail goes") for name in ("Bcc", "To", "Sender")),
    (f"{MAIL}&from=a%0d%0aBcc:%20x", "a part of it holds a line break"),
    (f"{MAIL}&from=a%00b", "a part of it holds a line break, or another control character"),
    ("jsons://hooks.example.org:99999/", "there is no such port"),
    (f"{JSON}:message=", ":message= would leave the message out"),
    (f"{MAIL}&wkd=yes", "wkd= is not taken: a route reads no file"),
    (f"{MAIL}&pgppub=/etc/passwd", "pgppub= is not taken"),
    ("discord://1234567890/abcdefghijabcdefghij?template=/etc/passwd", "template= is not taken"),
    ("tgram://123456789:abcdefg_hijklmnop/12?template=file:///etc/passwd", "template= is not taken"),
    ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?template=http://x.org", "template= is not taken"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "says"), REFUSED)
def test_an_option_that_weakens_or_steers_is_refused(url: str, says: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        SENDER.check(Secret(url))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "a-password" not in str(caught.value)


@pytest.mark.parametrize("url", [url for url in LESS_TLS if "&verify=yes" not in url])
def test_a_route_from_before_is_not_used_with_less_tls(url: str) -> None:
    """Nothing is looked up or connected to: these hosts are not there."""
    recipient = "a@example.org" if "to=" in url else WHOLE
    if "gmail" in url:
        recipient = "robot@gmail.com"
    with pytest.raises(TargetError, match=r"not used as it is: .* may not turn off") as caught:
        SENDER.send(Secret(url), MESSAGE, recipient=recipient)
    assert (caught.value.cause, caught.value.acted) == (Cause.MISTAKE, False)


@pytest.mark.parametrize(
    "options",
    [
        "verify=yes", "method=post", "method=PUT", "method=Patch", "+Authorization=Bearer%20abc",
        "+authorization=x", "+X-Api-Key=abc", "+X-Gitlab-Token=abc", "+apikey=abc", "+Api-Token=abc",
        "+X-Hook-Secret=abc", "+CF-Access-Client-Id=a&+CF-Access-Client-Secret=b", "-token=abc&-project=7",
        ":text=x&:message=text",
    ],
)  # fmt: skip
def test_what_a_place_asks_for_that_takes_messages_is_taken(options: str) -> None:
    assert SENDER.check(Secret(JSON + options)) == ("",)


def test_a_mail_may_say_what_it_is() -> None:
    assert SENDER.check(Secret(f"{MAIL}&+X-Team=ops&+Auto-Submitted=auto-generated")) == ("a@example.org",)


@pytest.mark.parametrize("text", ["urls:\n  - jsons://h.example.org:\n     verify: no", "jsons://a\njsons://b"])
def test_a_file_holds_one_url_and_no_configuration_of_apprise(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a URL"):
        check_route(Secret(text), schemes="json jsons")


HERE = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "169.254.169.254",
    "10.1.2.3",
    "192.168.0.1",
    "[fd00::1]",
]
SCHEMES = [
    "json://{}/x", "xml://{}/x", "form://{}/x", "gotify://{}/AAAAAAAAAAAAAAA", "ntfy://{}/topic",
    "mmost://{}/a-token", "rocket://u:p@{}/#room", "matrix://u:p@{}/#room", "apprise://{}/a-token",
    "signal://{}/+15551234567/+15551234568", "ncloud://u:p@{}/someone", "mailto://u:p@x.org?smtp={}&to=a@x.org",
    "rsyslog://{}", "irc://{}/#room",
]  # fmt: skip


@pytest.mark.parametrize(
    "url", [*(SCHEMES[0].format(host) for host in HERE), *(s.format("127.0.0.1") for s in SCHEMES)]
)
def test_a_private_address_is_refused_unless_a_setting_allows_it(url: str) -> None:
    with pytest.raises(
        InvalidInputError, match="is no public address: if it may be called, list it in outbound_private"
    ):
        SENDER.check(Secret(url))
    if "127.0.0.1" in url:
        assert AppriseSender(NETWORK, HTTP).check(Secret(url))


def test_what_is_not_encrypted_anyway_may_say_so() -> None:
    route = "mailto://robot:a-password@example.org/?to=a@example.org&mode=insecure"
    assert SENDER.check(Secret(route)) == ("a@example.org",)


def test_the_number_of_an_account_is_no_address() -> None:
    """As an address it would be 10.0.0.1; Telegram calls bots so."""
    assert SENDER.check(Secret("tgram://167772161:abcdefg_hijklmnop/12")) == ("",)


def test_a_host_that_is_on_no_list_is_refused() -> None:
    network = Network(build_guard(("hooks.example.org:443",), ()))
    sender = AppriseSender(network, HttpClient(network))
    assert sender.check(Secret(JSON.rstrip("?"))) == ("",)
    for url in ("jsons://other.example.org/in", "json://hooks.example.org/in", f"{MAIL}&smtp=mail.example.org"):
        with pytest.raises(
            InvalidInputError, match=r"not among the hosts that may be called \(setting outbound_only\)"
        ):
            sender.check(Secret(url))


PARTS = "? & ; # = + %20 %76erify verify VERIFY no false 0 yes mode insecure :".split()


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join), st.sampled_from(["jsons", "mailtos"]))
@example("?verify=no", "jsons")
@example("?mode=insecure", "mailtos")
def test_no_route_that_is_taken_makes_apprise_verify_less(rest: str, scheme: str) -> None:
    """Against apprise itself, which reads a query in its own way."""
    url = f"{scheme}://robot:a-password@example.org/{rest}"
    try:
        SENDER.check(Secret(url))
    except InvalidInputError:
        return
    made = apprise.Apprise.instantiate(url, asset=apprise.AppriseAsset(async_mode=False))
    assert made.verify_certificate is True
    assert getattr(made, "secure_mode", "starttls") in ("starttls", "ssl")
