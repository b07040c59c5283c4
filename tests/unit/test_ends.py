"""The end of a value, in whatever form another side says it, and which of several counts."""

import base64
import json
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import Cause, TargetError
from worker.domain.ends import NoEndError, bound_end, check_ahead, decide_end, find_own_end, read_end

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
DAY_OR_MONTH = "a date that does not begin with its year: which is the day and which the month is not guessed"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
THEN = datetime(2027, 2, 23, 23, 7, 24, tzinfo=UTC)
THEN_DAY = datetime(2027, 2, 24, tzinfo=UTC)
SECONDS = int(THEN.timestamp())
times = st.integers(SECONDS, 19_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@pytest.mark.parametrize(
    ("raw", "called", "means"),
    [
        (3600, "", NOW + HOUR),
        ("3600", "expires_in", NOW + HOUR),
        (3600.5, "expires_in", NOW + HOUR + timedelta(milliseconds=500)),
        (3_600_000, "expires_in_ms", NOW + HOUR),
        (3_600_000, "data.expiresInMillis", NOW + HOUR),
        (3600, "expires", NOW + HOUR),
        (3600, "expiration", NOW + HOUR),
        (60, "ttl_minutes", NOW + HOUR),
        (7, "valid_days", NOW + 7 * DAY),
        (2, "lifetimeHours", NOW + 2 * HOUR),
        (SECONDS * 1000, "expires_at_ms", THEN),
        (3600, "expires_after", NOW + HOUR),
        ("3600", "data.expireAfter", NOW + HOUR),
        (3600, "expires_after_seconds", NOW + HOUR),
        (3_600_000, "expiresAfterMs", NOW + HOUR),
        (SECONDS, "expires_after", THEN),
        (SECONDS, "not_after", THEN),
        ("2027-02-23T23:07:24Z", "expires_after", THEN),
        (20270224, "expires_in", NOW + timedelta(seconds=20270224)),
        ("20270224", "expires_in", NOW + timedelta(seconds=20270224)),
        ("20270224", "ttl", NOW + timedelta(seconds=20270224)),
        ("20270223230724", "expires_in", THEN),
        ("PT1H", "", NOW + HOUR),
        ("P1DT1H", "", NOW + DAY + HOUR),
        ("P1W", "", NOW + 7 * DAY),
        ("3600s", "ttl", NOW + HOUR),
        (SECONDS, "", THEN),
        (SECONDS, "expires_in", THEN),
        (SECONDS * 1000, "", THEN),
        (SECONDS * 10**6, "expires_at", THEN),
        (SECONDS * 10**9, "", THEN),
        (str(SECONDS), "exp", THEN),
        (f"{SECONDS}.25", "", THEN + timedelta(milliseconds=250)),
        ("2027-02-23T23:07:24Z", "", THEN),
        ("2027-02-23 23:07:24 UTC", "", THEN),
        ("2027-02-23 23:07:24", "", THEN),
        ("2027-02-24T00:07:24+01:00", "", THEN),
        ("2027-02-24 00:07:24 +0100", "", THEN),
        ("2027-02-23T23:07:24.000000000Z", "", THEN),
        ("20270223T230724Z", "", THEN),
        ("20270223230724", "", THEN),
        ("2027/02/23 23:07:24", "", THEN),
        ("2027-02-23", "", datetime(2027, 2, 23, tzinfo=UTC)),
        ("20270223", "", datetime(2027, 2, 23, tzinfo=UTC)),
        ("Tue, 23 Feb 2027 23:07:24 GMT", "", THEN),
        ("Tuesday, 23-Feb-27 23:07:24 GMT", "", THEN),
        ("Tue Feb 23 23:07:24 2027", "", THEN),
        ("Wed, 24 Feb 2027 00:07:24 +0100", "", THEN),
        ("Feb 23 23:07:24 2027 GMT", "", THEN),
        ("  2027-02-23T23:07:24Z\n", "", THEN),
        (f"/Date({SECONDS * 1000})/", "", THEN),
        (20270224, "expires_at", THEN_DAY),
        (20270224, "not_after", THEN_DAY),
        (20270224, "", THEN_DAY),
        ("20270224", "expiresAt", THEN_DAY),
        (20270224.0, "expires_at", THEN_DAY),
        ("20270224.0", "data.exp", THEN_DAY),
        (" 20270224 ", "valid_until", THEN_DAY),
        (19991231, "not_after", datetime(1999, 12, 31, tzinfo=UTC)),
        (21991231, "expires_on", datetime(2199, 12, 31, tzinfo=UTC)),
        (20270224, "expires_after", NOW + timedelta(seconds=20270224)),
        (20270224, "ttl", NOW + timedelta(seconds=20270224)),
        (20270224, "expires_in_ms", NOW + timedelta(milliseconds=20270224)),
        (22000101, "", NOW + timedelta(seconds=22000101)),
        (202702232307, "expires_at", THEN.replace(second=0)),
        ("202702232307", "", THEN.replace(second=0)),
        (20270223230724, "expires_at", THEN),
        (20270223230724, "expires_in", THEN),
        ("20270223T2307Z", "expires_at", THEN.replace(second=0)),
        ("2027-W08-3", "", THEN_DAY),
        ("2027W083", "expires_at", THEN_DAY),
        ("24 Feb 2027", "", THEN_DAY),
        ("Feb 24, 2027", "", THEN_DAY),
        ("24-Feb-2027", "", THEN_DAY),
        (SECONDS, "exp", THEN),
        (2**31, "exp", datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_from_any_of_the_usual_forms(raw: Any, called: str, means: datetime) -> None:
    assert read_end(raw, NOW, called=called) == means


@pytest.mark.parametrize(
    ("raw", "called"),
    [
        (0, ""), (0, "expires_in"), (-1, ""), (-1, "expires_at"), ("0", "expires_at"), ("-1", ""),
        (3600, "not_after"), (3600, "notAfter"), (3600, "not_valid_after"),
        (1970, "expires_at"), (86_400, "expiresAt"),
        (86_400, "token.exp"), (86_400, "expiresat"), ("1970-01-01T00:00:00Z", ""), ("2020-01-01", ""),
        (1_577_836_800, ""), (1_577_836_800_000, ""), ("Wed, 01 Jan 2020 00:00:00 GMT", ""),
        (NOW.isoformat(), ""), (int(NOW.timestamp()), "exp"),
    ],
)  # fmt: skip
def test_an_end_that_is_over_is_read_too_and_rejects_the_candidate(raw: Any, called: str) -> None:
    end = read_end(raw, NOW, called=called)
    assert end <= NOW
    with pytest.raises(TargetError, match="has lapsed already") as caught:
        check_ahead(end, NOW)
    assert caught.value.cause is Cause.REJECTED
    assert decide_end(end, "a-token", 90 * DAY, NOW) == NOW


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (None, "nothing"), (True, "true or false"), ([1], "a list"), ({"at": 1}, "an object"),
        ("", "an empty text"),
        ("   ", "an empty text"), ("never", "a text of 5 characters that is not a time"),
        ("tok_0123456789", "a text of 14 characters that is not a time"),
        (float("nan"), "a number that is not a time"),
        (float("inf"), "a number that is not a time"), (10**100, "a number that is not a time"),
        ("1" * 100, "a text of 100 characters that is not a time"),
        ("12:30", "a text of 5 characters that is not a time"),
        ("2027-02-30", "a text of 10 characters that is not a time"),
        ("\ud800", "a text of 1 characters that is not a time"),
        ("P", "a text of 1 characters that is not a time"),
        ("2027-02-23T23:07:24 EST", "a text of 23 characters that is not a time"),
        ("2027-02", "a month, a week or a year without a day"),
        ("2027-W08", "a month, a week or a year without a day"),
        ("2027W08", "a month, a week or a year without a day"),
        ("24.02.2027", DAY_OR_MONTH), ("02/24/2027", DAY_OR_MONTH), ("02/03/2027 10:00:00", DAY_OR_MONTH),
        ("3-2-2027", DAY_OR_MONTH), ("10:00 24.02.2027", DAY_OR_MONTH), ("03/02/27", DAY_OR_MONTH),
    ],
)  # fmt: skip
def test_what_is_no_time_is_told_in_kind_alone(raw: Any, says: str) -> None:
    with pytest.raises(NoEndError) as caught:
        read_end(raw, NOW)
    assert str(caught.value) == says


@pytest.mark.parametrize("raw", [20271345, 20270230, 202702, 2027, 2027055, 202713450000])
@pytest.mark.parametrize("written", [int, str])
@pytest.mark.parametrize("called", ["expires_at", "not_after", "exp", "expires_on", "valid_until"])
def test_a_number_that_is_like_a_date_and_is_none_is_never_1970(raw: int, written: Any, called: str) -> None:
    with pytest.raises(NoEndError, match="a part of a date, or like one"):
        read_end(written(raw), NOW, called=called)


@given(st.dates(date(1990, 1, 1), date(2199, 12, 31)), st.sampled_from(["expires_at", "not_after", "exp", ""]))
def test_a_day_means_the_same_as_a_number_and_as_text(day: date, called: str) -> None:
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
    forms: list[Any] = [int(f"{day:%Y%m%d}"), f"{day:%Y%m%d}", day.isoformat(), f"{day:%G-W%V-%u}"]
    assert {read_end(form, NOW, called=called) for form in forms} == {begins}


@given(times)
def test_each_form_of_one_time_means_the_same(time: datetime) -> None:
    whole = time.replace(microsecond=0)
    seconds = int((whole - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    forms = [
        seconds, seconds * 1000, seconds * 10**6, str(seconds), whole.isoformat(), f"{whole:%Y%m%dT%H%M%SZ}",
        f"{whole:%Y-%m-%d %H:%M:%S} UTC", format_datetime(whole), format_datetime(whole, usegmt=True),
    ]  # fmt: skip
    assert {read_end(form, NOW, called="expires_at") for form in forms} == {whole}


@given(
    st.one_of(st.text(), st.integers(), st.floats(), st.binary(), st.lists(st.integers()), st.none()), st.text()
)
def test_whatever_is_given_is_a_time_or_none_and_never_quoted(raw: Any, called: str) -> None:
    try:
        end = read_end(raw, NOW, called=called)
    except NoEndError as error:
        said = str(error)
    else:
        assert bound_end(end, NOW) >= NOW
        return
    assert not isinstance(raw, str) or len(raw) < 8 or raw not in said


# What a value bears in itself


def make_token(claims: Any, header: Any = None) -> str:
    parts = (json.dumps(part).encode() for part in (header or {"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + ".c2lnbmVk"


def make_certificate(ends: datetime) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("value", "ends"),
    [
        (make_token({"exp": SECONDS, "sub": "robot"}), THEN),
        (make_token({"exp": SECONDS + 0.5}) + "\n", THEN + timedelta(milliseconds=500)),
        (make_certificate(THEN), THEN),
        ("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n" + make_certificate(THEN), THEN),
        (make_certificate(THEN + DAY) + make_certificate(THEN), THEN),
        (make_token({"sub": "robot"}), None),
        (make_token({"exp": True}), None),
        (make_token({"exp": "soon"}), None),
        (make_token({"exp": 10**400}), None),
        (make_token({"exp": 1e300}), None),
        (make_token({"exp": SECONDS}, {"typ": "JWT"}), None),
        (make_token([SECONDS]), None),
        ("a.b.c", None),
        ("...", None),
        ("a-token", None),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None),
    ],
)
def test_the_end_that_a_value_bears_is_found(value: str, ends: datetime | None) -> None:
    assert find_own_end(value) == ends


@given(st.text())
def test_any_value_has_an_end_or_none(value: str) -> None:
    assert find_own_end(value) is None or value.count(".") == 2


@pytest.mark.parametrize(
    ("said", "bears", "lifetime", "expires"),
    [
        (None, None, None, None),
        (None, None, 90 * DAY, NOW + 90 * DAY),
        (NOW + 7 * DAY, None, 90 * DAY, NOW + 7 * DAY),
        (NOW + 400 * DAY, None, 90 * DAY, NOW + 90 * DAY),
        (NOW + 400 * DAY, THEN, None, THEN),
        (NOW + 7 * DAY, THEN, 90 * DAY, NOW + 7 * DAY),
        (NOW - DAY, None, 90 * DAY, NOW),
        (None, NOW - DAY, None, NOW),
        (datetime.max.replace(tzinfo=UTC), None, None, datetime(9000, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_nearest_of_what_is_known_is_the_expiry(
    said: datetime | None, bears: datetime | None, lifetime: timedelta | None, expires: datetime | None
) -> None:
    value = "a-token" if bears is None else make_token({"exp": int(bears.timestamp())})
    assert decide_end(said, value, lifetime, NOW) == expires


@pytest.mark.parametrize("end", [None, NOW + timedelta(microseconds=1), THEN])
def test_an_end_to_come_rejects_nothing(end: datetime | None) -> None:
    check_ahead(end, NOW)
