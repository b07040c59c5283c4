"""What a worker of these tests needs, loaded once by the server that they are forked from."""

import functools
import gc
import warnings

import httpx
import psycopg
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import apprise

    apprise.Apprise.instantiate("json://127.0.0.1")  # finds its 200 plugins

import tests.faults.worker_process
import worker.bootstrap
import worker.cli.main
import worker.delivery.sender
import worker.installation

httpx.create_ssl_context = functools.cache(httpx.create_ssl_context)  # reads 150 certificates

gc.freeze()  # else each child copies what its collector looks at

__all__ = ["psycopg", "pytest", "tests", "worker"]
