"""Rendering needs no item that the analysis did not report, and shows no part of one that it could not."""

import time
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.named import find_named
from vaultcore.references import find_uses
from vaultcore.secret import Secret
from worker.workflows.templates import Scope, check, find_reads, render

ID = "vlt_01hzy3v9k2m4n6p8q0r2s4t6v8"
VALUES = {name: Secret(f"<{name}>") for name in ("abc", "def", "two words", "api-key:x", ID)}
CONTEXT = {
    "x": "vault",
    "k": "abc",
    "ID": ID,
    "empty": [],
    "list": [{"abc": 1, "vault": "v"}, {"abc": 2, "vault": "w"}],
    "other": {"abc": "of other", "x": 7},
    "data": f"{ID} {{{{ vault.abc }}}} {{% assign vault = x %}}",
}
SCOPE = Scope(context=CONTEXT, values=VALUES)


def try_render(text: str, scope: Scope = SCOPE, *, header: bool = False) -> tuple[str, frozenset[str]]:
    """The text and the items looked up; nothing of either where rendering is refused."""
    failure: TargetError | None = None
    try:
        rendered = render(text, scope, header=header)
    except TargetError as error:
        failure = error
    if failure is None:
        return rendered.text, rendered.used
    assert failure.cause is Cause.MISTAKE
    return str(failure), frozenset()


def assert_only_told_items_show(text: str, *, header: bool = False) -> None:
    """With every value at hand only the reported ones appear, and with those alone nothing changes."""
    try:
        told = {use.written for use in find_uses(text, header=header)}
    except InvalidInputError:
        told = set()
    shown, used = try_render(text, header=header)
    assert used <= told
    assert not [name for name, value in VALUES.items() if name not in told and value.expose() in shown]
    scarce = replace(SCOPE, values={name: value for name, value in VALUES.items() if name in told})
    assert try_render(text, scarce, header=header) == (shown, used)


@pytest.mark.parametrize(
    ("text", "shown", "used"),
    [
        ("{{ vault.abc }}", "<abc>", {"abc"}),
        (" {{- vault . abc -}} ", "<abc>", {"abc"}),
        ("{{ vault['abc'] }}", "<abc>", {"abc"}),
        ('{{ vault["two words"] }}', "<two words>", {"two words"}),
        ('{{ ["vault"]["api-key:x"] }}', "<api-key:x>", {"api-key:x"}),
        ("{% assign v = vault.abc %}{{ v }}{{ v }}", "<abc><abc>", {"abc"}),
        ("{% capture v %}{{ vault.abc }}{% endcapture %}{{ v | upcase }}", "<ABC>", {"abc"}),
        ("{% echo 'x' | append: vault.abc | prepend: vault.def %}", "<def>x<abc>", {"abc", "def"}),
        ("{% liquid\n assign v = vault.abc\n echo v\n%}", "<abc>", {"abc"}),
        (
            "{%- if k == 'abc' -%} {{- vault.abc -}} {%- else -%} {{ vault.def }} {%- endif -%}",
            "<abc>",
            {"abc"},
        ),
        ("{% unless k %}x{% elsif vault.def %}{{ vault.abc }}{% endunless %}", "<abc>", {"abc", "def"}),
        ("{% for i in list %}{{ vault.abc }}{% else %}{{ vault.def }}{% endfor %}", "<abc><abc>", {"abc"}),
        ("{% for i in empty %}{% else %}{{ vault.def }}{% endfor %}", "<def>", {"def"}),
        (
            "{% case vault.abc %}{% when vault.def %}x{% else %}{{ vault.abc }}{% endcase %}",
            "<abc>",
            {"abc", "def"},
        ),
        (
            "{% cycle vault.abc, vault.def %}{% cycle vault.abc, vault.def %}",
            "<abc><def>",
            {"abc", "def"},
        ),
        ("{% ifchanged %}{{ vault.abc }}{% endifchanged %}", "<abc>", {"abc"}),
        ("{% comment %}{% endcomment %}{{ vault.abc }}", "<abc>", {"abc"}),
        ("{% raw %}{{ vault.def }}{% endraw %}{{ vault.abc }}", "{{ vault.def }}<abc>", {"abc"}),
        ("{# {{ vault.abc }} #}", "{# <abc> #}", {"abc"}),
        ("{{ gone | default: vault.abc }}", "<abc>", {"abc"}),
        ("{{ list | where: 'abc', vault.abc | json }}", "[]", {"abc"}),
        (f"{{{{ vault['{ID}'] }}}}", f"<{ID}>", {ID}),
    ],
)
def test_rendering_looks_up_what_was_reported_and_nothing_else(text, shown, used):
    assert_only_told_items_show(text)
    assert try_render(text) == (shown, used)


