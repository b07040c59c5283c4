"""Every item that a document names is found, wherever it stands, and none that it does not name."""

import json
import time
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.named import find_named
from vaultcore.references import NoSuchNameError, Use, find_uses
from worker.workflows.definition import load_definition

IDS = [f"vlt_01hzy3v9k2m4n6p8q0r2s4t6v{n}" for n in "0123456789abcdef"]
NAMES = [
    "prod-crm-token",
    "My App's API Token",
    "stripe_production_key",
    "api-key:partner",
    "päss wörd",
    "x.y/z",
]

PLAIN = st.sampled_from(
    [
        "",
        "Bearer ",
        " and ",
        "{",
        "}",
        "{ {",
        "%}",
        "}}",
        '"',
        "\\",
        "\n",
        "vault",
        "vault.prod-x",
        "$(vault[x])",
        "é",
    ]
) | st.text(st.characters(exclude_characters="{}%", exclude_categories=["Cs"]), max_size=8).filter(
    lambda text: "vlt_" not in text
)


def write(name: str) -> st.SearchStrategy[str]:
    """The ways in which a template names an item."""
    quote = '"' if "'" in name else "'"
    quoted = f"vault[{quote}{name}{quote}]"
    plain = [quoted, f"vault[ {quote}{name}{quote} ]"]
    if name.replace("-", "").replace("_", "").isalnum() and name.isascii() and " " not in name:
        plain.append(f"vault.{name}")
    ways = [
        "{{{{ {0} }}}}",
        "{{{{- {0} | upcase -}}}}",
        "{{{{ 'user:' | append: {0} | base64_encode }}}}",
        "{{{{ {0} | slice: 0, 4 | sha256 }}}}",
        "{{% assign token = {0} %}}{{{{ token }}}}",
        "{{% capture pair %}}user:{{{{ {0} }}}}{{% endcapture %}}{{{{ pair }}}}",
        "{{% for part in items %}}{{{{ {0} }}}}{{% endfor %}}",
        "{{% if {0} == 'x' %}}y{{% endif %}}",
        "{{% unless n1.ok %}}{{{{ {0} }}}}{{% endunless %}}",
        "{{% case n1.kind %}}{{% when 'a' %}}{{{{ {0} }}}}{{% endcase %}}",
    ]
    return st.builds(str.format, st.sampled_from(ways), st.sampled_from(plain))


NAMED = st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(Use(name=name)), write(name)))
BY_ID = st.sampled_from(IDS).flatmap(
    lambda item: st.tuples(
        st.just(Use(item_id=item)), st.sampled_from([f" {item} ", f" {{{{ vault['{item}'] }}}} "])
    )
)
NOTHING = st.sampled_from(
    [
        "{% raw %}{{ vault.prod-raw }}{% endraw %}",
        "{% comment %}{{ vault.prod-comment }} vlt_01hzy3v9k2m4n6p8q0r2s4t6vz{% endcomment %}",
        "{{ other.vault.prod-other }}",
        "{{ 'vault.prod-quoted' }}",
    ]
).map(lambda text: (None, text))
PIECE = NAMED | BY_ID | NOTHING


@st.composite
def texts(draw: st.DrawFn) -> tuple[frozenset[Use], str]:
    """A text that names some items, and which."""
    pieces = draw(st.lists(PIECE, max_size=3))
    beside = [
        draw(PLAIN.filter(lambda text: "{" not in text and "}" not in text)) for _ in range(len(pieces) + 1)
    ]
    text = beside[0] + "".join(piece + after for (_, piece), after in zip(pieces, beside[1:], strict=True))
    return frozenset(use for use, _ in pieces if use is not None), text


@given(texts())
def test_a_text_names_what_was_put_into_it_and_nothing_else(made: tuple[frozenset[Use], str]) -> None:
    uses, text = made
    assert frozenset(find_named(text).uses) == uses


@given(texts())
def test_what_is_found_strictly_is_found_in_any_text(made: tuple[frozenset[Use], str]) -> None:
    _, text = made
    try:
        strictly = set(find_uses(text))
    except InvalidInputError:
        return
    assert strictly <= set(find_named(text).uses)


