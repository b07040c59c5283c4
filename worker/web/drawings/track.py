"""The track of a rotation: its steps as dots on a line, small for a list, large with names and times. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from markupsafe import Markup

from worker.domain.tracks import Dot, Stop
from worker.web.drawings.marks import draw_dot
from worker.wording.tracks import name_step, say_track

_PITCH, _DOT, _HEIGHT = 15, 4, 16
_WIDE_PITCH, _WIDE_HEIGHT = 120, 74
_TALL_PITCH, _TALL_WIDTH = 40, 320
_LARGE_DOT: Final = 7


def draw_small_track(stops: Sequence[Stop]) -> Markup:
    """For a row of a list: dots alone; what they show is its title."""
    width = _PITCH * (len(stops) - 1) + 2 * (_DOT + 2)
    places = [(_DOT + 2 + _PITCH * place, _HEIGHT / 2) for place in range(len(stops))]
    parts = [_draw_line(stops, places), *_draw_dots(stops, places, _DOT)]
    return Markup(
        '<svg class="track" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}"><title>{said}</title>'
        "{parts}</svg>"
    ).format(w=width, h=_HEIGHT, said=say_track(stops), parts=Markup("").join(parts))


def draw_track(stops: Sequence[Stop], name: str, say_time: Callable[[datetime], str]) -> Markup:
    """For a page: each dot with its step and when that ended. `name`: what the drawing is called."""
    width = _WIDE_PITCH * len(stops)
    places = [(_WIDE_PITCH * (place + 0.5), 16.0) for place in range(len(stops))]
    parts = [_draw_line(stops, places), *_draw_dots(stops, places, _LARGE_DOT)]
    for stop, (x, _) in zip(stops, places, strict=True):
        parts.append(
            Markup('<text x="{x}" y="44" text-anchor="middle"{quiet}>{name}</text>').format(
                x=f"{x:g}", name=name_step(stop.step), quiet=_quiet(stop)
            )
        )
        parts.append(
            Markup('<text x="{x}" y="63" text-anchor="middle" class="quiet">{said}</text>').format(
                x=f"{x:g}", said=_say_end(stop, say_time)
            )
        )
    return _frame("wide", width, _WIDE_HEIGHT, stops, name, say_time, parts)


def draw_tall_track(stops: Sequence[Stop], name: str, say_time: Callable[[datetime], str]) -> Markup:
    """The same from top to bottom, for a narrow screen."""
    places = [(12.0, _TALL_PITCH * (place + 0.5)) for place in range(len(stops))]
    parts = [_draw_line(stops, places), *_draw_dots(stops, places, _LARGE_DOT)]
    for stop, (_, y) in zip(stops, places, strict=True):
        parts.append(
            Markup('<text x="32" y="{y}"{quiet}>{name}</text>').format(
                y=f"{y + 5:g}", name=name_step(stop.step), quiet=_quiet(stop)
            )
        )
        parts.append(
            Markup('<text x="150" y="{y}" class="quiet">{said}</text>').format(
                y=f"{y + 5:g}", said=_say_end(stop, say_time)
            )
        )
    return _frame("tall", _TALL_WIDTH, _TALL_PITCH * len(stops), stops, name, say_time, parts)


def _frame(
    kind: str,
    width: int,
    height: int,
    stops: Sequence[Stop],
    name: str,
    say_time: Callable[[datetime], str],
    parts: Sequence[Markup],
) -> Markup:
    each = "; ".join(f"{name_step(one.step)}: {_say_stop(one, say_time)}" for one in stops)
    return Markup(
        '<svg class="drawing track-{kind}" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}" '
        'aria-labelledby="track-{kind}-title track-{kind}-desc">'
        '<title id="track-{kind}-title">{name}: {said}</title><desc id="track-{kind}-desc">{each}</desc>'
        "{parts}</svg>"
    ).format(
        kind=kind, w=width, h=height, name=name, said=say_track(stops), each=each, parts=Markup("").join(parts)
    )


def _draw_line(stops: Sequence[Stop], places: Sequence[tuple[float, float]]) -> Markup:
    """From the first to the last, stronger as far as it has come."""
    reached = sum(stop.mark is not Dot.TO_COME for stop in stops) - 1
    (x, y), (far_x, far_y), (end_x, end_y) = places[0], places[max(reached, 0)], places[-1]
    line = '<path d="M{x} {y}L{to_x} {to_y}" stroke-width="{width}" class="{kind}"/>'
    return Markup("").join(
        Markup(line).format(x=f"{x:g}", y=f"{y:g}", to_x=f"{to_x:g}", to_y=f"{to_y:g}", width=width, kind=kind)  # noqa: S704  # ours
        for to_x, to_y, width, kind in [(end_x, end_y, 1, "line"), (far_x, far_y, 1.5, "strong")]
    )


def _draw_dots(stops: Sequence[Stop], places: Sequence[tuple[float, float]], size: float) -> list[Markup]:
    return [draw_dot(stop.mark, x, y, size) for stop, (x, y) in zip(stops, places, strict=True)]


def _quiet(stop: Stop) -> Markup:
    return Markup("") if stop.mark not in (Dot.TO_COME, Dot.PASSED_OVER) else Markup(' class="quiet"')


def _say_stop(stop: Stop, say_time: Callable[[datetime], str]) -> str:
    when = "" if stop.at is None else f" {say_time(stop.at)}"
    return f"{stop.mark}{when}"


def _say_end(stop: Stop, say_time: Callable[[datetime], str]) -> str:
    """Under its name: when it was done; of any other what it is, which its colour must not tell alone."""
    if stop.mark is Dot.DONE:
        return "done" if stop.at is None else say_time(stop.at)
    return "" if stop.mark is Dot.TO_COME else _say_stop(stop, say_time)