@pytest.mark.parametrize(
    "text",
    [
        "{% assign vault = other %}{{ vault.abc }}",
        "{% assign vault = vault.abc %}{{ vault }}",
        "{% assign v = vault %}{{ v.abc }}",
        "{% assign v = ['vault'] %}{{ v['abc'] }}",
        "{{ vault.abc }}{% assign vault = other %}{{ vault.def }}",
        "{% for vault in list %}{{ vault.abc }}{% endfor %}",
        "{% for v in vault %}{{ v }}{% endfor %}",
        "{% tablerow vault in list %}{{ vault.abc }}{% endtablerow %}",
        "{% capture vault %}{{ vault.abc }}{% endcapture %}{{ vault }}",
        "{%- capture vault -%}x{%- endcapture -%}{{ vault.abc }}",
        "{% increment vault %}{{ vault.abc }}",
        "{% decrement vault %}",
        "{% cycle vault: 'a', 'b' %}",
        "{% liquid\n assign vault = other\n echo vault.abc\n%}",
        "{% liquid\n assign v = vault\n echo v.abc\n%}",
        "{{ vault }}",
        "{{ vault | json }}",
        "{{ vault[k] }}",
        "{{ vault[vault.abc] }}",
        "{{ vault[vault['abc']] }}",
        "{{ vault[0] }}",
        "{{ vault[(1..2)] }}",
        "{{ vault.abc.size }}",
        "{{ vault['a']['b'] }}",
        "{{ [x].abc }}",
        "{{ [x][k] }}",
        "{{ ['vault'][k] }}",
        "{{ other[[x].abc] }}",
        "{{ list | map: vault => vault.abc }}",
        "{{ list | map: v => vault.abc }}",
        "{% include 'vault' %}",
        "{% render 'vault', v: vault %}",
        "{% macro m %}{{ vault.abc }}{% endmacro %}{% call m %}",
        "{% with v: vault %}{{ v.abc }}{% endwith %}",
    ],
)
def test_a_trick_that_would_hide_an_item_is_refused_by_analysis_check_and_rendering_alike(text):
    with pytest.raises(InvalidInputError) as found:
        find_uses(text)
    with pytest.raises(InvalidInputError):
        check(text)
    with pytest.raises(TargetError) as refused:
        render(text, SCOPE)
    assert str(refused.value) == f"the template cannot be read: {found.value}"
    assert refused.value.cause is Cause.MISTAKE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{% comment %}{{ vault.abc }}{% endcomment %}", ""),
        ("{% doc %}{{ vault.abc }}{% enddoc %}", ""),
        ("{% # vault.abc %}", ""),
        ("{% raw %}{{ vault.abc }}{% endraw %}", "{{ vault.abc }}"),
        ('{{ "${vault.abc}" }}', "${vault.abc}"),
        ("{{ 'vault.abc' }}", "vault.abc"),
        ("{{ data }}", CONTEXT["data"]),
        ("{{ other.abc }}", "of other"),
        ("{{ list | map: 'vault' | join: ' ' }}", "v w"),
        (f"Bearer {ID}", f"Bearer {ID}"),
    ],
)
def test_text_that_only_looks_like_an_item_names_none_and_shows_none(text, shown):
    assert find_uses(text) == ()
    assert try_render(text) == (shown, frozenset())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Bearer {ID}", f"Bearer {VALUES[ID].expose()}"),
        (f"{{% raw %}}{ID}{{% endraw %}}", ID),
        (f"{{% comment %}}{ID}{{% endcomment %}}", ""),
        (f"{{{{ '{ID}' }}}}", ID),
        ("{{ ID }}", ID),
        ("{{ data }}", CONTEXT["data"]),
    ],
)
def test_in_a_header_a_bare_id_of_the_template_itself_is_its_value(text, shown):
    assert_only_told_items_show(text, header=True)
    assert render(text, SCOPE, header=True).text == shown