@st.composite
def structures(draw: st.DrawFn, depth: int = 4) -> tuple[frozenset[Use], Any]:
    """JSON with such texts at random places, names of fields included."""
    kind = draw(st.integers(0, 5 if depth else 2))
    if kind == 0:
        return frozenset(), draw(st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1))
    if kind <= 2:
        return draw(texts())
    found: frozenset[Use] = frozenset()
    if kind == 3:
        parts = []
        for _ in range(draw(st.integers(0, 3))):
            uses, part = draw(structures(depth=depth - 1))
            found |= uses
            parts.append(part)
        return found, parts
    fields: dict[str, Any] = {}
    for number in range(draw(st.integers(0, 3))):
        named, key = draw(texts() | st.just((frozenset[Use](), f"field_{number}")))
        uses, part = draw(structures(depth=depth - 1))
        if f"{number}{key}" not in fields:
            fields[f"{number}{key}"] = part
            found |= uses | named
    return found, fields


def document(node: Any, outside: Any) -> dict[str, Any]:
    return {
        "name": "any",
        "nodes": [
            {"id": "start", "type": "manual_trigger", "data": {"componentId": "manual_trigger"}},
            {"id": "unknown", "type": "action", "data": {"componentId": "mikrotik_script", "config": node}},
        ],
        "edges": [{"id": "e1", "source": "start", "target": "unknown", "more": outside}],
        "settings": outside,
    }


@given(structures(), structures())
def test_every_reference_of_any_document_is_found_at_its_place(
    inside: tuple[frozenset[Use], Any], outside: tuple[frozenset[Use], Any]
) -> None:
    definition = load_definition(json.dumps(document(inside[1], outside[1])), source="w.json")
    found = {(use.node_id, use.use) for use in definition.uses(here=False)}
    assert found == {("unknown", use) for use in inside[0]} | {("(document)", use) for use in outside[0]}


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("{% ai %}{{ vault.prod-x }}", {Use(name="prod-x")}),
        ("{% secret vault.prod-x, vault['prod-y'] %}", {Use(name="prod-x"), Use(name="prod-y")}),
        (":local a {{1;2};{3;4}}; :put $vault", set()),
        ("{{ vault.prod-x", {Use(name="prod-x")}),
        ("{% if vault.prod-x %}", {Use(name="prod-x")}),
        ("{{ vault.prod-x | }} {{ vault['prod-y'] }}", {Use(name="prod-x"), Use(name="prod-y")}),
        (f"{{{{ '{IDS[0]}' }}}}", {Use(item_id=IDS[0])}),
        ("{{ my-vault.x }} {{ vaults }} {{ a.vault }}", set()),
        (f"{{% comment %}}{IDS[0]}{{% endcomment %}}", set()),
        ("{% # vault.prod-x %}", set()),
        ("{% assign n = 'prod-x' %}{{ vault[n] }}", {Use(name="prod-x")}),
        ("{% capture n %}My App's API Token{% endcapture %}{{ vault[n] }}", {Use(name="My App's API Token")}),
        (
            "{% assign n = 'prod-x' %}{% if a %}{% assign n = 'prod-y' %}{% endif %}{{ vault[n] }}",
            {Use(name="prod-x"), Use(name="prod-y")},
        ),
        ('{"k": "{{ vault[\\"prod-x\\"] }}"}', {Use(name="prod-x")}),
        ("{{ (1..vault.prod-x) }}{{ (vault['prod-y']..9) }}", {Use(name="prod-x"), Use(name="prod-y")}),
        ("{% for n in (1..vault.prod-x) %}{{ n }}{% endfor %}", {Use(name="prod-x")}),
    ],
)
def test_text_that_is_no_liquid_of_ours_is_read_piece_by_piece(text: str, uses: set[Use]) -> None:
    assert set(find_named(text).uses) == uses


