"""Which routes are allowed, and what of them is shown."""

import apprise
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.delivery.routes import check_route
from worker.settings import ROUTE_SCHEMES

TOKEN = "tok-4711-abcdef"  # stands where a service has its token


def check(url, schemes=ROUTE_SCHEMES):
    return check_route(Secret(url), schemes=schemes)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        # Where the host is a host, it is shown; user, password, path and query never are.
        ("json://hooks.example.com", "json://hooks.example.com"),
        (f"json://hooks.example.com:8443/{TOKEN}?token={TOKEN}", "json://hooks.example.com:8443"),
        (f"jsons://user:{TOKEN}@hooks.example.com/x", "jsons://hooks.example.com"),
        (f"mailtos://user:{TOKEN}@mail.example.com?to=a@example.com", "mailtos://mail.example.com"),
        (f"gotifys://push.example.com/{TOKEN}", "gotifys://push.example.com"),
        (f"JSON://Hooks.Example.com/{TOKEN}", "json://hooks.example.com"),
        (f"  json://hooks.example.com/{TOKEN}\n", "json://hooks.example.com"),
        (f"json://[2001:db8::1]:80/{TOKEN}", "json://2001:db8::1:80"),
        (f"json://:{TOKEN}@/x", "json://…"),
        (f"json://{TOKEN}@host:99999/x", "json://…"),
        (f"json://[{TOKEN}", "json://…"),
        # Where it may be a token, nothing is.
        (f"slack://{TOKEN}/b/c/#ops", "slack://…"),
        (f"discord://{TOKEN}/{TOKEN}", "discord://…"),
        (f"tgram://{TOKEN}/123", "tgram://…"),
        (f"msteams://{TOKEN}@a/b/c", "msteams://…"),
        (f"SLACK://{TOKEN}/b/c", "slack://…"),
    ],
)
def test_a_route_is_shown_by_its_scheme_and_host_alone(url, shown):
    assert check(url) == shown


@pytest.mark.parametrize("scheme", ROUTE_SCHEMES.split())
def test_no_allowed_scheme_shows_a_token(scheme):
    assert TOKEN not in check(f"{scheme}://user:{TOKEN}@host.example.com/{TOKEN}/?key={TOKEN}#{TOKEN}")


HOST_IS_SHOWN = [
    scheme for scheme in ROUTE_SCHEMES.split() if "host.example" in check(f"{scheme}://host.example")
]


@pytest.mark.parametrize("scheme", sorted(set(ROUTE_SCHEMES.split()) - set(HOST_IS_SHOWN)))
def test_what_stands_for_a_host_is_hidden_where_it_may_be_a_token(scheme):
    assert check(f"{scheme}://{TOKEN}") == f"{scheme}://…"


@pytest.mark.parametrize(
    "url",
    ["", "   ", TOKEN, f"json:/{TOKEN}", f"mailto:{TOKEN}", f"json://host/{TOKEN} x", f"json://host/\n{TOKEN}"],
)
def test_what_is_no_url_is_refused_without_showing_it(url):
    with pytest.raises(InvalidInputError, match="not a URL: write it like json://host/path") as caught:
        check(url)

    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "scheme", ["exec", "file", "dbus", "syslog", "http", "https", "windows", "", "jsonx", "js"]
)
def test_a_scheme_that_is_not_allowed_is_refused_with_those_that_are(scheme):
    with pytest.raises(InvalidInputError, match="not allowed: use one of discord, form, forms") as caught:
        check(f"{scheme}://user:{TOKEN}@host/{TOKEN}", schemes="discord form forms")

    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("scheme", ["json", "mailto", "MAILTOS"])
def test_an_at_sign_in_a_password_does_not_make_another_host_of_it(scheme):
    """Apprise would call `ss.example`."""
    with pytest.raises(InvalidInputError, match="write %40 for those in its name or password") as caught:
        check(f"{scheme}://user:{TOKEN}@ss.example@mail.example.org/?to=a@example.org")

    assert TOKEN not in str(caught.value)
    assert check(f"{scheme}://user:{TOKEN}%40ss@mail.example.org/?to=a@x.org").endswith("mail.example.org")


def test_the_setting_decides_which_schemes_are_allowed():
    assert check("json://host", schemes="json") == "json://host"
    with pytest.raises(InvalidInputError, match="'json' are not allowed: use one of xml"):
        check("json://host", schemes="xml")


def test_a_token_before_the_separator_is_cut_short():
    with pytest.raises(InvalidInputError) as caught:
        check("x" * 20 + TOKEN + "://host")

    assert TOKEN not in str(caught.value)


REDIRECTS = [
    "json://host/?redirect=yes",
    "json://host/?redirect=no",
    "json://host/?redirect=",
    "json://host/?redirect",
    "json://host?a=b&redirect=yes",
    "json://host/?REDIRECT=yes",
    "json://host/?%72edirect=yes",
    "json://host/?redirect+=yes",
    "json://host/?%20redirect%20=yes",
    "json://host/?a=b;redirect=yes",
    "json://host/#?redirect=yes",
    "json://host/#x?redirect=yes",
    "json://host:99999/?redirect=yes",
    "slack://a/b/c?redirect=yes",
]


@pytest.mark.parametrize("url", REDIRECTS)
def test_a_route_may_not_ask_for_redirects_however_it_is_written(url):
    with pytest.raises(InvalidInputError, match="may not set redirect="):
        check(url)


@pytest.mark.parametrize(
    "url",
    ["json://host/redirect", "json://redirect/", "json://host/?a=redirect", "json://host/?redirected=yes"],
)
def test_the_word_elsewhere_is_no_setting(url):
    assert check(url).startswith("json://")


PARTS = "? & ; # / = + - : %20 %3F %26 %25 % a yes no redirect REDIRECT %72edirect".split()
queries = st.lists(st.sampled_from(PARTS), max_size=10).map("".join)


@settings(deadline=None)  # a busy machine is no failure
@given(queries)
@example("/?a;redirect=yes")
def test_no_route_that_is_taken_makes_apprise_follow_redirects(rest):
    """Against apprise itself, which reads a query in its own way."""
    url = f"json://host{rest}"
    try:
        check(url)
    except InvalidInputError:
        return
    asset = apprise.AppriseAsset(http_redirects=False, async_mode=False)
    made = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)

    assert made is None or made.redirects is False


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=60), st.sampled_from(["json", "slack"]))
def test_any_text_is_masked_or_refused_on_one_line(text, scheme):
    try:
        shown = check(f"{scheme}://{TOKEN}:{TOKEN}@host/{text}")
    except InvalidInputError as error:
        assert TOKEN not in str(error)  # noqa: PT017  # the other outcome is as good
    else:
        assert TOKEN not in shown