PIECES = st.sampled_from(
    [
        *"{{ }} {{- -}} {% %} {%- -%} | . , : [ ] ( ) .. ' \" == and or => # vault abc def k x v".split(),
        *"vault.abc vault['def'] vault[k] ['vault'] [x].abc 'vault' other list ID assign capture".split(),
        *"endcapture for endfor in if endif else raw endraw comment endcomment liquid echo cycle".split(),
        *"increment tablerow endtablerow case endcase when append: json map: default: = i 1 (1..2)".split(),
        *["{% assign vault = other %}", "{{ vault.abc }}", "{{ vault.def }}", "{% raw %}", "{% endraw %}"],
        *["\n", " ", ID, "{% for vault in list %}", "{% endfor %}", "{% capture vault %}", "{% liquid\n"],
    ]
)


@given(st.lists(PIECES, max_size=20).map(" ".join), st.booleans())
@example("{% raw %} {{ vault.abc }} {% endraw %} {{ vault.def }}", False)
@example(f"{{% comment %}} {ID} {{% endcomment %}} {ID} {{% raw %}} {ID}", True)
@example("{% liquid\n assign v = vault.abc \n echo v %} {{ v }}", False)
def test_whatever_the_template_only_reported_items_are_ever_needed(text, header):
    assert_only_told_items_show(text, header=header)


@given(st.lists(PIECES, max_size=12).map(" ".join))
def test_check_takes_no_more_than_the_analysis_and_finds_the_same(text):
    try:
        taken = check(text)
    except InvalidInputError:
        return
    assert taken == find_uses(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{% assign v = vault.abc %}{{ v.size }}", "v.size may not stand in a template"),
        ("{% assign v = vault.abc %}{{ v['size'] }}", "v.size may not stand in a template"),
        ("{% capture v %}{{ vault.abc }}{% endcapture %}{{ v.size }}", "v.size may not stand in a template"),
        ("{% assign v = vault.abc %}{{ v[k] }}", "v[k] may not stand in a template"),
        ("{{ other[vault.abc] }}", "other[vault.abc] may not stand in a template"),
        ("{% assign v = vault.abc %}{{ other[v] }}", "other[v] may not stand in a template"),
        ("{{ (1..vault.abc) }}{{ vault.abc | size }}", "filter 'size' may not stand in a template"),
    ],
)
def test_check_refuses_what_would_measure_a_value_or_choose_by_it(text, problem):
    with pytest.raises(InvalidInputError) as caught:
        check(text)
    assert problem in str(caught.value)
    assert "masked" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ other[k] }}",
        "{% assign v = other %}{{ v.size }}",
        "{% assign v = other.abc %}{{ v }} {{ vault.abc }}",
        "{{ list.size }} {{ vault.abc }}",
        "{{ list[0].abc }} {{ vault.abc }}",
    ],
)
def test_check_takes_data_chosen_by_data(text):
    check(text)


def test_reads_are_the_paths_of_everything_but_items():
    rendered = render("{{ other.abc }}{{ list[0].abc }}{{ other[k] }}{{ vault.abc }}", SCOPE)
    assert set(rendered.reads) == {("other", "abc"), ("list", 0, "abc"), ("other",), ("k",)}


def test_what_is_rendered_says_neither_its_text_nor_a_value_when_it_fails():
    secret = VALUES["abc"].expose()
    for text in (
        "{{ other[vault.abc].x }}",
        "{{ vault.abc | divided_by: 0 }}",
        "{{ vault.abc | date: 3, 4, 5 }}",
    ):
        with pytest.raises(TargetError) as caught:
            render(text, SCOPE)
        error: BaseException | None = caught.value
        while error is not None:
            assert secret not in str(error)
            error = error.__context__ or error.__cause__


