"""Shapes that drawings share. A state is told by its shape, and its colour only repeats it. Pure."""

from typing import Final

from markupsafe import Markup

from worker.domain.tracks import Dot
from worker.wording.item_states import Tone

_DOTS: Final = {
    Dot.DONE: '<circle cx="{x}" cy="{y}" r="{r}" class="well"/>',
    Dot.NOW: '<circle cx="{x}" cy="{y}" r="{r}" stroke-width="2" class="hollow s-accent"/>'
    '<circle cx="{x}" cy="{y}" r="{small}" class="accent"/>',
    Dot.WAITS: '<g class="breathes"><circle cx="{x}" cy="{y}" r="{r}" stroke-width="2" '
    'class="hollow s-waits"/><circle cx="{x}" cy="{y}" r="{small}" class="waits"/></g>',
    Dot.FAILED: '<path d="M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}" stroke-width="2.25" '
    'class="s-wrong"/>',
    Dot.STOPPED: '<path d="M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}" stroke-width="2" '
    'class="s-rest"/>',
    Dot.TO_COME: '<circle cx="{x}" cy="{y}" r="{r}" stroke-width="1.5" class="hollow s-rest"/>',
    Dot.PASSED_OVER: '<circle cx="{x}" cy="{y}" r="{small}" class="rest"/>',
}

_STATES: Final = {
    Tone.WELL: '<circle cx="{x}" cy="{y}" r="4.5" class="well"/>',
    Tone.WAITS: '<path d="M{x} {top}L{right} {y}L{x} {bottom}L{left} {y}Z" class="waits"/>',
    Tone.WRONG: '<path d="M{x} {top}L{right} {bottom}L{left} {bottom}Z" class="wrong"/>',
    Tone.REST: '<circle cx="{x}" cy="{y}" r="4" stroke-width="1.5" class="hollow s-rest"/>',
}


def draw_dot(mark: Dot, x: float, y: float, r: float) -> Markup:
    """How a step of a rotation stands."""
    return Markup(_DOTS[mark]).format(  # noqa: S704  # ours, and numbers
        x=f"{x:g}",
        y=f"{y:g}",
        r=f"{r:g}",
        small=f"{r * 0.45:g}",
        left=f"{x - r:g}",
        right=f"{x + r:g}",
        top=f"{y - r:g}",
        bottom=f"{y + r:g}",
    )


def draw_state(state: Tone, x: float, y: float) -> Markup:
    """One of the four states of the console."""
    return Markup(_STATES[state]).format(  # noqa: S704  # as above
        x=f"{x:g}", y=f"{y:g}", left=f"{x - 5:g}", right=f"{x + 5:g}", top=f"{y - 5:g}", bottom=f"{y + 5:g}"
    )


_TAIL: Final = 7


def cut(text: str, most: int) -> str:
    """The text, or its beginning and its end: names that belong together differ at their ends."""
    return text if len(text) <= most else f"{text[: most - 1 - _TAIL]}…{text[-_TAIL:]}"
