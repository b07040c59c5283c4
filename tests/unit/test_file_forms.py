"""Files in which items come in: what each form gives, what is told of it, and that no line says a value."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from worker.domain.incoming import Contents, IncomingItem, sort_out
from worker.importing.recognising import FileForm, read_file
from worker.wording.incoming import describe_not_taken, explain_fault

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
CANARY = "c4nary-Value/9f3"


def read(document: object, form: FileForm | None = None, **options: Any) -> Contents:
    text = document if isinstance(document, str) else json.dumps(document)
    return sort_out(read_file(text, now=NOW, form=form, **options).contents)


def form_of(document: object) -> FileForm:
    text = document if isinstance(document, str) else json.dumps(document)
    return read_file(text, now=NOW, stem="x").form


def values(contents: Contents) -> dict[str, str | None]:
    return {one.name: None if one.value is None else one.value.expose() for one in contents.entries}


def try_to_read(document: object, form: FileForm | None = None, **options: Any) -> Contents | InvalidInputError:
    try:
        return read(document, form, **options)
    except InvalidInputError as error:
        return error


def told(contents: Contents) -> list[str]:
    return [explain_fault(fault, contents.unit) for fault in contents.faults]


def only(contents: Contents) -> IncomingItem:
    assert told(contents) == []
    (entry,) = contents.entries
    return entry


ANSWER: dict[str, Any] = {"request_id": "r", "lease_id": "", "lease_duration": 0, "renewable": False}
MADE = {"created_time": "2024-01-01T00:00:00Z", "deletion_time": "", "destroyed": False, "version": 3}
CREDENTIAL: dict[str, Any] = {"id": "x1", "createdAt": "2024-05-01T10:00:00.000Z", "name": "Slack account"}
SECRET = {"ARN": "arn:aws:secretsmanager:eu:1:secret:prod/db-a1", "Name": "prod/db"}


@pytest.mark.parametrize(
    ("document", "form"),
    [
        ([{"id": "vlt_01j9z3k4m5n6p7q8r9s0t1v2w3", "name": "prod-x"}], FileForm.SDX),
        ({"data": [{"name": "prod-x"}], "meta": {}}, FileForm.SDX),
        ("name,value\nprod-x,v\n", FileForm.CSV),
        ("\n\nTitle;Password\nprod-x;v\n", FileForm.CSV),
        ("# comment\n\nexport A_TOKEN=v\n", FileForm.ENV),
        ({"prod-x": "v"}, FileForm.JSON),
        ([{"name": "prod-x", "value": "v"}], FileForm.JSON),
        ([CREDENTIAL | {"type": "slackApi", "data": {"accessToken": "v"}}], FileForm.N8N),
        (CREDENTIAL | {"type": "slackApi", "data": "U2FsdGVk"}, FileForm.N8N),
        (ANSWER | {"data": {"data": {"p": "v"}, "metadata": MADE}}, FileForm.VAULT),
        ({"secret/a-b": {"password": "v"}}, FileForm.VAULT),
        (["prod-a", "folder/"], FileForm.VAULT),
        ({"SecretList": []}, FileForm.AWS),
        ({"SecretValues": [], "Errors": []}, FileForm.AWS),
        (SECRET | {"SecretString": "v"}, FileForm.AWS),
        ([SECRET | {"SecretString": "v"}], FileForm.AWS),
    ],
)  # fmt: skip
def test_a_form_is_told_by_what_is_in_it(document: object, form: FileForm) -> None:
    assert form_of(document) is form
    text = document if isinstance(document, str) else json.dumps(document)
    assert form_of(f"\ufeff{text}") is form
    assert form_of(text.replace("\n", "\r\n")) is form


HOSTILE = [
    "",
    "   \n\t\n",
    "\0",
    "hello",
    "just,words\n1,2\n",
    "null",
    "5",
    '"text"',
    "[]",
    "{}",
    "[5]",
    "[[[]]]",
    '{"a": [1]}',
    '{"SecretList": {}}',
    '[{"name": "a"',
    '{"a-b": NaN}',
    '{"a-b": 1e999}',
    '{"a-b": ' + "9" * 5000 + "}",
    '{"a-b": "x", "a-b": "y"}',
    '[{"name": "a-b", "value": "x", "value": "y"}]',
    "[" * 100_000,
    '{"a":' * 5000 + "1" + "}" * 5000,
    "[" + "5," * 100_000 + "5]",
    'name,value\n"a-b,c',
    'name,value\n"a"b,c\n',
    "name,name,value\na,b,c\n",
    "value,owner\nx,y\n",
    "name;value" + "x" * 200_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("form", [None, *FileForm])
def test_whatever_it_is_comes_in_or_costs_one_line(text: str, form: FileForm | None) -> None:
    contents = try_to_read(text, form)
    lines = [str(contents)] if isinstance(contents, InvalidInputError) else told(contents)[:1000]
    for line in lines:
        assert line.isprintable()
        assert len(line) < 200


@pytest.mark.parametrize(
    ("document", "form"),
    [
        (f'{{"a-b": "{CANARY}', None),
        (f'["{CANARY}" "', None),
        (f'name,value\na-b,"{CANARY}', None),
        (f'name,value\n"a"{CANARY},x\n', None),
        (f'A_TOKEN="{CANARY}\n', None),
        (f'A_TOKEN="{CANARY}" {CANARY}\n', None),
        (f"A_TOKEN=${{{CANARY}}}x${{B}}\n", None),
        (f"A_TOKEN=x\n{CANARY}\n", None),
        ({"a-b": CANARY + "\ud800", "c-d": {"password": CANARY * 200}}, None),
        ({"a-b": [CANARY], "c-d": {CANARY[:9]: [CANARY], "expires_at": CANARY}}, None),
        ([{"name": "a-b", "value": CANARY, "expires_at": CANARY, "lifetime": CANARY}], None),
        ([{"name": "a-b", "value": [CANARY]}, {"name": "c-d", "value": CANARY, "file": CANARY}], None),
        ([{"name": "api-key:orders", "value": CANARY}, {"name": [CANARY], "value": CANARY}], None),
        (f"name,value,expires_at\na-b,{CANARY},{CANARY}\nc-d,x,y,{CANARY}\n,{CANARY},\n", None),
        ([CREDENTIAL | {"type": "t", "data": {"token": [CANARY], "x": {"token": {"y": [CANARY]}}}}], None),
        (ANSWER | {"data": {"data": {"a": [CANARY], "expires": CANARY}, "metadata": MADE}}, None),
        ({"SecretValues": [SECRET | {"SecretString": CANARY + "\udfff"}, SECRET | {"SecretString": 5}]}, None),
        (SECRET | {"SecretBinary": CANARY}, None),
        ({"SecretValues": [], "Errors": [{"ErrorCode": CANARY, "Message": CANARY}]}, None),
    ],
)  # fmt: skip
def test_no_fault_and_no_refusal_quotes_a_value(document: object, form: FileForm | None) -> None:
    contents = try_to_read(document, form, stem="x")
    if isinstance(contents, InvalidInputError):
        said = [str(contents), repr(contents.__context__), repr(contents.__cause__)]
    else:
        said = [*told(contents), *describe_not_taken(contents), repr(contents)]
    assert CANARY not in " ".join(said)


# A table


@pytest.mark.parametrize(
    "header",
    [
        "name,value,expires_at,owner,url",
        "NAME,VALUE,EXPIRES AT,OWNER,URL",
        "name,url,Expiry,password,Team",
        "Title,Website,Password,Valid until,owned by",
        "service,login_uri,login_password,expiration-date,responsible",
        "secret_name,host,secret_value,notAfter,owners",
    ],
)
@pytest.mark.parametrize("by", [",", ";", "\t", "|"])
def test_the_headings_of_others_are_known(header: str, by: str) -> None:
    cells = {
        "name": "prod-billing", "value": "v,;|'x", "expires": "2027-03-01", "owner": "a, b", "url": "ssh://h",
    }  # fmt: skip
    kinds = {
        "name": ("name", "title", "service", "secret_name"),
        "value": ("value", "password", "login_password", "secret_value"),
        "owner": ("owner", "team", "owned by", "responsible", "owners"),
        "url": ("url", "website", "login_uri", "host"),
    }
    order = [
        next((kind for kind, called in kinds.items() if heading.lower() in called), "expires")
        for heading in header.split(",")
    ]
    out = io.StringIO()
    csv.writer(out, delimiter=by).writerows([header.split(","), [cells[kind] for kind in order]])
    entry = only(read(out.getvalue()))
    assert (entry.name, entry.value and entry.value.expose()) == ("prod-billing", "v,;|'x")
    assert (entry.expires_at, entry.owners) == (datetime(2027, 3, 1, tzinfo=UTC), ("a", "b"))
    assert entry.hints == ("ssh",)


@pytest.mark.parametrize(
    ("said", "expires_at", "lapses"),
    [
        ("", None, True),
        ("2027-03-01T12:00:00+02:00", datetime(2027, 3, 1, 10, tzinfo=UTC), True),
        ("2020-01-01", datetime(2020, 1, 1, tzinfo=UTC), True),
        ("90d", NOW + timedelta(days=90), True),
        ("+2w", NOW + timedelta(days=14), True),
        ("1798761600", datetime(2027, 1, 1, tzinfo=UTC), True),
        ("never", None, False),
        ("None", None, False),
    ],
)
def test_an_expiry_is_read_as_people_write_it(said: str, expires_at: datetime | None, lapses: bool) -> None:
    entry = only(read(f"name,value,expires_at\nprod-x,v,{said}\n"))
    assert (entry.expires_at, entry.lapses) == (expires_at, lapses)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (",v,,,", "line 2 is left out: it has no name"),
        ("prod-x,,,,", "line 2 ('prod-x') is left out: the value of prod-x is empty"),
        (f"prod-x,{'v' * 2001},,,", "the value of prod-x has 2001 characters: 2000 at most"),
        ("prod-x,v,31/12/2026,,", "its expires_at is not a time that can be kept"),
        ("prod-x,v,1969-01-01,,", "its expires_at is not a time that can be kept"),
        ("prod-x,v,,soon,", "its lifetime is not a duration that can be kept"),
        ("prod-x,v,,,here.txt", "it has a value and the file of one"),
        ("prod-x,v,,,,,", "it has 7 cells under 5 headings"),
        ("api-key:orders,v,,,", "takes no value"),
        ("prod-x,v,,,\nPROD-X,w,,,", "line 3 ('PROD-X') is left out: its name looks like that of line 2"),
    ],
)
def test_a_row_that_cannot_come_in_says_why_and_the_others_do(row: str, why: str) -> None:
    contents = read(f"name,value,expires_at,lifetime,value_file\n{row}\nlast-one,other-value,,,\n")
    assert contents.entries[-1].name == "last-one"
    (line,) = told(contents)
    assert why in line


def test_cells_may_hold_lines_and_a_place_is_the_line_on_which_a_row_begins() -> None:
    contents = read('name,value,note\nprod-a,"one\ntwo",x\n\nab\x00c,v,\nprod-b,,y\n')
    assert values(contents) == {"prod-a": "one\ntwo", "ab-c": "v"}
    assert told(contents) == [
        "line 6 ('prod-b') is left out: the value of prod-b is empty: give 1 to 2000 characters"
    ]
    assert describe_not_taken(contents) == [
        "'note' of 2 lines is not a field that is known here, and is left out"
    ]


def test_a_table_without_values_is_metadata_and_one_with_files_names_them() -> None:
    contents = read("name,value_file,lifetime\nprod-a,a/b.txt,90\nprod-b,,\n")
    assert [(one.value, one.value_file, one.lifetime) for one in contents.entries] == [
        (None, "a/b.txt", timedelta(days=90)), (None, None, None),
    ]  # fmt: skip


# Variables


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A_TOKEN=plain", "plain"),
        ("  export\tA_TOKEN = spaced out  # comment", "spaced out"),
        ("A_TOKEN=a#b$c", "a#b$c"),
        ("A_TOKEN='a \"b\" $c ${d} \\n # e' # comment", 'a "b" $c ${d} \\n # e'),
        ('A_TOKEN="a\\nb \\"c\\" \\\\ \\$d \'e\' # f"', "a\nb \"c\" \\ $d 'e' # f"),
        ('A_TOKEN="one\ntwo"', "one\ntwo"),
        ("A_TOKEN='one\n\nthree'", "one\n\nthree"),
        ("A_TOKEN=a=b==", "a=b=="),
    ],
)
def test_a_variable_is_read_as_a_shell_would(line: str, value: str) -> None:
    for text in (line, f"{line}\n", f"# x\r\n{line}\r\nPORT=1\r\n".replace("\n\n", "\n")):
        assert value in values(read(text)).values() or "\n\n" in value


def test_names_are_made_by_a_rule_and_settings_are_left() -> None:
    contents = read(
        "PROD_BILLING_TOKEN=a1\nPORT=8080\nAWS_ACCESS_KEY_ID=i\nAWS_SECRET_ACCESS_KEY=a2\n"
        "DATABASE_URL=postgres://u:p@h/d\nPUBLIC_KEY=x\nSITE_URL=https://h/\nK.EY_password=a3\n"
    )
    assert values(contents) == {
        "prod-billing-token": "a1", "aws-secret-access-key": "a2", "database-url": "postgres://u:p@h/d",
        "k-ey-password": "a3",
    }  # fmt: skip
    (line,) = describe_not_taken(contents)
    assert line.startswith("'AWS_ACCESS_KEY_ID', 'PORT', 'PUBLIC_KEY', 'SITE_URL' are no secrets by their name")
    assert len(read("PORT=8080\nA_TOKEN=x\n", takes_all=True).entries) == 2


def test_two_variables_of_one_name_and_one_that_is_given_twice() -> None:
    contents = read("A_TOKEN=first\nA__TOKEN=second\nA_TOKEN=third\n\nnonsense\nB_TOKEN=\nC_TOKEN=x${A}\n")
    assert values(contents) == {"a-token": "second"}
    assert told(contents) == [
        "line 1 ('A_TOKEN') is passed over: line 3 gives it again, and the last one counts",
        "line 3 ('A_TOKEN') is left out: line 2 has that name already",
        "line 5 is left out: it is no NAME=value",
        "line 6 ('B_TOKEN') is left out: the value of b-token is empty: give 1 to 2000 characters",
        "line 7 ('C_TOKEN') is left out: its value names another variable: write what that stands for",
    ]


# JSON of one's own


def test_an_object_of_names_and_values() -> None:
    document = {"prod-a": "x", "prod-b": 123456, "prod-c": {"value": "y", "owner": "me", "expires_at": "never"},
                "prod-d": None, "prod-e": True, "prod-f": 1.5}  # fmt: skip
    contents = read(document)
    assert values(contents) == {"prod-a": "x", "prod-b": "123456", "prod-c": "y"}
    entry = contents.entries[-1]
    assert (entry.owners, entry.lapses) == (("me",), False)
    assert [line.partition(": ")[2] for line in told(contents)] == [
        "it has no value",
        "its value is true or false: write it as a text, in quotes",
        "its value is a number with a point: write it as a text, in quotes",
    ]


def test_an_array_of_objects_is_a_table() -> None:
    contents = read(
        [
            {
                "Title": "prod-a",
                "password": "x",
                "owners": ["one", "two"],
                "created": "2024-01-01",
                "note": "n",
            },
            {"name": "prod-b", "expires": 1798761600},
            {"name": 5, "value": "v"},
            {"name": "prod-c", "value": ["v"]},
            "text",
        ]
    )
    first, second = contents.entries
    assert (first.owners, first.created_at) == (("one", "two"), datetime(2024, 1, 1, tzinfo=UTC))
    assert (second.value, second.expires_at) == (None, datetime(2027, 1, 1, tzinfo=UTC))
    assert [line.partition(" is left out: ")[2] for line in told(contents)] == [
        "it has no name",
        "its value is a list: write it as a text, in quotes",
        "it is not an object with a name",
    ]


# Fields that stand together


@pytest.mark.parametrize(
    ("fields", "made"),
    [
        ({"password": "x", "username": "u", "port": 5432, "engine": "postgres"}, {"prod-a": "x"}),
        ({"apiKey": "x", "api_secret": "y", "host": "h"}, {"prod-a-api-key": "x", "prod-a-api-secret": "y"}),
        ({"anything": "x"}, {"prod-a": "x"}),
        ({"one": "x", "two": "y"}, {"prod-a-one": "x", "prod-a-two": "y"}),
        ({"accessToken": "x", "accessTokenUrl": "https://h", "accessKeyId": "i", "token_type": "t"},
         {"prod-a": "x"}),
        ({"accessToken": "x", "refreshToken": "", "password": None}, {"prod-a": "x"}),
        ({"oauth": {"access_token": "x", "expires_in": 5, "deep": {"secret": "y"}}},
         {"prod-a-oauth-access-token": "x", "prod-a-oauth-deep-secret": "y"}),
        ({"dsn": "postgres://u:p@h/d"}, {"prod-a": "postgres://u:p@h/d"}),
        ({"address": "amqp://u:p@h/d", "region": "eu"}, {"prod-a": "amqp://u:p@h/d"}),
        ({"pin": 1234}, {"prod-a": "1234"}),
    ],
)  # fmt: skip
def test_which_fields_are_items_is_one_rule_for_all_forms(fields: dict[str, Any], made: dict[str, str]) -> None:
    forms = [
        {"prod-a": fields},
        [CREDENTIAL | {"name": "prod-a", "type": "x", "data": fields}],
        SECRET | {"Name": "prod-a", "SecretString": json.dumps(fields)},
    ]
    for document in forms:
        contents = read(document)
        assert values(contents) == made
        assert told(contents) == []


def test_a_key_document_is_one_value() -> None:
    fields = {"type": "service_account", "private_key": "p", "client_email": "c", "private_key_id": "i"}
    for document in ({"prod-a": fields}, SECRET | {"SecretString": json.dumps(fields)}):
        entry = only(read(document))
        assert entry.value is not None
        assert json.loads(entry.value.expose()) == fields


def test_fields_say_owner_and_expiry_too_and_the_rest_is_told() -> None:
    contents = read({"prod-a": {"password": "x", "owner": "me", "expires": "2027-01-01", "region": "eu"}})
    entry = only(contents)
    assert (entry.owners, entry.expires_at) == (("me",), datetime(2027, 1, 1, tzinfo=UTC))
    assert describe_not_taken(contents) == [
        "'region' is no secret by its name, and is left there: --all takes such, too"
    ]
    everything = read({"prod-a": {"password": "x", "region": "eu"}}, takes_all=True)
    assert values(everything) == {"prod-a-password": "x", "prod-a-region": "eu"}


# n8n


def test_credentials_of_n8n_come_in_decrypted_or_as_metadata() -> None:
    contents = read(
        [
            CREDENTIAL | {"type": "slackApi", "data": {"accessToken": "x", "signatureSecret": ""}},
            CREDENTIAL
            | {"name": "Header \u2713", "type": "httpHeaderAuth", "data": {"name": "X-K", "value": "y"}},
            CREDENTIAL | {"name": "Sealed", "type": "smtp", "data": "U2FsdGVkX1"},
            CREDENTIAL | {"name": "Empty", "type": "smtp", "data": {"password": ""}},
            {"type": "smtp", "data": {}},
            CREDENTIAL | {"name": "Nothing", "data": None},
        ]
    )
    assert values(contents) == {"Slack account": "x", "Header \u2713": "y", "Sealed": None}
    assert contents.entries[0].created_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert contents.entries[2].hints == ("smtp",)
    assert told(contents) == [
        "entry 4 ('Empty') is left out: it holds no value: each of its fields is empty, or no text",
        "entry 5 is left out: it is no credential with a name",
        "entry 6 ('Nothing') is left out: it has no data",
    ]
    assert (
        "the values of one entry are not in the file: they are encrypted there"
        in describe_not_taken(contents)[1]
    )


# Vault and OpenBao


def test_an_answer_of_kv_has_the_name_of_its_file() -> None:
    custom = {"custom_metadata": {"owner": "me", "renew-date": "2026-11-14", "use": "x"}}
    second = ANSWER | {"data": {"data": {"passcode": "x"}, "metadata": MADE | custom}}
    entry = only(read(second, stem="prod-billing"))
    assert (entry.name, entry.value and entry.value.expose(), entry.owners) == ("prod-billing", "x", ("me",))
    assert entry.expires_at == datetime(2026, 11, 14, tzinfo=UTC)
    assert entry.created_at == datetime(2024, 1, 1, tzinfo=UTC)
    first = ANSWER | {"data": {"passcode": "x"}}
    assert values(read(first, stem="prod-billing")) == {"prod-billing": "x"}
    with pytest.raises(InvalidInputError, match="does not say its path"):
        read(second)


def test_a_walk_of_kv_by_path() -> None:
    answer = ANSWER | {"data": {"data": {"token": "x"}, "metadata": MADE}}
    gone = ANSWER | {"data": {"data": None, "metadata": MADE | {"deletion_time": "2026-01-01T00:00:00Z"}}}
    known = ANSWER | {"data": {"versions": {}, "current_version": 1, "custom_metadata": None}}
    contents = read(
        {
            "secret/data/prod/a": answer,
            "secret/prod/b": {"password": "y"},
            "secret/data/prod/c": gone,
            "secret/metadata/prod/d": known,
        }
    )
    assert values(contents) == {"prod-a": "x", "secret-prod-b": "y", "prod-d": None}
    assert contents.entries[0].written == "secret/data/prod/a"
    assert told(contents) == ["entry 3 ('secret/data/prod/c') is passed over: it was deleted there"]
    beside = [{"path": "prod/a", **answer}, {"path": "prod/b", "password": "y"}, {"path": "prod/c"}, 5]
    assert values(read(beside)) == {"prod-a": "x", "prod-b": "y"}


def test_a_list_of_keys_is_metadata() -> None:
    contents = read(["prod-a", "prod-b", "inner/"])
    assert values(contents) == {"prod-a": None, "prod-b": None}
    assert told(contents) == ["entry 3 ('inner/') is passed over: it is a folder: list what is in it"]
    assert (
        "the values of 2 entries are not in the file: a list of keys holds none"
        in describe_not_taken(contents)[0]
    )


# AWS


def test_secrets_that_aws_lists_are_metadata() -> None:
    tags = [{"Key": "Team", "Value": "me"}, {"Key": "expires", "Value": "2027-05-05"}, {"Key": 5}, "x"]
    turned = {"RotationEnabled": True, "NextRotationDate": 1798761600.0, "LastRotatedDate": 1790000000}
    contents = read(
        {
            "SecretList": [
                SECRET | turned,
                {"ARN": "b", "Name": "two", **turned, "Tags": tags},
                {"ARN": "c", "Name": "three", **turned, "RotationEnabled": False},
                {"ARN": "d", "Name": "gone", "DeletedDate": "2026-01-01T00:00:00+00:00"},
                {"ARN": "e"},
            ]
        }
    )
    entries = {one.name: one for one in contents.entries}
    assert list(entries) == ["prod-db", "two", "three"]
    assert entries["prod-db"].expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert (entries["two"].expires_at, entries["two"].owners) == (datetime(2027, 5, 5, tzinfo=UTC), ("me",))
    assert entries["three"].expires_at is None
    assert told(contents) == [
        "entry 4 ('gone') is passed over: it is marked as deleted there",
        "entry 5 is left out: it is no secret with a Name",
    ]


def test_values_that_aws_gives() -> None:
    contents = read(
        {
            "SecretValues": [
                SECRET
                | {"SecretString": '{"username": "u", "password": "x"}', "CreatedDate": "1523477145.7"},
                {"ARN": "b", "Name": "two", "SecretString": "just a text"},
                {"ARN": "c", "Name": "three", "SecretString": '{"cut'},
                {"ARN": "d", "Name": "four", "SecretBinary": "AAAA"},
            ],
            "Errors": [{"SecretId": "five", "ErrorCode": "AccessDeniedException", "Message": "no"}, 5],
        }
    )  # fmt: skip
    assert values(contents) == {"prod-db": "x", "two": "just a text", "three": '{"cut'}
    assert contents.entries[0].created_at == datetime(2018, 4, 11, 20, 5, 45, 700000, tzinfo=UTC)
    assert [line.partition(" is left out: ")[2] for line in told(contents)] == [
        "its value is binary, and a value here is text",
        "AWS gave AccessDeniedException in the place of its value",
        "AWS gave an error in the place of its value",
    ]


# Properties

NAMES = st.from_regex(r"[a-z]{2}[a-z0-9]{1,10}(-[a-z0-9]{1,8}){1,3}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1, max_size=40)
MAPS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=6)


@given(MAPS, st.sampled_from(",;\t|"))
def test_a_table_gives_back_what_was_written(given_values: dict[str, str], by: str) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=by, quoting=csv.QUOTE_ALL).writerows([("name", "value"), *given_values.items()])
    assert values(read(out.getvalue(), FileForm.CSV)) == given_values


@given(MAPS)
def test_json_gives_back_what_was_written(given_values: dict[str, str]) -> None:
    rows = [{"name": name, "value": value} for name, value in given_values.items()]
    for document in (given_values, rows, {name: {"password": value} for name, value in given_values.items()}):
        assert values(read(document)) == given_values


@given(MAPS)
def test_variables_give_back_what_was_written(given_values: dict[str, str]) -> None:
    lines = []
    for name, value in given_values.items():
        quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
        lines.append(f'export {name.replace("-", "_").upper()}_TOKEN="{quoted}"')
    expected = {f"{name}-token": value for name, value in given_values.items()}
    assert values(read("\n".join(lines), FileForm.ENV)) == expected


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["name", "data", "metadata", "type", "value", "password", "expires_at", "owner", "lifetime", "path",
             "SecretList", "SecretValues", "SecretString", "Tags", "ARN", "Name", "custom_metadata", "id"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=14,
)  # fmt: skip


@given(ANY, st.sampled_from([None, *FileForm]))
def test_whatever_json_it_is_each_entry_comes_in_or_is_told(document: Any, form: FileForm | None) -> None:
    contents = try_to_read(document, form, stem="prod-x")
    if isinstance(contents, InvalidInputError):
        assert str(contents).isprintable()
        return
    assert all(line.isprintable() for line in [*told(contents), *describe_not_taken(contents)])
    assert len({one.name for one in contents.entries}) == len(contents.entries)
    assert all(one.value is None or 0 < len(one.value) <= 16_000 for one in contents.entries)


@given(st.text(max_size=60), st.sampled_from([None, FileForm.CSV, FileForm.ENV]))
def test_whatever_text_it_is_costs_lines_and_no_more(text: str, form: FileForm | None) -> None:
    header = (
        "name,value,expires_at\n" if form is FileForm.CSV else "A_TOKEN=x\n" if form is FileForm.ENV else ""
    )
    contents = try_to_read(header + text, form)
    if isinstance(contents, InvalidInputError):
        assert str(contents).isprintable()
        return
    assert all(line.isprintable() for line in [*told(contents), *describe_not_taken(contents)])