# What a template needs


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("plain", []),
        ("{{ a.b }} and {{ a.b | upcase }} {{ c[0].d }}", [("a", "b"), ("c", 0, "d")]),
        ("{{ a[b.c].d }}", [("a",), ("b", "c")]),
        ("{% assign x = a.b %}{{ x.c }}", [("a", "b")]),
        ("{% for x in a.list %}{{ x.y }}{{ forloop.index }}{{ z }}{% endfor %}", [("a", "list"), ("z",)]),
        ("{% if a.b %}{{ c }}{% endif %}", [("a", "b"), ("c",)]),
        ("{{ vault.prod-x }} {{ a }}", [("a",)]),
        ("{{ a.b | default: 'none' }} {{ c }}", [("c",)]),
        (
            "{{ a }} {{ b | upcase | default: c }} {% assign d = e | default: 1 %}{{ d }}{{ f }}",
            [("a",), ("f",)],
        ),
        ("{{ a | append: 'default' }}", [("a",)]),
        ("{% raw %}{{ a | default: 1 }}{% endraw %}{{ b }}", [("b",)]),
        ("{% comment %}{{ a | default: 1 }}{% endcomment %}{{ b }}{{ c | default: 1 }}", [("b",)]),
    ],
)
def test_the_paths_that_must_be_there_are_told_before_it_runs(text, paths):
    assert sorted(find_reads(text), key=str) == sorted(paths, key=str)


@pytest.mark.parametrize(
    "text",
    [
        "{% raw %}" + "{{ a " * 20_000 + "| default: 1 {% endraw %}{{ b }}",
        "{{ a" + " | append: c" * 1_400 + " }}{{ b }}" + "{{ d | default: 1 }}" * 1_400,
        "{% raw %}" + "{{ a " * 20_000 + "{% endraw %}{{ b }}",
    ],
)
def test_what_may_be_missing_is_found_in_one_pass(text):
    began = time.process_time()
    assert ("b",) in find_reads(text)
    assert time.process_time() - began < 10


# Limits

LONG_RANGE = "it makes a range of more than 100000 numbers"
MANY = [{"n": n} for n in range(200)]


@pytest.mark.parametrize(
    "place",
    [
        "{{ RANGE | join: '' }}",
        "{{ RANGE | size }}",
        "{{ '' | append: RANGE }}",
        "{{ 'x' | default: y, allow_false: RANGE }}",
        "{% assign r = RANGE %}{{ r | last }}",
        "{% echo RANGE | first %}",
        "{% liquid\n assign r = RANGE\n echo r\n%}",
        "{% capture c %}{% if RANGE contains 5.5 %}x{% endif %}{% endcapture %}",
        "{% unless RANGE contains 5.5 %}x{% endunless %}",
        "{% if k == 'no' %}x{% elsif RANGE contains 5.5 %}x{% endif %}",
        "{% case 1 %}{% when RANGE %}x{% endcase %}",
        "{% case RANGE %}{% when 1 %}x{% endcase %}",
        "{% for i in RANGE limit: 1 %}x{% endfor %}",
        "{% for i in list limit: RANGE %}x{% endfor %}",
        "{% for i in empty %}x{% else %}{{ RANGE }}{% endfor %}",
        "{% tablerow i in RANGE limit: 1 %}x{% endtablerow %}",
        "{% cycle RANGE, 1 %}",
        "{% ifchanged %}{{ RANGE | first }}{% endifchanged %}",
        "{{ 'a' if RANGE contains 5.5 else 'b' }}",
        "{{ 'a' if k == 'no' else RANGE | first }}",
        "{{ list | map: each => RANGE }}",
        "{{ list[RANGE] }}",
        "{% for i in (1..2) %}{% for j in RANGE %}x{% break %}{% endfor %}{% endfor %}",
    ],
)
@pytest.mark.parametrize("ends", ["(1..1000000000)", "(k_low..k_high)", "('-5000'..'1e3'..9)", "(0..k_high)"])
def test_a_range_is_bounded_wherever_it_stands_before_it_is_made(place, ends):
    text = place.replace("RANGE", ends)
    scope = Scope(context={**CONTEXT, "k_low": -10_000_000_000, "k_high": "100000"}, values={})
    try:
        find_uses(text)
    except InvalidInputError:
        return  # no place for a range
    with pytest.raises(TargetError) as caught:
        render(text, scope)
    assert LONG_RANGE in str(caught.value)
    if ends.startswith("(1.."):
        with pytest.raises(InvalidInputError, match="is a range of more than 100000 numbers"):
            check(text)


