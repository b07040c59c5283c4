"""The vault: searched as one types, filtered, sorted, and a page of it at a time. The address holds it all."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError, NotFoundError, UnreadableError
from vaultcore.labels import LABELS_MAX, join_line, parse_match, show_label, split_line
from vaultcore.model import Item, LabelMatch, Mode
from worker.domain.item_states import ItemFilter, ItemState
from worker.domain.paging import PageRequest
from worker.rotators.catalog import rotator_names
from worker.rows.item_lists import ListedItem
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, go, show
from worker.web.console.item_edit import NO_ROTATOR, owner_names
from worker.web.console.visits import Looks, PageRoute
from worker.wording.item_states import WORDS, Tone, word_state

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)

SORTS: Final = (("name", "Name"), ("owner", "Owner"), ("expires_at", "Lapses"), ("updated_at", "Changed"))
_DAYS: Final = ("7", "14", "30", "90", "365")
_MODES: Final = {Mode.AUTO: "by itself", Mode.APPROVE: "after an approval", Mode.NOTIFY: "by its owner"}
_MOST: Final = 250
_FILTERS: Final = ("q", "owner", "label", "state", "mode", "rotator", "days", "used_by")


@dataclass(frozen=True, kw_only=True)
class LabelLink:
    """A label, and the address of the items that have it."""

    says: str
    target: str


@dataclass(frozen=True, kw_only=True)
class ShownItem:
    id: str
    name: str
    tone: Tone
    word: str
    owners: tuple[str, ...]
    labels: tuple[LabelLink, ...]
    expires_at: datetime | None
    plan: str
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A filter that is set, in words; `without`: the address without it."""

    says: str
    without: str


@dataclass(frozen=True, kw_only=True)
class Head:
    """`target`: the address sorted by it, the other way round where it is already. `sorted`: how it is now."""

    label: str
    target: str
    sorted: str | None


