"""Names of elsewhere, made to fit: one text gives one name, which the vault takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.rules import check_name
from worker.domain.fitting import fit_name, name_of_field, name_of_path, name_of_variable, split_words


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("prod-billing-token", "prod-billing-token"),
        ("My App's API Token", "My App's API Token"),
        ("stripe_production_key", "stripe_production_key"),
        ("  spaced \t out\n", "spaced out"),
        ("a/b", "a/b"),
        ('say "this" {now}', "say -this- -now"),
        ("100% sure", "100- sure"),
        ("--x", "x-secret"),
        ("ab", "ab-secret"),
        ("a\x00b\x1b[2Jc", "a-b-[2Jc"),
        ("a\u202eb\ufeffc", "a-b-c"),
    ],
)
def test_what_does_not_fit_is_made_to(written: str, name: str) -> None:
    assert fit_name(written) == name


def test_a_name_that_is_cut_differs_from_others_of_the_same_beginning() -> None:
    made = [fit_name("x" * number) for number in (51, 60, 61)]
    assert len(set(made)) == 3
    assert {(len(name), name[:42]) for name in made} == {(50, "x" * 41 + "-")}


@pytest.mark.parametrize("written", ["", " ", "---", "\u202e", "vlt_01j9z3k4m5n6p7q8r9s0t1v2w3", "p\u0430ypal"])
def test_what_cannot_be_named_is_refused(written: str) -> None:
    with pytest.raises(InvalidInputError):
        fit_name(written)


@given(st.text(max_size=80))
def test_a_name_that_is_made_is_one_that_stays(written: str) -> None:
    try:
        name = fit_name(written)
    except InvalidInputError:
        return
    assert check_name(name) == name == fit_name(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("accessKeyId", ["access", "key", "id"]),
        ("ACCESS_KEY_ID", ["access", "key", "id"]),
        ("access-key id", ["access", "key", "id"]),
        ("HTTPHeaderAuth", ["http", "header", "auth"]),
        ("oauth2Api", ["oauth2", "api"]),
    ],
)
def test_words_are_told_apart_however_they_are_written(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_each_kind_of_name_has_its_rule() -> None:
    assert name_of_variable("PROD_BILLING__TOKEN_") == "prod-billing-token"
    assert name_of_path("/prod//billing/db/") == "prod-billing-db"
    assert name_of_field("prod-billing", "oauth.accessToken") == "prod-billing-oauth-access-token"