def test_a_range_of_a_hundred_thousand_is_taken():
    check("{{ (1..100000) | size }}")
    assert render("{{ (1..100000) | size }}{{ ('1'..'3') | join: '-' }}{{ (5..1) | size }}", SCOPE).text == (
        "1000001-2-30"
    )


DOUBLED = "{% assign a = a | append: a %}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{% assign a = text | replace: 'x', text %}{{ a | size }}", "it makes more than 1048576 bytes"),
        ("{{ text | split: '' | join: text | size }}", "it makes more than 1048576 bytes"),
        ("{% assign a = 'abcdefgh' %}" + DOUBLED * 40, "it makes more than 1048576 bytes"),
        ("{% assign a = many %}" + DOUBLED.replace("append", "concat") * 40, "it "),
        ("{% assign a = many %}" + DOUBLED.replace("append", "concat") * 12 + "{{ a | uniq }}", "it "),
        ("{{ many | json: 1000000 }}", "it indents JSON by more than 10 characters"),
        ("{% assign a = 99 %}" + DOUBLED.replace("append", "times") * 40, "a number of more than 4300 digits"),
        ("{{ text | split: '' | uniq }}", "it gives more than 5000 parts to the filter uniq"),
        ("{{ 'now' | date: text }}", "it gives more than 500 characters to the filter date"),
        (
            "{{ text | append: '<' | strip_html }}",
            "it gives more than 20000 characters to the filter strip_html",
        ),
        ("{% for i in (1..9000) %}{{ i }}{% endfor %}" * 2, "it loops more than 10000 times"),
        ("{% tablerow i in (1..9000) %}{% endtablerow %}" * 2, "it loops more than 10000 times"),
        (
            "{% for i in many %}{% for j in many %}{% break %}{% endfor %}{% endfor %}",
            "it loops more than 10000 times",
        ),
        ("{% for i in (1..10000) %}{{ text }}{% endfor %}", "it makes more than 1048576 bytes"),
        (
            "{% for i in (1..10000) %}" + "{% if 1 == 2 or 3 == 4 %}{% endif %}" * 900 + "{% endfor %}",
            "it takes more than 3 seconds",
        ),
        ("{% for i in empty %}" * 31 + "{% endfor %}" * 31, "nesting limit"),
    ],
)
def test_what_would_make_too_much_or_take_too_long_is_stopped_and_says_by_which_limit(text, problem):
    began = time.thread_time()
    with pytest.raises(TargetError, match=r"the template cannot be (rendered|read): ") as caught:
        render(text, Scope(context={"text": "x" * 50_000, "many": MANY, "empty": []}, values={}))
    assert problem in str(caught.value)
    assert caught.value.cause is Cause.MISTAKE
    assert time.thread_time() - began < 10


def test_what_filters_make_of_much_data_within_the_limits_is_left():
    scope = Scope(
        context={"text": "ab,c " * 40_000, "rows": [{"id": n, "of": "x" * 9} for n in range(5000)]}, values={}
    )
    assert render("{{ text | replace: ',', ';' | upcase | size }}", scope).text == "200000"
    assert render("{% for r in rows %}{{ r.id }},{% endfor %}", scope).text.endswith("4998,4999,")
    assert len(render("{{ rows | map: 'id' | uniq | join: ', ' }}", scope).text) == 28_888
    assert render("{{ rows | json: 2 }}", scope).text.startswith('[\n  {\n    "id": 0,')
    assert render("{{ rows | where: 'id', 7 | first | json }}", scope).text == '{"id": 7, "of": "xxxxxxxxx"}'
    assert render("{{ '2026-03-04' | date: '%d.%m.%Y' }}", scope).text == "04.03.2026"


