"""Files that credentials come in by, of each form: what is read of them, sorted out, proposed and told."""

import json
from datetime import UTC, datetime

from hypothesis import strategies as st

from tests.fuzz.judging import BrokenError
from tests.fuzz.mutating import SEEDS, json_texts, texts
from tests.fuzz.surfaces import Surface
from vaultcore.errors import InvalidInputError
from vaultcore.model import KnownNames
from worker.domain.incoming import judge, plan_waiting, sort_out
from worker.domain.proposals import propose
from worker.importing.recognising import FileForm, read_file
from worker.wording.incoming import describe_import, describe_judged, describe_not_taken, explain_fault

VALUE = "c4nary~Value~of~the~file"
_NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
_NOBODY = KnownNames(by_id={}, by_name={}, by_look={})
_GIVEN = SEEDS["imports"]
_DOCUMENTS = [json.loads(text) for text in _GIVEN["documents"]]


def _take(given: tuple[str, FileForm | None, bool]) -> object:
    """As a dry run does. Whatever it is, it is a plan, or one refusal; a value stands in no sentence of it."""
    text, form, takes_all = given
    try:
        read = read_file(text, now=_NOW, form=form, stem="prod-billing", takes_all=takes_all)
    except InvalidInputError as error:
        if VALUE in str(error):
            raise BrokenError("a value stands in a refusal") from None
        raise
    contents = sort_out(read.contents)
    judged = []
    for entry in contents.entries:
        propose(entry.name, entry.hints, entry.value)
        judged.append(judge(entry, _NOBODY))
        plan_waiting(entry, (), _NOW)
    told = [
        *(explain_fault(one, contents.unit) for one in contents.faults),
        *(describe_judged(one, contents.unit) for one in judged),
        *describe_not_taken(contents),
    ]
    assert all(line.isprintable() for line in told)
    whys = [*(one.why for one in contents.faults), *(one.why or "" for one in judged)]
    assert not any(VALUE in why for why in whys), "a value stands in a reason"
    assert VALUE not in repr(contents.faults) or any(VALUE in (one.name or "") for one in contents.faults)
    return describe_import(contents, judged, dry_run=True)


IMPORTS = Surface(
    inputs=st.tuples(
        texts(_GIVEN["texts"], _GIVEN["words"]) | json_texts(_DOCUMENTS, _GIVEN["words"]),
        st.none() | st.sampled_from(FileForm),
        st.booleans(),
    ),
    take=_take,
)
