"""A `Secret` gives its value to `expose()` and to nothing else."""

import copy
import io
import json
import logging
import pickle
import traceback
from dataclasses import asdict, dataclass

import pytest
from rich.console import Console
from rich.traceback import Traceback

from vaultcore.secret import Secret

VALUE = "zebra-crossing-7731"


@dataclass
class Holder:
    secret: Secret


@pytest.fixture
def secret():
    return Secret(VALUE)


WAYS_OUT = {
    "str": str,
    "format": format,
    "format with a spec": lambda secret: format(secret, ">40"),
    "f-string": lambda secret: f"token {secret}",
    "f-string with a conversion": lambda secret: f"token {secret!s}",
    "str.format": "token {}".format,
    "percent s": lambda secret: "token %s" % secret,  # noqa: UP031  # the way that is tested
    "print": lambda secret: print(secret, file=io.StringIO()),
    "join": "".join,
    "join of a list": lambda secret: "".join(part for part in [secret]),
    "addition": lambda secret: "token " + secret,
    "addition, the other way": lambda secret: secret + " token",
    "index": lambda secret: secret[0],
    "iteration": list,
    "unpacking": lambda secret: [*secret],
    "for": lambda secret: [character for character in secret],  # noqa: C416  # the way that is tested
    "in": lambda secret: "z" in secret,
    "bytes": bytes,
    "encode": lambda secret: bytes(secret, "utf-8"),
    "json": json.dumps,
    "json in a document": lambda secret: json.dumps({"a": [secret]}),
    "json with default=str": lambda secret: json.dumps(secret, default=str),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy of what holds it": lambda secret: copy.deepcopy({"a": secret}),
    "asdict of what holds it": lambda secret: asdict(Holder(secret)),
    "pickled state": lambda secret: secret.__getstate__(),
    "hash": hash,
    "dict key": lambda secret: {secret: 1},
    "vars": vars,
} | {
    f"pickle, protocol {protocol}": lambda secret, protocol=protocol: pickle.dumps(secret, protocol)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
}


@pytest.mark.parametrize("way", WAYS_OUT.values(), ids=WAYS_OUT.keys())
def test_every_way_out_is_refused_without_the_value(secret, way):
    with pytest.raises(TypeError) as caught:
        way(secret)

    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert VALUE not in shown


def test_expose_gives_the_value(secret):
    assert secret.expose() == VALUE


@pytest.mark.parametrize(
    "show",
    [repr, ascii, "{!r}".format, lambda secret: f"{secret!r}", lambda secret: repr([{"a": secret}])],
)
def test_repr_shows_that_there_is_a_secret_and_no_more(secret, show):
    assert "<Secret>" in show(secret)
    assert VALUE not in show(secret)


def test_all_secrets_look_alike():
    assert repr(Secret("a")) == repr(Secret("b" * 2000)) == "<Secret>"


def test_the_repr_of_what_holds_it_shows_nothing(secret):
    assert repr(Holder(secret)) == "Holder(secret=<Secret>)"


@pytest.mark.parametrize("wrong", [None, 5, b"bytes", ["a"]])
def test_only_text_makes_one(wrong):
    with pytest.raises(TypeError, match="made of text"):
        Secret(wrong)


def test_a_secret_is_not_made_of_a_secret(secret):
    with pytest.raises(TypeError, match="made of text"):
        Secret(secret)


def test_comparison_is_by_value_and_with_secrets_alone(secret):
    assert secret == Secret(VALUE)
    assert secret != Secret(VALUE + "!")
    assert secret != VALUE


def test_text_that_cannot_be_encoded_is_compared_without_an_error_that_holds_it():
    assert Secret("\ud800" + VALUE) == Secret("\ud800" + VALUE)
    assert Secret("\ud800" + VALUE) != Secret(VALUE)


def test_length_is_that_of_the_value(secret):
    assert len(secret) == len(VALUE)
    assert not Secret("")


def test_it_holds_nothing_else(secret):
    assert not hasattr(secret, "__dict__")
    with pytest.raises(AttributeError):
        secret.note = VALUE


def fail_while_holding(held):
    inside = {"authorization": held, "parts": [held]}  # noqa: F841  # a local for the traceback to show
    raise ValueError("the other side refused")


def render_with_locals(error):
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def render_with_rich(error):
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    console.print(Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True))
    return shown.getvalue()


@pytest.mark.parametrize("render", [render_with_locals, render_with_rich])
def test_a_traceback_with_locals_shows_a_secret_without_its_value(secret, render):
    with pytest.raises(ValueError, match="refused") as caught:
        fail_while_holding(secret)

    shown = render(caught.value)
    assert "<Secret>" in shown
    assert VALUE not in shown


@pytest.mark.parametrize("render", [render_with_locals, render_with_rich])
def test_the_same_traceback_would_show_plain_text(render):
    """Proves that the test above can fail."""
    with pytest.raises(ValueError, match="refused") as caught:
        fail_while_holding(VALUE)

    assert VALUE in render(caught.value)


def test_a_log_call_that_formats_one_leaves_no_value(secret, capsys):
    logger = logging.getLogger("tests.secret")
    logger.setLevel(logging.WARNING)  # that of all others is set where logging is set up
    logger.propagate = False
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        logger.warning("token %s", secret)
    finally:
        logger.removeHandler(handler)

    assert stream.getvalue() == ""
    shown = capsys.readouterr().err
    assert "Logging error" in shown
    assert VALUE not in shown
