"""The values of an item on a line of time: since when each was in use, where two worked beside each other, and
when the present one lapses.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from markupsafe import Markup

from vaultcore.model import Stage, Version
from worker.wording.item_states import Tone
from worker.wording.versions import overlap_of_version, say_version

SHOWN: Final = 6
"""So many are drawn, the newest; a list beside the drawing has them all."""
_WIDTH, _LEFT, _RIGHT = 880, 84, 96
_ROW, _BAR, _TOP = 32, 14, 26
_LEAST: Final = 3
"""Pixels of the shortest span: it is seen at all."""
_FILLS: Final = {
    Stage.CURRENT: Tone.WELL,
    Stage.PREVIOUS: Tone.REST,
    Stage.PENDING: Tone.WAITS,
    Stage.DESTROYED: f"{Tone.REST} faint",
}


@dataclass(frozen=True, kw_only=True)
class _TimeScale:
    start: datetime
    end: datetime

    def at(self, moment: datetime) -> float:
        share = (moment - self.start) / (self.end - self.start)
        return round(_LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT), 1)


def draw_versions(
    versions: Sequence[Version], *, now: datetime, overlap: timedelta, zone: tzinfo
) -> Markup | None:
    """None: there is no value to be drawn. `overlap`: how long an old one works on by the policy."""
    shown = sorted(
        (one for one in versions if one.filled or one.activated_at is not None), key=lambda one: one.number
    )[-SHOWN:]
    if not shown:
        return None
    scale = _scale(shown, now, overlap)
    height = _TOP + _ROW * len(shown) + 24
    rows = Markup("").join(
        _row(one, _TOP + _ROW * number, scale, now=now, overlap=overlap, zone=zone)
        for number, one in enumerate(shown)
    )
    said = " ".join(say_version(one, overlap=overlap, zone=zone) for one in reversed(shown))
    return Markup(
        '<svg class="drawing versions" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-labelledby="versions-title versions-text">'
        '<title id="versions-title">Versions over time</title><desc id="versions-text">{said}</desc>'
        '<defs><pattern id="beside" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><line x1="1" y1="0" x2="1" y2="6" class="s-rest" stroke-width="2"/>'
        "</pattern></defs>{now}{rows}{axis}</svg>"
    ).format(
        w=_WIDTH, h=height, said=said, rows=rows, now=_now(scale, now, height), axis=_axis(scale, height, zone)
    )


def _scale(versions: Iterable[Version], now: datetime, overlap: timedelta) -> _TimeScale:
    """From the first of them to the last expiry: at least a day, so that there is something to see."""
    starts = [now, *(_start(one) for one in versions)]
    ends = [now]
    for one in versions:
        beside = overlap_of_version(one, overlap=overlap)
        lapses = None if one.stage is Stage.DESTROYED else one.expires_at
        ends += [end for end in (lapses, beside and beside[1]) if end is not None]
    start, end = min(starts), max(ends)
    room = max((end - start) * 0.04, timedelta(hours=12))
    return _TimeScale(start=start, end=end + room)


def _start(version: Version) -> datetime:
    return version.activated_at or version.created_at


def _row(
    version: Version, top: int, scale: _TimeScale, *, now: datetime, overlap: timedelta, zone: tzinfo
) -> Markup:
    """Its number, a bar for the time in which it was current, hatched where it worked beside the next one."""
    middle = top + _ROW // 2
    bar = top + (_ROW - _BAR) // 2
    ends = version.superseded_at or version.destroyed_at or version.expires_at or scale.end
    parts = [
        Markup('<text x="0" y="{y}" class="{c}">Version {n}</text>').format(
            y=middle + 5, n=version.number, c="quiet" if version.stage is Stage.DESTROYED else "strong-text"
        ),
        _bar(scale.at(_start(version)), scale.at(ends), bar, _fill(version, now)),
    ]
    beside = overlap_of_version(version, overlap=overlap)
    if beside is not None:
        parts.append(_hatch(scale.at(beside[0]), scale.at(beside[1]), bar))
    if version.stage is not Stage.DESTROYED and version.expires_at is not None:
        parts.append(_expiry(version.expires_at, scale, middle, now=now, zone=zone))
    elif version.expires_at is None and version.stage is Stage.CURRENT:
        parts.append(
            Markup('<text x="{x}" y="{y}" class="quiet">never lapses</text>').format(
                x=_WIDTH - _RIGHT + 8, y=middle + 5
            )
        )
    says = Markup("<title>{}</title>").format(say_version(version, overlap=overlap, zone=zone))
    return Markup("<g>{}{}</g>").format(says, Markup("").join(parts))


def _fill(version: Version, now: datetime) -> str:
    lapsed = version.stage is Stage.CURRENT and version.expires_at is not None and version.expires_at <= now
    return Tone.WRONG if lapsed else _FILLS[version.stage]


def _bar(left: float, right: float, top: int, fill: str) -> Markup:
    return Markup('<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="3" class="{f}"/>').format(
        x=left, y=top, w=max(round(right - left, 1), _LEAST), h=_BAR, f=fill
    )


def _hatch(left: float, right: float, top: int) -> Markup:
    return Markup(
        '<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="url(#beside)" class="s-rest" stroke-width="1"/>'
    ).format(x=left, y=top, w=max(round(right - left, 1), _LEAST), h=_BAR)


def _expiry(moment: datetime, scale: _TimeScale, middle: int, *, now: datetime, zone: tzinfo) -> Markup:
    """A stroke across the bar, and its day: in red once it is over."""
    over = moment <= now
    return Markup(
        '<line x1="{x}" y1="{a}" x2="{x}" y2="{b}" class="{s}" stroke-width="2.5"/>'
        '<text x="{t}" y="{y}" class="{c}">{day}</text>'
    ).format(
        x=scale.at(moment),
        a=middle - 12,
        b=middle + 12,
        s="s-wrong" if over else "s-waits",
        t=round(scale.at(moment) + 6, 1),
        y=middle + 5,
        c="wrong" if over else "quiet",
        day=f"{moment.astimezone(zone):%Y-%m-%d}",
    )


def _now(scale: _TimeScale, now: datetime, height: int) -> Markup:
    return Markup(
        '<line x1="{x}" y1="18" x2="{x}" y2="{b}" class="strong" stroke-width="1" stroke-dasharray="3 3"/>'
        '<text x="{x}" y="12" text-anchor="middle" class="quiet">now</text>'
    ).format(x=scale.at(now), b=height - 20)


def _axis(scale: _TimeScale, height: int, zone: tzinfo) -> Markup:
    return Markup(
        '<line x1="{a}" y1="{y}" x2="{b}" y2="{y}" class="line"/>'
        '<text x="{a}" y="{t}" class="quiet">{first}</text>'
    ).format(
        a=_LEFT,
        b=_WIDTH - _RIGHT,
        y=height - 20,
        t=height - 5,
        first=f"{scale.start.astimezone(zone):%Y-%m-%d}",
    )
