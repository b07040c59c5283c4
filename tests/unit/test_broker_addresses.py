"""Where the broker is, as people are told: never who logs in there."""

import socket
import ssl
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from vaultcore.errors import InvalidInputError
from worker.broker.queues import declare_queues
from worker.broker.reaching import explain_away
from worker.domain.broker_address import BrokerKind, kind_of_broker, name_addresses, read_broker_url
from worker.domain.lines import Line, line_of, share_lines
from worker.domain.work import Task


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("amqp://guest:hunter2@rabbit.example//", "RabbitMQ at rabbit.example:5672"),
        ("amqps://u:hunter2@rabbit.example/vhost", "RabbitMQ at rabbit.example:5671"),
        ("pyamqp://u:p@ss:hunter2@h:99//", "RabbitMQ at h:99"),
        ("amqp://u:hunter2#/@h:99//", "RabbitMQ at h:99"),
        ("amqp://", "RabbitMQ at localhost:5672"),
        ("amqp://u:hunter2@a;amqp://u:hunter2@b:1", "RabbitMQ at a:5672 or RabbitMQ at b:1"),
        ("redis://:hunter2@h/0", "Valkey or Redis at h:6379"),
        ("rediss://u:hunter2@[::1]:7000/0?ssl_ca_certs=/ca.pem", "Valkey or Redis at [::1]:7000"),
        ("redis+socket:///run/valkey.sock?virtual_host=1", "Valkey or Redis at /run/valkey.sock"),
        ("redis+socket://:hunter2@/run/valkey.sock", "Valkey or Redis at /run/valkey.sock"),
        ("amqp://u:hunter2@h:port//", "RabbitMQ at the place that broker_url names"),
    ],
)
def test_a_broker_is_named_by_kind_and_place(url, told):
    assert name_addresses(url) == told


def _refused():
    return ConnectionRefusedError(111, "Connection refused")


def _wrapped(inner):
    """As libraries do: an error of their own, with the first one behind it."""
    outer = OperationalError("amqp://guest:hunter2@h")
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (_refused(), "refuses connections"),
        (_wrapped(_refused()), "refuses connections"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved"),
        (_wrapped(TimeoutError()), "does not answer"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "does not agree on TLS"),
        (ConnectionResetError(104, "reset"), "cannot be reached, or broke off"),
        (type("AccessRefused", (Exception,), {})("guest:hunter2"), "refuses the login"),
        (type("NotAllowed", (Exception,), {})("vhost"), "no virtual host"),
        (ValueError("hunter2"), "cannot be used (ValueError)"),
    ],
)
def test_why_it_is_away_is_said_without_the_login(error, said):
    told = explain_away("amqp://guest:hunter2@h//", error)
    assert told.startswith("RabbitMQ at h:5672 ")
    assert said in told
    assert "hunter2" not in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("url", "kind"),
    [("", BrokerKind.FOLDER), ("AMQP://h", BrokerKind.RABBITMQ), ("redis+socket:///x", BrokerKind.REDIS)],
)
def test_the_kind_of_a_broker(url, kind):
    assert kind_of_broker(url) is kind


@pytest.mark.parametrize(
    ("url", "plain", "tls"),
    [
        ("", "", None),
        ("AMQP://u:p%2F@h//", "amqp://u:p%2F@h//", None),
        ("redis+socket:///x.sock?virtual_host=1", "redis+socket:///x.sock?virtual_host=1", None),
        ("rediss://h:7000/0", "rediss://h:7000/0", {}),
        ("amqps://u:p@h/v?ssl_ca_certs=/ca.pem", "amqps://u:p@h/v", {"ssl_ca_certs": "/ca.pem"}),
        ("amqps://a;amqps://b", "amqps://a;amqps://b", {}),
    ],
)
def test_what_a_url_says_of_tls_is_read_from_it(url, plain, tls):
    read = read_broker_url(url)
    assert (read.plain, read.tls) == (plain, tls)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://u:hunter2@h", "messages by 'kafka' cannot be checked"),
        ("sentinel://h", "messages by 'sentinel' cannot be checked"),
        ("hunter2", "is no URL"),
        ("amqp://u:12;hunter2@h", "is no URL"),
        ("amqp://u:hunter2@h:port", "port is no number"),
        ("amqp://u:hunter2#hunter2@h", "not quoted"),
        ("amqp://u:12/hunter2@h", "not quoted"),
        ("amqp://u:12#hunter2@h", "not quoted"),
        ("amqp://u:12?hunter2@h", "not quoted"),
        ("amqp://[h", "not quoted"),
        ("redis://h/hunter2", "databases by number"),
        ("redis+socket:///x.sock?virtual_host=one", "databases by number"),
        ("amqp://h//?heartbeat=1", "leave it out"),
        ("redis://h/0?credential_provider=os.system", "leave it out"),
        ("rediss://h/0?ssl_cert_reqs=none", "takes ssl_ca_certs"),
        ("amqps://h?ssl_ca_certs=", "takes ssl_ca_certs"),
        ("amqps://h?ssl_keyfile=/key.pem", "name both"),
        ("amqp://a;redis://b", "of one kind"),
        ("amqp://a;amqps://b", "the same TLS"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_the_login(url, said):
    with pytest.raises(InvalidInputError, match=said) as refused:
        read_broker_url(url)
    assert "hunter2" not in str(refused.value)


def test_what_asks_targets_waits_in_a_line_of_its_own():
    assert {task for task in Task if line_of(task) is Line.TARGETS} == {Task.ROTATE, Task.CHECK, Task.RUN}


def test_one_worker_takes_everything_and_beside_several_one_more_is_left_for_nights():
    assert share_lines(0) == ()
    assert [sorted(lines) for lines in share_lines(1)] == [["night", "targets"]]
    assert [sorted(lines) for lines in share_lines(3)] == [["night"], ["targets"], ["targets"], ["targets"]]


def test_rabbitmq_keeps_quorum_queues_with_a_limit_and_dead_letters():
    declared = _declared(BrokerKind.RABBITMQ)
    assert declared.keys() == {"nightkey.night", "nightkey.targets", "nightkey.dead"}
    assert {arguments["x-queue-type"] for arguments in declared.values()} == {"quorum"}
    assert {arguments["x-delivery-limit"] for arguments in declared.values()} == {3}
    led = {name: arguments.get("x-dead-letter-routing-key") for name, arguments in declared.items()}
    assert led == {
        "nightkey.night": "nightkey.dead",
        "nightkey.targets": "nightkey.dead",
        "nightkey.dead": None,
    }
    for kind in (BrokerKind.FOLDER, BrokerKind.REDIS):
        assert _declared(kind) == {"nightkey.night": None, "nightkey.targets": None}


def _declared(kind):
    queues: Any = declare_queues(kind)
    return {queue.name: queue.queue_arguments for queue in queues}
