"""What `nightkey help TOPIC` explains: what several commands share, in words that need no other page."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Topic:
    """`text`: paragraphs, and lines that begin with a blank, which stay as they are. `page` has more."""

    says: str
    text: str
    page: str


TOPICS: Final[dict[str, Topic]] = {
    "values": Topic(
        says="how values come in, and that none comes out",
        text="""
A value is asked for twice, or read from a file or from standard input. It is never an argument,
since others on the machine see those, and no command shows it again.

  nightkey item create prod-crm-token --owner crm --expires-at 90d
  nightkey item update prod-crm-token --value-file new.txt
  pass show crm | nightkey item update prod-crm-token --value-file -

The one exception is a key that Nightkey generates: an item whose name begins with api-key: shows
its key once.
""",
        page="deploy/using.md",
    ),
    "times": Topic(
        says="how times and lengths are written",
        text="""
A length is a number with its unit: s, m, h, d or w.

  90d    14d    36h    2w

A moment is a date, a date with a time, or a length from now. Without a zone it is one of the
setting time_zone, in which times are shown, too.

  2027-01-31    "2027-01-31 18:00"    2027-01-31T18:00Z    30d

When something repeats it is written as cron: minute, hour, day, month, day of the week. A window
has a length behind it.

  "0 2 * * 1-5 for 4h in Europe/Zurich"
""",
        page="deploy/settings.md",
    ),
    "plans": Topic(
        says="what keeps an item from lapsing",
        text="""
Each item has a plan. Its mode says who replaces the value: auto (Nightkey, at night), approve
(Nightkey, once somebody has agreed) or notify (its owner, who is told in time).

  --rotator   what makes the replacement: nightkey rotator list
  --lifetime  how long each new version lives
  --lead      how long before its expiry the item is due
  --overlap   how long the old value works on beside the new one
  --window    when it may be replaced; --freeze: when not
  --canary    the one workflow that gets the new value first

An item that is only told of needs an owner and an expiry, and nothing else.
""",
        page="deploy/rotations.md",
    ),
    "rotations": Topic(
        says="what a rotation does, step by step, and what people decide",
        text="""
A rotation makes a new value, has the other side accept it, tests it with the workflows that use it,
and only then makes it current. The old value works until each of them has had a good run with the
new one; then it is revoked.

  nightkey rotation list                   what is going on
  nightkey rotation show ROTATION          each step, and what it waits for
  nightkey rotation approve ROTATION       yes, where the plan asks for it
  nightkey rotation rollback ROTATION      back to the old value
  nightkey item rotate NAME --compromised  at once, without tests and overlap

A failure has a cause. A rejected value ends the try, and the old one stays. An outage is waited
out. A mistake in what was set waits for a person.
""",
        page="deploy/rotations.md",
    ),
    "nights": Topic(
        says="what happens at night, and how to see it in the morning",
        text="""
Each night, at night_at, everything is scanned: what is due is replaced or asked for, what is stale
or will lapse is told to its owners in one message each, and values are checked where they are used.

  nightkey night list          the last nights
  nightkey night show          the last one, rotation by rotation
  nightkey status              what is wrong now, worst first
  nightkey scan --dry-run      what tonight would do, without doing it

`nightkey up` begins nights by itself; `nightkey night` does one now, in this process.
""",
        page="deploy/running.md",
    ),
    "output": Topic(
        says="forms of an answer, paging, colours, and beginnings of ids",
        text="""
  -o table    as wide as the terminal; the usual one
  -o wide     every column, and whole ids
  -o json     every field for a program, times in UTC; --json is the same
  -o csv      the same as a table for a spreadsheet

A file or a pipe gets whole lines. A long answer on a terminal goes through NIGHTKEY_PAGER, else
PAGER; NIGHTKEY_PAGER= wants none. NO_COLOR takes away the colours, which only repeat a word. In the
place of an id any beginning will do that no other has.
""",
        page="deploy/using.md",
    ),
    "exit-status": Topic(
        says="what the exit status of a command means",
        text="""
  0    done
  1    something failed, is overdue, or is stuck
  2    wrong use or configuration: one line says what, where, and what to do
  3    refused: a role, four eyes, or what still uses it
  130  interrupted

An error is one line on standard error. What was asked for is on standard output, whole, or the
command failed.
""",
        page="deploy/installing.md",
    ),
    "far": Topic(
        says="the same commands against a server on another machine",
        text="""
  export NIGHTKEY_URL=https://nightkey.example.org
  read -rs NIGHTKEY_TOKEN && export NIGHTKEY_TOKEN
  nightkey item list

The token is one of `nightkey principal token NAME`, on the vault's machine. What the commands may
do is what its roles say: nightkey principal roles. On the vault's own machine whoever may read the
keyring may do everything.
""",
        page="deploy/far.md",
    ),
}
