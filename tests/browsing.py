"""A browser without script: follows links, fills forms in, keeps cookies. For tests of the console."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from tests.ingress import Front
from worker.bootstrap import Services


@dataclass
class Form:
    """A form as it stands in a page: where it goes, and what its fields hold."""

    action: str
    method: str = "get"
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)


@dataclass
class Page:
    """What a browser was shown. `text` is what a person reads of it, blanks joined."""

    status: int
    url: str
    headers: Mapping[str, str]
    source: str
    text: str
    title: str
    forms: list[Form]
    links: dict[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.url).path


class Browser:
    def __init__(self, front: Front) -> None:
        each_alone = {"Connection": "close"}  # nothing is left open when a test forgets it
        self.client = httpx.Client(base_url=front.url, follow_redirects=True, timeout=120, headers=each_alone)

    def sign_in(self, services: Services, name: str | None = None) -> Page:
        """By a one-time link, as a principal, or as whoever may read the keyring."""
        token = services.access.sign_ins.make_link(name, actor="user:test")
        return self.open(f"/console/link/{token.expose()}")

    def open(self, path: str, **headers: str) -> Page:
        return _read(
            self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        )

    def press(self, page: Page, button: str, **filled: Any) -> Page:
        """Sends the one form of the page that has this button, with what was filled in."""
        found = [form for form in page.forms if button in form.buttons]
        assert len(found) == 1, (button, [form.buttons for form in page.forms])
        (form,) = found
        sent = [(name, value) for name, value in form.fields if name not in filled]
        for name, value in filled.items():
            sent += [(name, one) for one in (value if isinstance(value, list) else [value])]
        target = urljoin(page.url, form.action)
        if form.method == "get":
            return _read(self.client.get(target, params=urlencode(sent)))
        body = urlencode(sent)
        form_type = {"Content-Type": "application/x-www-form-urlencoded"}
        return _read(self.client.post(target, content=body, headers=form_type))

    def follow(self, page: Page, link: str) -> Page:
        return self.open(page.links[link])


def _read(response: httpx.Response) -> Page:
    parser = _Parser()
    parser.feed(response.text)
    return Page(
        status=response.status_code,
        url=str(response.url),
        headers=response.headers,
        source=response.text,
        text=" ".join(" ".join(parser.words).split()),
        title=parser.title,
        forms=parser.forms,
        links={
            name: urljoin(str(response.url), target).removeprefix(
                str(response.url.copy_with(raw_path=b"/"))[:-1]
            )
            for name, target in parser.links.items()
        },
    )


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.title = ""
        self._within: list[str] = []
        self._form: Form | None = None
        self._link: str | None = None
        self._button = False
        self._said = ""
        self._select: str | None = None
        self._area: str | None = None
        self._written = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag in ("script", "style") or (tag == "title" and not self.title):  # a drawing has its own
            self._within.append(tag)
        if tag == "form":
            self._form = Form(named.get("action", ""), named.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag == "a":
            self._link, self._said = named.get("href", ""), ""
        elif tag == "button":
            self._button, self._said = True, ""
        elif self._form is not None and tag == "input" and "name" in named:
            kind = named.get("type", "text")
            if kind not in ("checkbox", "radio") or "checked" in named:
                self._form.fields.append(
                    (named["name"], named.get("value", "on" if kind == "checkbox" else ""))
                )
        elif self._form is not None and tag == "textarea":
            self._area, self._written = named["name"], ""
        elif self._form is not None and tag == "select":
            self._select = named["name"]
        elif self._form is not None and tag == "option" and self._select and "selected" in named:
            self._form.fields.append((self._select, named.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if self._within and tag == self._within[-1]:
            self._within.pop()
        said = " ".join(self._said.split())
        if tag == "form":
            self._form = None
        elif tag == "a" and self._link is not None:
            self.links.setdefault(said, self._link)
            self._link = None
        elif tag == "button" and self._button:
            if self._form is not None:
                self._form.buttons.append(said)
            self._button = False
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and self._area is not None:
            if self._form is not None:
                self._form.fields.append((self._area, self._written))
            self._area = None

    def handle_data(self, data: str) -> None:
        self._said += data
        if self._area is not None:
            self._written += data
        if not self._within:
            self.words.append(data)
        elif self._within[-1] == "title":
            self.title += data
