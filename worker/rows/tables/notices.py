"""Notices and where they go, heartbeats included."""

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Named,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypedColumns,
    false,
)

from vaultcore.tables import UtcDateTime, metadata
from worker.domain.states import Beat, BeatState, DeliveryState


class HeartbeatColumns(TypedColumns):
    slot: Named[datetime] = Column(UtcDateTime)
    beat: Named[str] = Column(String(10), info={"one_of": Beat})
    text: Named[str] = Column(Text)
    state: Named[str] = Column(String(10), info={"one_of": BeatState})
    attempts: Named[int] = Column(Integer)
    next_at: Named[datetime | None] = Column(UtcDateTime)
    last_error: Named[str | None] = Column(Text)
    posted_at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


heartbeats = Table(
    "heartbeats",
    metadata,
    HeartbeatColumns,
    PrimaryKeyConstraint("slot", "beat"),
    info={"decides": ("text", "state", "posted_at"), "generation": 2},
)
"""What is said of each night to whoever would notice if nothing were said."""


class NoticeColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    dedupe_key: Named[str] = Column(String(200), unique=True)
    owner_id: Named[str] = Column(String(40))
    owner: Named[str] = Column(String(100))
    kind: Named[str] = Column(String(20))
    subject: Named[str] = Column(Text)
    body: Named[str | None] = Column(Text)
    night: Named[datetime | None] = Column(UtcDateTime)
    urgent: Named[bool] = Column(Boolean, server_default=false())
    about: Named[str | None] = Column(String(40))
    routed: Named[bool] = Column(Boolean, server_default=false())
    pickup_id: Named[str | None] = Column(String(40), info={"digested_as": "claim_id"})
    created_at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


notices = Table(
    "notices",
    metadata,
    NoticeColumns,
    info={
        "decides": (
            "dedupe_key",
            "owner_id",
            "owner",
            "kind",
            "subject",
            "body",
            "night",
            "urgent",
            "about",
            "pickup_id",
        ),
        "generation": 2,
    },
)
"""One message to one owner, in Markdown. The digest of a `night` has no body until it leaves, so that it says
how things stand then. `about` is what it asks for: when that is resolved, the notice is withdrawn. `routed`: it
has its deliveries, or needs none."""


class DeliveryColumns(TypedColumns):
    notice_id: Named[str] = Column(String(40), ForeignKey("notices.id"))
    route_id: Named[str] = Column(String(40))
    recipient: Named[str] = Column(String(320), server_default="", info={"may_be_empty": True})
    shown: Named[str] = Column(Text)
    stands_in: Named[bool] = Column(Boolean, server_default=false())
    state: Named[str] = Column(String(10), info={"one_of": DeliveryState})
    attempts: Named[int] = Column(BigInteger)
    last_error: Named[str | None] = Column(Text)
    next_at: Named[datetime | None] = Column(UtcDateTime)
    tried_at: Named[datetime | None] = Column(UtcDateTime)
    sent_at: Named[datetime | None] = Column(UtcDateTime)
    parts_taken: Named[int] = Column(Integer, server_default="0")
    draft: Named[dict[str, str] | None] = Column(JSON(none_as_null=True))
    mac: Named[bytes | None] = Column(LargeBinary(32))


deliveries = Table(
    "deliveries",
    metadata,
    DeliveryColumns,
    PrimaryKeyConstraint("notice_id", "route_id", "recipient"),
    info={"decides": ("stands_in", "state", "draft"), "generation": 2},
)
"""The outbox proper: one row per notice and recipient of a route, tried by itself. `next_at` is also its lease.
`recipient` is empty where the route leads to one place, or nobody has looked yet whom it leads to. `stands_in`:
the route of a deputy or the operators, for an owner whom none of their own has reached. Of a message that is
too long for its service, the first `parts_taken` parts were taken, cut from the text that `draft` keeps."""
