"""Where a list goes on, and whether it says itself that it is not all."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.outbound import Response
from worker.rotators.catalog import parse_settings
from worker.rotators.http_pages import NextPage, add_parameter, explain_partial, find_next

AT = "https://api.example.org:443/v1/tokens?label=a%20b&page=1"
CALL = {"url": "https://api.example.org/v1/tokens"}


ELSEWHERE = "it goes on at another place, which is not followed"


def settings(**changes: Any) -> Any:
    return parse_settings(
        "http", {"issue": CALL, "verify": CALL, "revoke": CALL, "id": "id", "find": CALL} | changes
    )


def answer(body: Any, *, status: int = 200, **headers: str) -> Response:
    return Response(status=status, headers=headers, body=body)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('</v1/tokens?page=2>; rel="next"', NextPage(url="https://api.example.org:443/v1/tokens?page=2")),
        (
            '<?page=2>; rel=next, <?page=9>; rel="last"',
            NextPage(url="https://api.example.org:443/v1/tokens?page=2"),
        ),
        (
            '<?page=1>; rel="prev", <?page=2>; rel="Next x"',
            NextPage(url="https://api.example.org:443/v1/tokens?page=2"),
        ),
        ("<https://api.example.org/v1/x>; rel=next", NextPage(url="https://api.example.org/v1/x")),
        ("<?page=1>; rel=prev", None),
        ("", None),
        ("garbage", None),
        (
            "<https://elsewhere.example.org/v1/x>; rel=next",
            ELSEWHERE,
        ),
        ("<http://api.example.org/v1/x>; rel=next", ELSEWHERE),
        ("<https://api.example.org:8443/v1/x>; rel=next", ELSEWHERE),
        ("<https://a:b@api.example.org/v1/x>; rel=next", ELSEWHERE),
        ("<file:///etc/passwd>; rel=next", ELSEWHERE),
        ("<https://[::1/v1>; rel=next", "it goes on at something that is not a URL"),
        ("<https://api.example.org:99999/v1>; rel=next", "it goes on at something that is not a URL"),
        ("<\x01>; rel=next", "it goes on at something that is not a URL"),
        (
            '</v1/tokens?page=2>; rel="next"; title="nächste"',
            NextPage(url="https://api.example.org:443/v1/tokens?page=2"),
        ),
        ("<?seite=zwölf>; rel=next", NextPage(url="https://api.example.org:443/v1/tokens?seite=zwölf")),
        ("<https://höst.example/v1>; rel=next", ELSEWHERE),
        ("ünlesbar", None),
        ("\ud800", None),
    ],
)
def test_a_link_is_followed_to_the_place_that_was_asked_alone(link: str, expected: Any) -> None:
    assert find_next(answer([], link=link), settings(), at=AT) == expected


CURSOR = {"find_next": "meta.next", "find_cursor": "page"}


@pytest.mark.parametrize(
    ("body", "changes", "expected"),
    [
        ({"meta": {"next": "/v1/tokens?page=2"}}, {}, None),  # nobody says that it is one
        (
            {"meta": {"next": "/v1/x"}},
            {"find_next": "meta.next"},
            NextPage(url="https://api.example.org:443/v1/x"),
        ),
        ({"meta": {"next": "/v1/x"}}, CURSOR, NextPage(cursor="/v1/x")),
        ({"meta": {"next": "abc=="}}, CURSOR, NextPage(cursor="abc==")),
        ({"meta": {"next": 2}}, CURSOR, NextPage(cursor="2")),
        ({"meta": {"next": None}}, CURSOR, None),
        ({"meta": {"next": ""}}, CURSOR, None),
        ({"meta": {}}, CURSOR, None),
        ([], CURSOR, None),
        ({"meta": {"next": "abc"}, "has_more": False}, CURSOR, None),
        ({"meta": {"next": "abc", "hasMore": True}}, CURSOR, NextPage(cursor="abc")),
        ({"meta": {"next": {"href": None}}}, CURSOR, None),
        ({"meta": {"next": "abc"}, "isLast": True}, CURSOR, None),
        ({"meta": {"next": "abc"}, "isLast": False}, CURSOR, NextPage(cursor="abc")),
        ({"meta": {"next": ["a"]}}, CURSOR, "it goes on, and at meta.next lies neither a URL nor a cursor"),
        ({"meta": {"next": True}}, CURSOR, "it goes on, and at meta.next lies neither a URL nor a cursor"),
        ({"meta": {"next": "a\nb"}}, CURSOR, "it goes on, and what lies at meta.next cannot be asked with"),
        ({"meta": {"next": "a\ud800"}}, CURSOR, "it goes on, and what lies at meta.next cannot be asked with"),
        (
            {"meta": {"next": "https://elsewhere.example.org/"}},
            {"find_next": "meta.next"},
            ELSEWHERE,
        ),
    ],
)
def test_a_next_field_is_a_url_or_a_cursor(body: Any, changes: dict[str, Any], expected: Any) -> None:
    assert find_next(answer(body), settings(**changes), at=AT) == expected


def test_a_cursor_may_stand_in_a_header() -> None:
    found = find_next(
        answer([], status=200, **{"x-next": "7"}), settings(find_next="header:X-Next", find_cursor="p"), at=AT
    )
    assert found == NextPage(cursor="7")


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"has_more": True}, "has_more"),
        ({"hasMore": True, "tokens": []}, "hasMore"),
        ({"truncated": True}, "truncated"),
        ({"IsTruncated": True}, "IsTruncated"),
        ({"incomplete_results": True}, "incomplete_results"),
        ({"next": "/v1/tokens?page=2"}, "next"),
        ({"next_page_token": "x"}, "next_page_token"),
        ({"nextCursor": "x"}, "nextCursor"),
        ({"next_page": 2}, "next_page"),
        ({"@odata.nextLink": "x"}, "@odata.nextLink"),
        ({"links": {"next": {"href": "/x"}}}, "next"),
        ({"_links": {"next": {"href": "/x"}}}, "next"),
        ({"meta": {"pagination": 1, "has_next": True}}, "has_next"),
        ({"metadata": {"continue": "abc"}}, "continue"),
        ({"data": {"pageInfo": {"hasNextPage": True}, "tokens": []}}, "hasNextPage"),
        ({"has_more": "true"}, "has_more"),
        ({"total": 25, "per_page": 1}, "total"),
        ({"total": "25"}, "total"),
        ({"data": {"totalCount": 2, "tokens": []}}, "totalCount"),
        ({"page": 1, "total_pages": 3}, "total_pages"),
        ({"meta": {"current_page": 1, "last_page": 2}}, "last_page"),
        ({"page": {"size": 1, "totalElements": 2, "number": 0}}, "totalElements"),
        ({"isLast": False}, "isLast"),
        ({"last": False, "number": 0}, "last"),
    ],
)
def test_a_list_that_says_that_it_is_a_part_is_one(body: Any, key: str) -> None:
    said = explain_partial(answer(body), settings(find_ids="data.tokens.*.id"), entries=1, pages=1, at=AT)
    assert said is not None
    assert f"({key})" in said


@pytest.mark.parametrize(
    "body",
    [
        {"has_more": False, "next": None, "links": {"next": None}, "truncated": False},
        {"next": "", "next_page": 0, "meta": {"next": {}}},
        {"tokens": [{"next": "x", "has_more": True}]},  # of an entry
        {"settings": {"next": "x"}},
        [],
        "next",
        None,
        {"data": []},
        {"pagination": {"next": {"href": None}}},
        {"_links": {"next": {"href": "", "templated": False}}, "paging": {"next": [None]}},
        {"next_cursor": "abc", "has_more": False},  # the last page has a cursor, too
        {"next_cursor": "abc", "isLast": True},
        {"total": 3, "count": 1, "page": 2, "total_pages": 2, "per_page": 100},
        {"total": 2, "last": True, "totalPages": 1, "number": 0},
        {"total": -1, "pages": True, "count": None, "total_count": "many", "totalSize": 3.5},
        {"links": {"first": "/x?page=1", "last": "/x?page=9"}, "last_page_url": "/x?page=9"},
        {"moreResults": "NO_MORE_RESULTS", "has_more": "false"},
    ],
)
def test_a_list_that_does_not_say_so_is_whole(body: Any) -> None:
    assert explain_partial(answer(body), settings(find_ids="tokens.*.id"), entries=3, pages=2, at=AT) is None


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"x-total-count": "250"}, "x-total-count"),
        ({"x-total": "4"}, "x-total"),
        ({"total-count": "4"}, "total-count"),
        ({"x-pagination-total-count": "4"}, "x-pagination-total-count"),
        ({"pagination-count": " 4 "}, "pagination-count"),
        ({"x-total-pages": "3"}, "x-total-pages"),
        ({"x-page-count": "3"}, "x-page-count"),
        ({"content-range": "items 0-99/250"}, "content-range"),
        ({"content-range": "items=0-99/250"}, "content-range"),
        ({"content-range": "0-2/3", "x-total": "9"}, "x-total"),
        ({"content-range": "tokens */4"}, "content-range"),
        ({"content-range": "items 0-2/*"}, "content-range"),
        ({"content-range": "0-2/4"}, "content-range"),
        ({"content-range": "0-2/*"}, "content-range"),
        ({"content-range": "*/4"}, "content-range"),
        ({"content-range": "items 0-2/4, items 0-2/4"}, "content-range"),
        ({"x-wp-total": "4", "x-wp-totalpages": "2"}, "x-wp-total"),
        ({"x-wp-totalpages": "3"}, "x-wp-totalpages"),
        ({"x-total-count": "4, 4"}, "x-total-count"),
        ({"x-total-count": "1,250"}, "x-total-count"),
        ({"x-resource-count": "4"}, "x-resource-count"),
        ({"x-page-total": "3"}, "x-page-total"),
        ({"x-has-more": "true, true"}, "x-has-more"),
        ({"link": '</v1/tokens?page=3>; rel="last"'}, "link"),
        ({"link": '<?page=1>; rel="first", <?page=2>; rel="last"'}, "link"),
        ({"link": '<?label=a%20b&page=0>; rel="first", <?page=1&label=other>; rel="last"'}, "link"),
        ({"link": '<?offset=0>; rel="first", <?offset=100>; rel="last"'}, "link"),
        ({"link": '<?after=abc>; rel="last"'}, "link"),
        ({"link": '<https://[::1/v1>; rel="last"'}, "link"),
        ({"x-next-page": "2"}, "x-next-page"),
        ({"x-ms-continuation": "abc"}, "x-ms-continuation"),
        ({"x-next-cursor": "abc"}, "x-next-cursor"),
        ({"x-has-more": "true"}, "x-has-more"),
        ({"x-truncated": "True"}, "x-truncated"),
        ({"x-pagination": '{"TotalCount": 250, "HasNext": false}'}, "x-pagination: TotalCount"),
        ({"pagination": '{"hasNext": true}'}, "pagination: hasNext"),
    ],
)
def test_a_list_of_which_a_header_alone_tells_that_it_is_a_part_is_one(
    headers: dict[str, str], key: str
) -> None:
    read = Response(status=200, headers=headers, body={"tokens": []})
    said = explain_partial(read, settings(find_ids="tokens.*.id"), entries=3, pages=2, at=AT)
    assert said is not None
    assert f"({key})" in said


@pytest.mark.parametrize(
    "headers",
    [
        {"x-total-count": "3", "x-total-pages": "2", "x-total": "0"},
        {"content-range": "items 0-2/3"},
        {"content-range": "bytes 0-99/100"},
        {"content-range": "items */0"},
        {"content-range": "0-2/3"},
        {"content-range": "*/*"},
        {"content-range": "*/0"},
        {"x-wp-total": "3", "x-wp-totalpages": "1", "x-resource-count": "3, 3", "x-page-total": "2"},
        {"link": '<?page=1&label=a+b>; rel="last"'},
        {"link": '<?page=1>; rel="first", <?page=1>; rel="last"'},
        {"link": '<?page=0>; rel="last"'},
        {"link": '<?after=abc>; rel="self", <?after=abc>; rel="last"'},
        {"link": '<https://API.example.org/v1/tokens?label=a%20b&page=1>; rel="last"; title="größe"'},
        {"link": '<?page=3>; rel="last"', "x-has-more": "false"},
        {"content-range": "garbage/250"},
        {"x-next-page": "", "x-has-more": "false"},
        {"x-pagination": "250", "pagination": '{"total'},
        {"x-total-count": "many", "x-total": "-1"},
        {"x-ratelimit-limit": "5000", "content-length": "4000", "age": "99", "x-request-count": "77"},
        {"x-next-cursor": "abc", "x-has-more": "false"},
    ],
)
def test_a_list_of_which_no_header_tells_so_is_whole(headers: dict[str, str]) -> None:
    read = Response(status=200, headers=headers, body={"tokens": []})
    assert explain_partial(read, settings(find_ids="tokens.*.id"), entries=3, pages=2, at=AT) is None


def test_what_headers_count_is_not_of_one_entry_alone() -> None:
    read = Response(status=200, headers={"x-total": "9", "content-range": "items 0-2/*"}, body={"id": "one"})
    assert explain_partial(read, settings(find_ids="id"), entries=1, pages=1, at=AT) is None


def test_what_one_entry_alone_counts_is_its_own() -> None:
    body = {"id": "one", "total": 25, "count": 9}
    assert explain_partial(answer(body), settings(find_ids="id"), entries=1, pages=1, at=AT) is None


def test_a_part_by_its_status_is_one() -> None:
    said = explain_partial(answer([], status=206), settings(), entries=0, pages=1, at=AT)
    assert said == "it says that it is a part (206)"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_a_cursor_goes_into_the_query_whole_and_once(cursor: str) -> None:
    once = add_parameter(AT, "page", cursor)
    assert add_parameter(once, "page", cursor) == once
    assert once.startswith("https://api.example.org:443/v1/tokens?label=a+b&page=")
    assert parse_qsl(urlsplit(once).query, keep_blank_values=True) == [("label", "a b"), ("page", cursor)]