@router.get("/items", **asks(Action.ITEM_SEE))
def list_items(  # what stands in the address
    request: Request,
    visitor: Looks,
    q: Annotated[str, Query(max_length=_MOST)] = "",
    owner: Annotated[str, Query(max_length=_MOST)] = "",
    label: Annotated[tuple[str, ...], Query(max_length=LABELS_MAX)] = (),
    state: Annotated[str, Query(max_length=40)] = "",
    mode: Annotated[str, Query(max_length=40)] = "",
    rotator: Annotated[str, Query(max_length=_MOST)] = "",
    days: Annotated[str, Query(max_length=10)] = "",
    used_by: Annotated[str, Query(max_length=_MOST)] = "",
    sort: Annotated[str, Query(max_length=40)] = "",
    cursor: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """One page, with what it is filtered by as words that can be taken away."""
    services = services_of(request)
    asked = {
        "q": q.strip(),
        "owner": owner,
        "label": ", ".join(one.strip() for one in label if one.strip()),
        "state": state,
        "mode": mode,
        "rotator": rotator,
        "days": days,
        "used_by": used_by,
        "sort": sort,
        "cursor": cursor,
    }
    clean = _address(asked)
    if "HX-Request" not in request.headers and set(request.query_params) & {
        name for name, value in asked.items() if not value
    }:
        said = request.query_params.get("said", "")
        return go(clean, said=said)  # a form sends what was left empty, too
    problem, rows, total, following = "", [], None, None
    try:
        page = services.lookup.lists.page_items(
            _read_filter(asked),
            PageRequest(sort=sort or None, cursor=cursor or None, counted=True),
            seen_by=visitor.principal,
        )
        rows, total, following = list(page.rows), page.total, page.next
    except (InvalidInputError, NotFoundError) as error:
        problem = str(error)
    response = show(
        request,
        "items.html",
        status=422 if problem else 200,
        items=[_show(one) for one in rows if isinstance(one, ListedItem)],
        unread=[str(one) for one in rows if isinstance(one, UnreadableError)],
        problem=problem[:1].upper() + problem[1:],
        total=total,
        asked=asked,
        filtered=any(asked[name] for name in _FILTERS),
        chips=_chips(asked),
        heads=[_head(name, label, asked) for name, label in SORTS],
        first=_address({**asked, "cursor": ""}) if cursor else None,
        following=None if following is None else _address({**asked, "cursor": following}),
        here=clean,
        owner_choices=[(one, one) for one in owner_names(services)],
        states=[(state.value, word) for state, (_, word) in WORDS.items()],
        modes=[(mode.value, words) for mode, words in _MODES.items()],
        rotator_choices=[(NO_ROTATOR, "none"), *((one, one) for one in rotator_names())],
        days_choices=[(one, f"within {one} days") for one in _DAYS],
        may_change=visitor.may(Action.ITEM_UPDATE) or visitor.may(Action.ITEM_ROTATE),
    )
    if "HX-Request" in request.headers:
        response.headers["HX-Push-Url"] = clean
    return response


def _read_filter(asked: Mapping[str, str]) -> ItemFilter:
    days = asked["days"]
    if days and not (days.isascii() and days.isdigit()):
        raise InvalidInputError("days: a whole number of days, such as 30")
    rotator: str | None = asked["rotator"] or None
    return ItemFilter(
        search=asked["q"] or None,
        owners=frozenset({asked["owner"]} - {""}),
        labels=frozenset(_read_labels(asked["label"])),
        states=_read_one(ItemState, asked["state"], "state"),
        modes=_read_one(Mode, asked["mode"], "mode"),
        rotator="" if rotator == NO_ROTATOR else rotator,
        days_left=(None, int(days)) if days else (None, None),
        used_by=asked["used_by"] or None,
    )


def _read_labels(line: str) -> list[LabelMatch]:
    return [parse_match(one) for one in split_line(line)]


def _read_one(kind: Any, given: str, what: str) -> frozenset[Any]:  # noqa: ANN401  # an enumeration
    if not given:
        return frozenset()
    if given not in set(kind):
        raise InvalidInputError(f"{what}: use one of {', '.join(kind)}")
    return frozenset({kind(given)})


def _show(listed: ListedItem) -> ShownItem:
    item = listed.item
    tone, word = word_state(listed.states)
    by = f" ({item.policy.rotator})" if item.policy.rotator else ""
    return ShownItem(
        id=item.id,
        name=item.name,
        tone=tone,
        word=word,
        owners=item.owners,
        labels=link_labels(item),
        expires_at=item.expires_at,
        plan=_MODES[item.policy.mode] + by if item.policy.stated else "nobody has said",
        changed_at=item.updated_at,
    )


def _chips(asked: Mapping[str, str]) -> list[Chip]:
    said = {
        "q": f"name has “{asked['q']}”",
        "owner": f"owner {asked['owner']}",
        "state": next((word for state, (_, word) in WORDS.items() if state == asked["state"]), asked["state"]),
        "mode": f"replaced {_MODES.get(asked['mode'], asked['mode'])}",  # type: ignore[call-overload]
        "rotator": "no rotator" if asked["rotator"] == NO_ROTATOR else f"rotator {asked['rotator']}",
        "days": f"lapses within {asked['days']} days",
        "used_by": f"used by {asked['used_by']}",
    }
    return [
        *(
            Chip(says=says, without=_address({**asked, name: "", "cursor": ""}))
            for name, says in said.items()
            if asked[name]
        ),
        *_label_chips(asked),
    ]


def _label_chips(asked: Mapping[str, str]) -> Iterator[Chip]:
    """One for each: any of them can be taken away."""
    try:
        wanted = _read_labels(asked["label"])
    except InvalidInputError:
        yield Chip(says="label", without=_address({**asked, "label": "", "cursor": ""}))
        return
    for one in wanted:
        others = join_line(other for other in wanted if other != one)
        without = _address({**asked, "label": others, "cursor": ""})
        yield Chip(says=f"label {show_label(one)}", without=without)


def link_labels(item: Item) -> tuple[LabelLink, ...]:
    return tuple(
        LabelLink(
            says=show_label(one),
            target=_address({"label": join_line([LabelMatch(key=one.key, value=one.value)])}),
        )
        for one in item.labels
    )


def _head(name: str, label: str, asked: Mapping[str, str]) -> Head:
    now = asked["sort"] or "name"
    down = now == name
    is_sorted = "ascending" if now == name else "descending" if now == f"-{name}" else None
    return Head(
        label=label,
        target=_address({**asked, "sort": f"-{name}" if down else name, "cursor": ""}),
        sorted=is_sorted,
    )


def _address(asked: Mapping[str, str]) -> str:
    """What is asked for, and nothing else."""
    pairs: Iterable[tuple[str, str]] = [(name, value) for name, value in asked.items() if value]
    return f"{CONSOLE}/items" + (f"?{urlencode(list(pairs))}" if pairs else "")
