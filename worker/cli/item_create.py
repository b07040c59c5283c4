"""`nightkey item create`: an item with its value and its plan; a generated key is printed once."""

from typing import TYPE_CHECKING, Annotated

import typer

from vaultcore.labels import parse_labels
from vaultcore.model import Kind
from vaultcore.rules import kind_of
from vaultcore.secret import Secret
from worker.cli.handover import check_output
from worker.cli.inputs import parse_time, read_value
from worker.cli.item_answers import (
    ITEMS,
    Expires,
    ValueFile,
    describe_item_whole,
    hand_over_made,
    item_line,
    show_key,
    split_policy,
    warn,
)
from worker.cli.output import print_json, print_lines
from worker.cli.policy_options import takes_policy
from worker.cli.session import Json, ask, who
from worker.domain.commands import quote_word
from worker.domain.policies import PolicyChange
from worker.wording.plain import Shape
from worker.wording.shapes import flatten_item
from worker.wording.warnings import word_warnings

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer


@takes_policy(before="value_file")
def create(
    name: str,
    *,
    owner: Annotated[list[str], typer.Option("--owner", help="Who answers for it; several times for several.")],
    expires_at: Expires = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="KEY=VALUE", help="A label, to find it again; several times for several."
        ),
    ] = None,
    policy: PolicyChange,
    value_file: ValueFile = None,
    json: Json = False,
) -> None:
    """Create an item. Its value is asked for, or read from --value-file; never an argument.

    A name that starts with api-key: generates its value, which is printed.
    """
    labels = parse_labels(label or ())
    generates = kind_of(name) is Kind.API_KEY
    if generates:
        check_output()

    def read() -> Secret:
        return read_value(value_file, what=f"value of {name}")

    def create_here(services: "Services") -> Shape | None:
        given: list[Secret] = []

        def read_once() -> Secret:
            given.append(read())
            return given[0]

        created, first = services.items.creation.create(
            name,
            read_value=None if generates and value_file is None else read_once,
            owners=owner,
            expires_at=None if expires_at is None else parse_time(expires_at, services.clock()),
            policy=policy,
            labels=labels,
            actor=who(),
        )
        warn(word_warnings(created.name, services.items.views.warn(created, given)))
        if first is None:
            return describe_item_whole(services, created.id)
        show_key(services, created, first, json=json)
        return None

    def create_there(server: "FarServer") -> Shape | None:
        created = server.post(
            ITEMS,
            body={
                "name": name,
                "secret": None if generates and value_file is None else read(),
                "owners": owner,
                "expires_at": None if expires_at is None else parse_time(expires_at, server.clock()),
                "labels": {one.key: one.value for one in labels},
                **split_policy(policy),
            },
        )
        warn(created["warnings"])
        if created["secret"] is None:
            made: Shape = created
            return made
        hand_over_made(created, again=f"nightkey item rotate {quote_word(created['name'])}", json=json)
        return None

    made = ask(create_here, create_there)
    if made is not None and json:
        print_json(flatten_item(made))
    elif made is not None:
        overlap = made["replaced"]
        print_lines([item_line(made), *([] if overlap is None else [f"when it is replaced, {overlap}"])])
