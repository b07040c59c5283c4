"""Labels in files that come in: which forms tell of them, what is refused, and that no cell is quoted."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from vaultcore.labels import LABELS_MAX
from worker.domain.incoming import Contents, sort_out
from worker.importing.recognising import read_file
from worker.wording.incoming import describe_not_taken, explain_fault

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SECRET: dict[str, Any] = {"ARN": "arn:aws:secretsmanager:eu:1:secret:prod/db-a1", "Name": "prod/db"}
MADE = {"created_time": "2024-01-01T00:00:00Z", "deletion_time": "", "destroyed": False, "version": 3}
CREDENTIAL: dict[str, Any] = {"id": "x1", "name": "Slack account", "type": "slackApi", "data": {"token": "v"}}
CANARY = "c4nary Value!"


def read(document: object) -> Contents:
    text = document if isinstance(document, str) else json.dumps(document)
    return sort_out(read_file(text, now=NOW, stem="prod-billing").contents)


def labels(contents: Contents) -> dict[str, str]:
    assert contents.faults == []
    (entry,) = contents.entries
    return {one.key: one.value for one in entry.labels}


def told(contents: Contents) -> list[str]:
    return [explain_fault(fault, contents.unit) for fault in contents.faults]


def in_kv(custom: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"data": {"password": "v"}, "metadata": MADE | {"custom_metadata": custom}}}


def tagged(*pairs: tuple[str, str]) -> dict[str, Any]:
    return SECRET | {"Tags": [{"Key": key, "Value": value} for key, value in pairs]}


BOTH = {"env": "prod", "team": "pay"}


@pytest.mark.parametrize(
    "document",
    [
        "name,value,label:env,label:team\nprod-x,v,prod,pay\n",
        "name,value,labels.env,tags.team\nprod-x,v,prod,pay\n",
        "name,value,Tag: env,TAGS:team\nprod-x,v,prod,pay\n",
        'name,value,labels\nprod-x,v,"env=prod,team=pay"\n',
        "name;value;tags\nprod-x;v;team=pay, env=prod\n",
        "name,value,labels\nprod-x,v,env=prod;team=pay\n",
        'name,value,labels\nprod-x,v,"env=prod\r\nteam=pay"\n',
        "name,value,labels,label:team\nprod-x,v,env=prod,pay\n",
        [{"name": "prod-x", "value": "v", "label:env": "prod", "tag.team": "pay"}],
        [{"name": "prod-x", "value": "v", "labels": "env=prod, team=pay"}],
        [{"name": "prod-x", "value": "v", "labels": ["env=prod", "team=pay"]}],
        [{"name": "prod-x", "value": "v", "labels": BOTH}],
        {"prod-x": {"value": "v", "labels": BOTH}},
        {"secret/prod-x": {"password": "v", "labels": "env=prod,team=pay"}},
        {"data": [{"name": "prod-x", "labels": BOTH}]},
        {"SecretList": [tagged(("env", "prod"), ("team", "pay"), ("aws:cloudformation:stack-id", "s"))]},
        tagged(("env", "prod"), ("team", "pay"), ("expires", "2027-01-01")) | {"SecretString": "v"},
        {"request_id": "r", "lease_id": ""} | in_kv(BOTH),
        [
            {
                "path": "prod/x",
                "request_id": "r",
                "lease_id": "",
                **in_kv(BOTH | {"expires_at": "2027-01-01", "lifetime": "90d"}),
            }
        ],
    ],
)
def test_each_form_may_tell_of_labels(document: object) -> None:
    contents = read(document)
    assert labels(contents) == BOTH
    assert [entry.remark for entry in contents.entries] == [""]
    assert describe_not_taken(contents) in ([], describe_not_taken(read({"SecretList": [SECRET]})))


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        ('"urgent"', {"urgent": ""}),
        ('"note=""a, b; c"", env=prod"', {"note": "a, b; c", "env": "prod"}),
        ('"env=prod,env=prod"', {"env": "prod"}),
        ("", {}),
        ('" , "', {}),
    ],
)
def test_one_column_is_read_as_a_line_of_labels(cell: str, kept: dict[str, str]) -> None:
    assert labels(read(f"name,value,labels\nprod-x,v,{cell}\n")) == kept


def test_words_of_n8n_are_labels_without_a_value() -> None:
    assert labels(read([CREDENTIAL | {"tags": [{"id": "1", "name": "prod"}, "crm"]}])) == {
        "prod": "",
        "crm": "",
    }


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (f"name,value,labels\nprod-x,v,{CANARY}=1\n", "line 2 ('prod-x') is left out: number 1 of its labels"),
        (f'name,value,labels\nprod-x,v,"env=prod,a={CANARY * 10}"\n', "number 2 of its labels cannot be"),
        (f'name,value,labels\nprod-x,v,"a=""{CANARY}"\n', "one of its labels cannot be kept"),
        ('name,value,labels\nprod-x,v,"a=1,a=2"\n', "one of its labels is given twice, with different"),
        ("name,value,label:cost center\nprod-x,v,1\n", "label key 'cost center': use 1 to 63 letters"),
        ("name,value,label:\nprod-x,v,1\n", "label key '': use 1 to 63 letters"),
        (f"name,value,label:env\nprod-x,v,{CANARY * 10}\n", "label env has a value of 130 characters"),
        ([{"name": "prod-x", "value": "v", "labels": {"env": True}}], "label env: its value is true or false"),
        ([{"name": "prod-x", "value": "v", "labels": 5}], "its labels are no text, no list and no object"),
        ([{"name": "prod-x", "value": "v", "labels": [5]}], "number 1 of its labels cannot be kept"),
        (
            [{"name": "prod-x", "value": "v", "labels": {f"l{place}": "" for place in range(LABELS_MAX + 1)}}],
            "it has 33 labels: an item has 32 at most",
        ),
        ({"data": [{"name": "prod-x", "labels": "!"}]}, "number 1 of its labels cannot be kept"),
    ],
)  # fmt: skip
def test_a_row_with_a_bad_label_is_left_out_by_itself(document: Any, said: str) -> None:
    if isinstance(document, str):
        document += "prod-other,w," + ('"env=prod"' if "labels" in document else "x") + "\n"
    elif isinstance(document, list):
        document = [*document, {"name": "prod-other", "value": "w"}]
    else:
        document = {"data": [*document["data"], {"name": "prod-other"}]}
    contents = read(document)
    (line,) = [line for line in told(contents) if "prod-x" in line]
    assert said in line
    assert CANARY not in line
    if "label:c" not in str(document) and "label:\n" not in str(document):
        assert [entry.name for entry in contents.entries] == ["prod-other"]


def test_a_tag_that_can_be_no_label_keeps_nothing_out() -> None:
    contents = read({"SecretList": [tagged(("env", "prod"), ("Cost Center", "42"), ("password", CANARY))]})
    assert labels(contents) == {"env": "prod"}
    (entry,) = contents.entries
    assert entry.remark == "without 'Cost Center', 'password', which are no label as an item may have"
    many = read({"SecretList": [tagged(*((f"t{number:02}", "") for number in range(50)))]})
    assert len(labels(many)) == LABELS_MAX
    assert many.entries[0].remark.startswith("without 't32', 't33', 't34', 't35', 't36' and 13 others")


def test_what_would_be_a_secret_by_its_name_is_no_label() -> None:
    """It would stand in lists, in the clear."""
    (entry,) = read({"prod-x": {"password": "v", "tags": {"api_token": CANARY}}}).entries[1:]
    assert (entry.name, entry.labels) == ("prod-x-tags-api-token", ())
    assert entry.value is not None
    assert entry.value.expose() == CANARY


def test_a_label_of_the_secrets_own_fields_keeps_no_secret_out() -> None:
    (entry,) = read({"prod-x": {"password": "v", "labels": "!"}}).entries
    assert entry.value is not None
    assert entry.remark.startswith("without its labels: number 1 of its labels cannot be kept")
