"""Which items a text names: told in advance, or refused."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from liquid import Environment

from vaultcore.errors import InvalidInputError
from vaultcore.references import Use, expand_ids, find_uses

ID = "vlt_01hzy3v9k2m4n6p8q0r2s4t6v8"
OTHER = "vlt_01hzy3v9k2m4n6p8q0r2s4t6v9"


def names(*found):
    return tuple(Use(name=name) for name in found)


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("", ()),
        ("plain { text }", ()),
        ("{{ vault.prod-smtp-password }}", names("prod-smtp-password")),
        ("{{ vault['api-key:x'] }}", names("api-key:x")),
        ('{{ vault["two words"] }}', names("two words")),
        ("{{ ['vault'].abc }}", names("abc")),
        ("{{ vault.bbb }}{{ vault.aaa }}{{ vault.bbb }}", names("bbb", "aaa")),
        ("{{ x | append: vault.abc }}", names("abc")),
        ("{{ fetch[vault.abc] }}", names("abc")),
        ("{% if vault.abc == 'x' %}{{ vault.def }}{% endif %}", names("abc", "def")),
        ("{% for i in (1..3) %}{{ vault.abc }}{% endfor %}", names("abc")),
        ("{% cycle vault.abc, 'b' %}", names("abc")),
        ("{% case x %}{% when vault.abc %}{% endcase %}", names("abc")),
        ("{% liquid\n echo vault.abc\n%}", names("abc")),
        ("{% raw %}{{ vault.abc }}{% endraw %}", ()),
        ("{% comment %}{{ vault.abc }}{% endcomment %}", ()),
        (f"{{{{ vault['{ID}'] }}}}", (Use(item_id=ID),)),
        (f"Bearer {ID}", ()),
        ("{{- vault . abc -}}", names("abc")),
        ("{{ vault['abc'] }}{{ vault.abc }}", names("abc")),
        ("{{ vault.abc }}{{ vault.ABC }}", names("abc", "ABC")),
        ("{{ vault['a.b c/d?e'] }}", names("a.b c/d?e")),
        ("{{ vault['p\u00e4ss-\u4e2d'] }}", names("p\u00e4ss-\u4e2d")),
        ("{{ x | default: vault.abc | append: vault['def'] }}", names("abc", "def")),
        (
            "{% assign v = vault.abc %}{{ v }}{% capture w %}{{ vault.def }}{% endcapture %}",
            names("abc", "def"),
        ),
        ("{% unless a %}{% else %}{{ vault.abc }}{% endunless %}", names("abc")),
        (
            "{% for i in list reversed limit: vault.abc %}{% else %}{{ vault.def }}{% endfor %}",
            names("abc", "def"),
        ),
        ("{{ other.vault.abc }}{{ 'vault.abc' }}{{ my-vault.abc }}{{ Vault.abc }}", ()),
        ("{% doc %}{{ vault.abc }}{% enddoc %}{% # vault.abc %}", ()),
    ],
)
def test_names_what_a_text_uses(text, uses):
    assert find_uses(text) == uses


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        (ID, (Use(item_id=ID),)),
        (f"Bearer {ID}", (Use(item_id=ID),)),
        (f"{OTHER}, {{{{ vault.abc }}}};{ID}", (Use(item_id=OTHER), *names("abc"), Use(item_id=ID))),
        (f"x{ID}", ()),
        (f"{ID}x", ()),
        (f"{ID}-x", ()),
        (ID.upper(), ()),
        (ID[:-1], ()),
        (f"{{{{ '{ID}' }}}}", ()),
        (f"{ID}{{{{ vault['{ID}'] }}}} {ID}", (Use(item_id=ID),)),
        (f"{ID},{ID}", (Use(item_id=ID),)),
        (f"{{% raw %}}{ID}{{% endraw %}}", ()),
        (f"{{% comment %}}{ID}{{% endcomment %}}", ()),
        (f"{{% if x %}}{ID}{{% endif %}}", (Use(item_id=ID),)),
    ],
)
def test_a_header_may_hold_a_bare_id(text, uses):
    assert find_uses(text, header=True) == uses


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ vault }}", "line 1, column 4: vault is taken whole: name one item, {{ vault.NAME }}"),
        ("{% assign v = vault %}", "line 1, column 15: vault is taken whole: name one item, {{ vault.NAME }}"),
        (
            "a\n{% for v in vault %}{% endfor %}",
            "line 2, column 13: vault is taken whole: name one item, {{ vault.NAME }}",
        ),
        (
            "{{ vault[x] }}",
            "line 1, column 4: vault[x] chooses an item while it runs: name it, {{ vault['NAME'] }}",
        ),
        (
            "{{ vault[0] }}",
            "line 1, column 4: vault[0] chooses an item while it runs: name it, {{ vault['NAME'] }}",
        ),
        ("{{ vault.abc.def }}", "line 1, column 4: vault.abc has nothing inside: an item is one value"),
        (
            "{% assign k = 'vault' %}{{ [k].abc }}",
            "line 1, column 28: ['k'].abc chooses a variable while it runs: write its name",
        ),
        (
            "{% if x %}{% assign vault = x %}{% endif %}{{ vault.abc }}",
            "line 1, column 1: the template makes a variable of its own named vault: choose another name",
        ),
        (
            "{% for vault in x %}{{ vault.abc }}{% endfor %}",
            "line 1, column 1: the template makes a variable of its own named vault: choose another name",
        ),
        (
            "{% capture vault %}{% endcapture %}",
            "line 1, column 1: the template makes a variable of its own named vault: choose another name",
        ),
        (
            "{% increment vault %}",
            "line 1, column 1: the template makes a variable of its own named vault: choose another name",
        ),
        ("{{ x | }}", "line 1, column 1: expected word, found end of expression"),
        ("a\n {{ x", "line 2, column 2: expected '}}', found end of file"),
        ("{% nothing %}", "line 1, column 4: unexpected tag 'nothing'"),
        ("{% include 'x' %}", "line 1, column 4: tag 'include' loads another template: write its text here"),
        ("{% render 'x' %}", "line 1, column 4: tag 'render' loads another template: write its text here"),
        ("{% extends 'x' %}", "line 1, column 4: tag 'extends' loads another template: write its text here"),
        ("x" * 100_001, "the template has 100001 characters: 100000 at most, so split it"),
        (
            "{{ vault.ab }}",
            (
                "line 1, column 4: item name 'ab' has 2 characters: use 3 to 50, for "
                "example prod-ticketing-api-token"
            ),
        ),
    ],
)
def test_refuses_what_cannot_be_told_in_advance(text, message):
    with pytest.raises(InvalidInputError) as caught:
        find_uses(text)
    assert str(caught.value) == message


PIECES = st.sampled_from(
    [
        *"{{ }} {% %} | . , : [ ] ( ) .. ' \" vault .abc ['api-key:x'] [x] x fetch if endif for in".split(),
        *"endfor assign = capture raw endraw include render liquid cycle echo case when 1 1.5 -".split(),
        *["99999999999999999999", "\n", " ", ID, "{%-", "-}}", "\x00", "\ud800", "é"],
    ]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=25).map(" ".join), st.booleans())
@example("{% if %}" * 300, False)
@example("{{ x" + "[x" * 3000 + "]" * 3000 + "}}", False)
def test_any_text_is_read_or_refused_in_one_line(text, header):
    refusal = ""
    try:
        uses = find_uses(text, header=header)
    except InvalidInputError as refused:
        uses, refusal = (), str(refused)
    assert refusal.isprintable()
    assert all((use.name is None) != (use.item_id is None) for use in uses)


class Spy:
    """Stands for `vault` while a template renders, and notes what it is asked for."""

    def __init__(self):
        self.asked = set()

    def __getitem__(self, name):
        self.asked.add(name)
        return "value"


EXPRESSIONS = st.sampled_from(
    [
        "vault.abc",
        "vault['d e f']",
        "'vault'",
        "x",
        "(1..2)",
        "vault.ghi | append: vault.jkl",
        "[x]",
        "vault[x]",
        "n",
    ]
)
TEMPLATES = st.lists(
    st.builds(
        str.format,
        st.sampled_from(
            [
                "{{{{ {0} }}}}",
                "{{% if {0} == {1} %}}{{{{ {1} }}}}{{% endif %}}",
                "{{% assign x = {0} %}}",
                "{{% for i in {0} %}}{{{{ {1} }}}}{{% endfor %}}",
                "{{% cycle {0}, {1} %}}",
                "{{% echo {0} %}}",
                "{{% case {0} %}}{{% when {1} %}}y{{% endcase %}}",
                "{{% unless {0} %}}{{{{ {1} }}}}{{% endunless %}}",
                "{{% capture c %}}{{{{ {0} }}}}{{% endcapture %}}",
                "{{% assign vault = {0} %}}",
                "{{% tablerow i in (1..2) limit: {0} %}}{{% endtablerow %}}",
                "{{{{ n[{0}] }}}}",
                "{{{{ [{0}].abc }}}}",
            ]
        ),
        EXPRESSIONS,
        EXPRESSIONS,
    ),
    max_size=5,
).map("".join)


@given(TEMPLATES)
def test_rendering_asks_for_nothing_that_was_not_told(text):
    try:
        told = {use.name for use in find_uses(text)}
    except InvalidInputError:
        return
    spy = Spy()
    with suppress(Exception):  # what was asked for until then counts
        Environment().from_string(text).render(vault=spy, x="vault", n={"value": 1})
    assert spy.asked <= told


def test_ids_inside_markup_are_left_alone():
    text = f"{ID} {{{{ '{ID}' }}}} {{% if x == '{ID}' %}}{{% endif %}}"
    assert expand_ids(text) == text.replace(ID, f"{{{{ vault['{ID}'] }}}}", 1)
