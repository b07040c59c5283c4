"""A service that says a value that it was sent where nobody looks for it: it is not stored, shown or logged."""

import base64
from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest
from sqlalchemy import select

from nightkey_demo.loopback import Answer, Incoming
from tests.services.staging import TOKEN, Staged, begin_by_hand, drive_on, get_rotation
from vaultcore.tables import metadata
from worker.workflows.bare import bare


def hex_labels(value: str) -> str:
    return ".".join(value.encode().hex()[start : start + 32] for start in range(0, 2 * len(value), 32))


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "lower": str.lower,
    "swapped": str.swapcase,
    "reversed": lambda value: value[::-1],
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "hex labels": hex_labels,
    "base64": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "base64 lower": lambda value: base64.urlsafe_b64encode(b"x" + value.encode()).decode().rstrip("=").lower(),
    "base32": lambda value: base64.b32encode(value.encode()).decode().rstrip("=").lower(),
    "dashes": "-".join,
}


@pytest.mark.parametrize("status", [302, 200])
def test_no_form_of_a_value_gets_anywhere(on_file: Staged, clock: Any, capfd: Any, status: int) -> None:
    organisation, service = on_file
    seen: set[str] = {organisation.add_token(TOKEN, "ticketing")}
    organisation.add_workflow("ticket-sync", TOKEN, path="/v1/tickets")
    forms = cycle(FORMS.values())

    def say(incoming: Incoming) -> Answer | None:
        token = incoming.headers.get("authorization", "").partition(" ")[2]
        if incoming.path.startswith("/v1/tokens"):
            return None
        seen.add(token)
        said = next(forms)(token)
        headers = {"Location": f"http://{said}.example.org/{said}", f"X-{said}": said, "Server": said}
        return Answer(status=status, headers=headers, body={"error": said, said: 1})

    service.script = say
    for _ in FORMS:
        organisation.services.runs.runs.start("ticket-sync", actor="test")
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock, until=lambda: len(seen) > 1 and not organisation.moving())
    shown = str(get_rotation(organisation, rotation_id)) + "".join(capfd.readouterr())
    with organisation.services.database.read() as connection:
        stored = [str(connection.execute(select(table)).all()) for table in metadata.sorted_tables]
    everywhere = bare("".join([shown, *stored]))
    assert "masked" in everywhere
    for token in seen:
        for make in FORMS.values():
            assert bare(make(token)) not in everywhere
