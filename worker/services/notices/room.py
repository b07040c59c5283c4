"""The room of notices: who hears, what is set down, and how it leaves."""

from dataclasses import dataclass
from datetime import timedelta

from worker.delivery.late_sender import LateSender
from worker.delivery.letters import Letters
from worker.outbound import HttpClient
from worker.services.core import Core, WaysOut
from worker.services.notices.address_book import AddressBook
from worker.services.notices.delivery import Delivery
from worker.services.notices.digests import Digests
from worker.services.notices.foreign_messages import ForeignMessages
from worker.services.notices.heartbeat import Heartbeat
from worker.services.notices.outbox import Outbox
from worker.services.notices.pickup_reminders import PickupReminders
from worker.services.notices.recipients import Recipients
from worker.services.notices.retries import Retries
from worker.services.notices.route_test import RouteTest
from worker.services.notices.send_pool import SendPool
from worker.services.notices.wording import Wording
from worker.services.upkeep.room import Upkeep


@dataclass(frozen=True, kw_only=True)
class Notices:
    letters: Letters
    wording: Wording
    sender: LateSender
    address_book: AddressBook
    recipients: Recipients
    outbox: Outbox
    digests: Digests
    delivery: Delivery
    pickup_reminders: PickupReminders
    heartbeat: Heartbeat
    route_test: RouteTest
    foreign_messages: ForeignMessages


def build_notices(core: Core, upkeep: Upkeep, ways_out: WaysOut) -> Notices:
    database, owners, clock, settings = core.database, core.owners, core.clock, core.settings
    console = f"{settings.console_url}/console" if settings.console_url else ""
    letters = Letters(settings.templates_path, console=console)
    wording = Wording(letters=letters, clock=clock)
    http = HttpClient(
        ways_out.network,
        max_bytes=settings.http_max_bytes,
        redirects=0,
        proxy=settings.outbound_proxy,
        may_repeat=True,
    )
    sender = LateSender(ways_out.network, http)
    recipients = Recipients(owners=owners, operators=settings.operators)
    outbox = Outbox(recipients=recipients, wording=wording, clock=clock)
    digests = Digests(recipients=recipients, outbox=outbox, wording=wording, clock=clock)
    delivery = Delivery(
        database=database,
        owners=owners,
        keyring=core.keyring,
        recipients=recipients,
        outbox=outbox,
        digests=digests,
        wording=wording,
        send_pool=SendPool(
            sender, threads=settings.delivery_threads, deadline=settings.delivery_timeout_seconds
        ),
        row_verification=upkeep.row_verification,
        retries=Retries(
            recipients=recipients,
            outbox=outbox,
            pause=timedelta(seconds=settings.delivery_retry_seconds),
            tries=settings.delivery_tries,
            clock=clock,
        ),
        clock=clock,
    )
    return Notices(
        letters=letters,
        wording=wording,
        sender=sender,
        address_book=AddressBook(
            audit=core.audit, database=database, owners=owners, sender=sender, schemes=settings.route_schemes
        ),
        recipients=recipients,
        outbox=outbox,
        digests=digests,
        delivery=delivery,
        pickup_reminders=PickupReminders(database=database, outbox=outbox, clock=clock),
        heartbeat=Heartbeat(
            database=database,
            http=ways_out.http,
            row_verification=upkeep.row_verification,
            url=settings.heartbeat,
            clock=clock,
        ),
        route_test=RouteTest(database=database, owners=owners, letters=letters, sender=sender),
        foreign_messages=ForeignMessages(database=database, outbox=outbox, clock=clock),
    )
