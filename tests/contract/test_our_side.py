"""The contract for rotators whose values nobody else makes or keeps: the vault itself is the other side."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from nightkey_demo.loopback import Answer, Incoming, LoopbackServer
from vaultcore.crypto import apikeys
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.rotators import base
from worker.rotators.random import RandomRotator
from worker.rotators.signing_key import SigningKeyRotator
from worker.rotators.workflow_api_key import WorkflowApiKeyRotator
from worker.signing.keys import ALGORITHMS, generate, read_key
from worker.testing import Link, RotatorContract, StagedRotator


class TestRandom(RotatorContract):
    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        yield StagedRotator(
            rotator=RandomRotator(), settings={"length": 30}, old=Secret("from before"), link=None, accepts=None
        )


class TestWorkflowApiKey(RotatorContract):
    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        yield StagedRotator(
            rotator=WorkflowApiKeyRotator(), settings={}, old=apikeys.generate(), link=None, accepts=None
        )


class KeySetServer(LoopbackServer):
    """Serves a key set, as a web server serves what `nightkey key jwks` wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, dict[str, Any]] = {}

    def respond(self, incoming: Incoming) -> Answer:
        return Answer(status=200, body={"keys": list(self.keys.values())})

    def list(self, value: Secret) -> None:
        public = read_key(value).public()
        assert public is not None
        self.keys[public["kid"]] = public

    def drop(self, value: Secret) -> None:
        self.keys.pop(read_key(value).kid or "", None)

    def lists(self, value: Secret) -> bool:
        return read_key(value).kid in self.keys


class ListedSigningKey(SigningKeyRotator):
    """With the vault's part: a version is listed once it is filled, and no more once it is destroyed."""

    def __init__(self, server: KeySetServer) -> None:
        self._server = server

    def install(self, job: base.Job) -> str:
        assert job.new is not None
        self._server.list(job.new)
        return super().install(job)

    def revoke(self, job: base.Job) -> str:
        assert job.old is not None
        said = super().revoke(job)
        self._server.drop(job.old)
        return said

    def undo(self, job: base.Job) -> str:
        said = super().undo(job)
        if job.new is not None:
            self._server.drop(job.new)
        return said


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:], scope="class")
class TestSigningKey(RotatorContract):
    algorithm = "ES256"

    @pytest.fixture(autouse=True)
    def _choose(self, algorithm: str) -> None:
        self.algorithm = algorithm

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        old = generate(self.algorithm)
        with KeySetServer() as server, Link(int(server.url.rpartition(":")[2])) as link:
            server.list(old)
            yield StagedRotator(
                rotator=ListedSigningKey(server),
                settings={"algorithm": self.algorithm, "published": f"http://127.0.0.1:{link.port}/keys.json"},
                old=old,
                link=link,
                accepts=server.lists,
                count=lambda: len(server.keys),
            )


@pytest.mark.parametrize(
    ("accepted", "cause"), [(False, Cause.OUTAGE), (True, Cause.REJECTED)], ids=["before use", "in use"]
)
def test_a_new_key_that_is_not_listed_is_waited_for_until_it_is_in_use(accepted: bool, cause: Cause) -> None:
    with TestSigningKey().stage() as stage:
        rotator = SigningKeyRotator()
        made = rotator.create(stage.job())
        job = replace(stage.job(made), accepted=accepted)
        with pytest.raises(TargetError, match="does not list") as error:
            rotator.verify(job, made.value)
        assert error.value.cause is cause
        assert "listed among 1" in rotator.verify(job, stage.old)


def test_an_old_key_that_is_not_listed_is_refused() -> None:
    with TestSigningKey().stage() as stage:
        rotator = SigningKeyRotator()
        made = rotator.create(stage.job())
        stage.old = generate("ES256")
        with pytest.raises(TargetError, match="does not list this key") as error:
            rotator.verify(stage.job(made), stage.old)
        assert error.value.cause is Cause.REJECTED


class TestSharedSigningKey(RotatorContract):
    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        yield StagedRotator(
            rotator=SigningKeyRotator(),
            settings={"algorithm": "HS256"},
            old=generate("HS256"),
            link=None,
            accepts=None,
        )
