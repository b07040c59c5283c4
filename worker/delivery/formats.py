"""One source, three forms: Markdown as it is written, HTML for mail, plain text for the rest. Pure."""

import re
import textwrap
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

_PARSER = MarkdownIt("commonmark", {"html": False}).disable(["html_block", "html_inline"])
_PARSER.inline.terminator_re = re.compile(r"[\n!&*<\[\\\]_`]")  # what CommonMark reads; others are extensions'
"""What it knows of a text it keeps for that call alone, so that many threads may use it."""


def to_html(markdown: str) -> str:
    """HTML in which no part of the source is HTML of its own."""
    rendered: str = _PARSER.render(markdown)
    return rendered


def to_text(markdown: str) -> str:
    """Plain text: headings underlined, lists with dashes, commands set in by four blanks."""
    return "\n\n".join(_blocks(_PARSER.parse(markdown))).strip("\n") + "\n"


def _blocks(tokens: Sequence[Token]) -> Iterator[str]:
    """A text for each block; what belongs to a list item is set in behind its dash."""
    depth = 0
    first = False
    heading = False
    for token in tokens:
        if token.type == "list_item_open":
            depth, first = depth + 1, True
        elif token.type == "list_item_close":
            depth -= 1
        elif token.type == "heading_open":
            heading = True
        elif token.type == "inline":
            text = _inline(token)
            if heading:
                underline = ("=" if tokens[tokens.index(token) - 1].tag == "h1" else "-") * len(text)
                yield f"{text}\n{underline}"
                heading = False
                continue
            margin = "  " * depth
            dash = "  " * (depth - 1) + "- " if first else margin
            yield "\n".join((margin if number else dash) + line for number, line in enumerate(text.split("\n")))
            first = False
        elif token.type in ("code_block", "fence"):
            yield textwrap.indent(token.content.rstrip("\n"), "  " * depth + "    ")


def _inline(token: Token) -> str:
    parts = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type == "link_open" and child.info != "auto":  # of such a one, the text is the address
            parts.append(f"{child.attrs['href']} ")
        else:
            parts.append(child.content)
    return "".join(parts)
