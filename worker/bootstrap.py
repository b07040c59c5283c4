"""The one place that wires the services: a property for each room of `worker.services`.

Each room has a builder, in its `room.py`. It is called here when its room is first asked for: a command waits
for no room that it does not enter. What is asked for without the rest of its room has a property of its own:
`overview`, `scans`, `row_verification`.
"""

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from worker.open_vault import Clock as Clock  # noqa: PLC0414  # who makes services names their clock
from worker.open_vault import OpenVault
from worker.open_vault import utc_now as utc_now  # noqa: PLC0414  # as above

if TYPE_CHECKING:
    from worker.services.access.room import Access
    from worker.services.bulk.room import Bulk
    from worker.services.core import WaysOut
    from worker.services.items.room import ItemsRoom
    from worker.services.lookup.room import Lookup
    from worker.services.night.overview import Overview
    from worker.services.night.room import NightRoom
    from worker.services.night.scans import Scans
    from worker.services.notices.room import Notices
    from worker.services.rotation.pickups import Pickups
    from worker.services.rotation.room import RotationRoom
    from worker.services.runs.room import RunsRoom
    from worker.services.upkeep.room import Upkeep
    from worker.services.upkeep.row_verification import RowVerification

_CODE = (
    "access.identities",
    "access.identity_provider",
    "bulk.room",
    "night.room",
    "night.scans",
    "upkeep.pace",
)
"""What brings the code of every room, each beside what it stands on."""


class Services(OpenVault):
    """Everything, made when it is first asked for. One per process."""

    @staticmethod
    def load() -> None:
        """The code of every room, for a process that stays: a release that is put in its place while it runs is
        then not mixed with it.
        """
        for name in _CODE:
            import_module(f"worker.services.{name}")

    @cached_property
    def ways_out(self) -> "WaysOut":
        from worker.outbound import HttpClient, Network
        from worker.services.core import WaysOut
        from worker.services.upkeep.pace import SharedPace

        settings, clock, database = self.settings, self.clock, self.database
        network = Network(settings.guard, ca_file=settings.outbound_ca)
        http = HttpClient(
            network,
            timeout=settings.http_timeout_seconds,
            max_bytes=settings.http_max_bytes,
            redirects=settings.outbound_redirects,
            proxy=settings.outbound_proxy,
            pace=SharedPace(database=lambda: database, clock=clock),
            clock=clock,
        )
        return WaysOut(network=network, http=http)

    @cached_property
    def upkeep(self) -> "Upkeep":
        from worker.services.upkeep.room import build_upkeep

        return build_upkeep(self.core, anchors=self.anchors, row_verification=self.row_verification)

    @cached_property
    def row_verification(self) -> "RowVerification":
        from vaultcore.row_checks import RowChecks
        from worker.services.upkeep.row_verification import RowVerification

        return RowVerification(
            database=self.database,
            checks=RowChecks(versions=self.versions, owners=self.owners),
            macs=self.row_macs,
            audit=self.audit,
            budget=self.settings.rows_checked,
            clock=self.clock,
        )

    @cached_property
    def overview(self) -> "Overview":
        from worker.services.night.overview import build_overview

        return build_overview(self.core, upkeep=self.upkeep)

    @cached_property
    def notices(self) -> "Notices":
        from worker.services.notices.room import build_notices

        return build_notices(self.core, self.upkeep, self.ways_out)

    @cached_property
    def runs(self) -> "RunsRoom":
        from worker.services.runs.room import build_runs

        return build_runs(self.core, self.ways_out, pickups=self._pickups)

    @cached_property
    def rotation(self) -> "RotationRoom":
        from worker.services.rotation.room import build_rotation

        return build_rotation(
            self.core,
            self.ways_out,
            upkeep=self.upkeep,
            notices=self.notices,
            runs=self.runs,
            pickups=self._pickups,
        )

    @cached_property
    def night(self) -> "NightRoom":
        from worker.services.night.room import build_night

        return build_night(
            self.core,
            upkeep=self.upkeep,
            overview=self.overview,
            scans=self.scans,
            notices=self.notices,
            runs=self.runs,
            rotation=self.rotation,
        )

    @cached_property
    def scans(self) -> "Scans":
        from worker.services.night.scans import Scans

        settings = self.settings
        return Scans(
            database=self.database,
            references=self.references,
            row_verification=self.row_verification,
            caps=settings.caps,
            freezes=settings.freeze_windows,
            page_size=settings.page_size,
            clock=self.clock,
        )

    @cached_property
    def items(self) -> "ItemsRoom":
        from worker.services.items.room import build_items

        return build_items(self.core, rotation=self.rotation)

    @cached_property
    def lookup(self) -> "Lookup":
        from worker.services.lookup.room import build_lookup

        return build_lookup(self.core)

    @cached_property
    def access(self) -> "Access":
        from worker.services.access.room import build_access

        return build_access(self.core, self.ways_out, items=self.items, runs=self.runs)

    @cached_property
    def bulk(self) -> "Bulk":
        from worker.services.bulk.room import build_bulk

        return build_bulk(
            self.core,
            items=self.items,
            rotation=self.rotation,
            notices=self.notices,
            access=self.access,
            lookup=self.lookup,
        )

    @cached_property
    def _pickups(self) -> "Pickups":
        from worker.services.rotation.room import build_pickups

        return build_pickups(self.core, self.notices)