SLOW = {
    "outputs-that-never-end": "{{" * 30_000,
    "outputs-with-text": "{{ a " * 12_000,
    "trimmed": "{{- " * 15_000,
    "a-tag-that-never-ends": "{% " + "a" * 60_000,
    "tags-that-never-end": "{%a" * 20_000,
    "blanks-that-never-end": "{{" + " " * 60_000,
    "blanks": "{{" + " " * 60_000 + "}}",
    "blanks-in-a-tag": "{% a" + " " * 60_000 + "%}",
    "blanks-in-a-comment": "{% #" + " " * 60_000 + "%}",
    "blanks-in-liquid": "{% liquid\n a" + " " * 60_000 + "b %}",
    "pieces-of-blanks": ("{{" + " " * 99 + "}}") * 300,
    "pieces-of-tags-with-blanks": ("{% a" + " " * 99 + "%}") * 300,
    "lines-of-blanks": "{% liquid\n" + (" a" + " " * 99) * 300 + "\n%}",
    "parentheses": "{{ " + "(" * 60_000 + " }}",
    "parentheses-before-a-range": "{{ " + "(" * 60_000 + "1..2 }}",
    "names-in-brackets": "{{ a" + "['" * 30_000 + " }}",
    "brackets": "{{ a" + "[" * 60_000 + " }}",
    "outputs-in-a-comment": "{% comment %}" + "{{" * 30_000 + "{% endcomment %}",
    "outputs-in-many-comments": ("{% comment %}" + "{{ " * 60 + "{% endcomment %}") * 290,
    "blanks-of-a-comment": "{% comment %}{{" + " " * 60_000 + "{% endcomment %}",
    "raw": "{% raw %}" * 7_000,
    "braces": "{" * 60_000,
    "quotes": "{{ '" * 15_000,
    "a-word": "{{ " + "a" * 60_000 + "$ }}",
    "digits": "{{ " + "9" * 60_000 + " }}",
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_text_of_sixty_kilobytes_is_answered_in_well_under_a_second_whatever_it_is(kind):
    began = time.thread_time()
    with suppress(InvalidInputError):
        check(SLOW[kind])
    with suppress(TargetError):
        render(SLOW[kind], SCOPE)
    find_named(SLOW[kind] + "{{ vault.abc }}")
    assert time.thread_time() - began < 3


TOO_MANY = "it has more than 20000 names, signs and texts in markup"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\n{{ b", "line 2, column 1: expected '}}', found end of file"),
        ("a {% if", "line 1, column 3: missing tag name or closing delimiter"),
        (
            "{{ a }}{{ b" + " " * 300 + "}}",
            "line 1, column 12: it has more than 100 blanks in a row inside markup",
        ),
        ("{{ " + "(" * 9000 + " }}", "line 1, column 1: it has too many brackets that are never closed"),
        ("a {{ " + "a|" * 30_000 + " }}", f"line 1, column 3: {TOO_MANY}"),
        ("{{a}}" * 3334, f"line 1, column 16666: {TOO_MANY}"),
        ("{% cycle " + "a," * 10_000 + " %}", f"line 1, column 1: {TOO_MANY}"),
        ("{% liquid" + "\necho a" * 10_000 + " %}", f"line 1, column 1: {TOO_MANY}"),
    ],
)
def test_a_limit_of_parsing_is_named_with_its_place(text, problem):
    with pytest.raises(InvalidInputError) as caught:
        check(text)
    assert str(caught.value) == problem


def test_blanks_and_brackets_beside_markup_and_in_quotes_are_no_matter():
    text = " " * 5000 + "{{ '((((' }}" + "(" * 5000 + "{% raw %}" + " " * 5000 + "{{ {% endraw %}"
    assert len(render(text, SCOPE).text) == 5000 + 4 + 5000 + 5000 + 3
    text = "{{ '" + "a, " * 20_000 + "' }}{% raw %}" + "a, " * 10_000 + "{% endraw %}"
    assert len(render(text, SCOPE).text) == 90_000