@pytest.mark.parametrize(
    "text",
    [
        "{{ vault[name] }}",
        "{{ vault }}",
        "{% ai vault[name] %}",
        "{% ai vault %}",
        "{% assign all = vault %}",
        "{% for item in vault %}{% endfor %}",
        "{{ vault | json }}{% ai %}",
        "{{ (1..vault) }}",
        "{% increment vault %}{% doc#  %}{% enddoc %}",
        "{% assign n = x %}{{ vault[n] }}",
        "{% for n in names %}{{ vault[n] }}{% endfor %}",
        "{% assign n = 'prod-x' %}{% if a %}{% assign n = b %}{% endif %}{{ vault[n] }}",
    ],
)
def test_an_item_that_cannot_be_told_is_said_to_be_so(text: str) -> None:
    with pytest.raises(InvalidInputError):
        find_named(text)


def test_a_name_that_no_item_can_have_is_told_and_hides_no_other() -> None:
    named = find_named("{{ vault.ab }}{{ vault.prod-x }}")
    assert named.uses == (Use(name="prod-x"),)
    (problem,) = named.impossible
    assert problem.startswith("line 1, column 4: item name 'ab' has 2 characters")
    with pytest.raises(NoSuchNameError):
        find_uses("{{ vault.ab }}{{ vault.prod-x }}")


NODES = 10_000
MEGABYTE = 1_000_000
HUGE: dict[str, Any] = {
    "many nodes": [
        {
            "id": f"n{n}",
            "type": "webhook",
            "data": {
                "componentId": "webhook",
                "method": "GET",
                "url": f"https://x.test/{n}",
                "headers": {"A": f"{{{{ vault.item-{n % 500} }}}}"},
            },
        }
        for n in range(NODES)
    ],
    "one dense text": "{{ vault.prod-x }} " * (MEGABYTE // 19),
    "names that none can have": "".join(f"{{{{ vault['{'x' * 60}{n}'] }}}}" for n in range(MEGABYTE // 78)),
    "raw blocks without end": "{% raw %}" * (MEGABYTE // 9),
    "tags without end": "{% if vault.prod-x %}" * (MEGABYTE // 21),
    "braces": "{{" * (MEGABYTE // 2),
    "quotes": "{{ vault['" * (MEGABYTE // 10),
    "the word": "vault " * (MEGABYTE // 6) + "{{",
    "ids": f"{IDS[0]} " * (MEGABYTE // 31),
    "ranges": "{{ (vault..1) }}" * 60_000,
    "keys": {f"{{{{ vault.item-{n} }}}}": 1 for n in range(MEGABYTE // 30)},
    "raw blocks without end, then a name": "{% raw %}" * (MEGABYTE // 9) + "{{ vault.prod-x }}",
    "names that none can have, no Liquid": "{% foo %}" + "{{ vault.ab }}" * (MEGABYTE // 15),
    "a long key over many": {"k" * (MEGABYTE // 2): ["x"] * 100_000},
    "deep lists": json.loads("[" * 90 + '"{{ vault.prod-x }}"' + "]" * 90),
}


def write_huge(name: str, component: str) -> dict[str, Any]:
    """A document of 1 MB or 10,000 nodes, with what the name says in a node of that component."""
    raw = document({}, {})
    if name == "many nodes":
        raw["nodes"][1:] = HUGE[name]
        ends = [node["id"] for node in raw["nodes"]]
        raw["edges"] = [{"source": a, "target": b} for a, b in pairwise(ends)]
        return raw
    known = {"method": "POST", "url": "https://x.test"} if component == "webhook" else {}
    raw["nodes"][1]["data"] = {"componentId": component, **known, "body": HUGE[name]}
    return raw


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("component", ["webhook", "mikrotik_script"])
def test_no_document_takes_long(name: str, component: str) -> None:
    """Processor time, which a busy machine does not change much; `make bench` measures it on a quiet one."""
    text = json.dumps(write_huge(name, component))
    began = time.process_time()
    with suppress(InvalidInputError):
        load_definition(text, source="w.json").uses(here=False)
    assert time.process_time() - began < 6
