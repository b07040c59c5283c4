"""What stands in the database: a field of a row that somebody else wrote, looked at by who lists and plans."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from nightkey_demo.http_sink import HttpSink
from tests.conftest import Clock
from tests.fuzz.mutating import SEEDS, texts
from tests.fuzz.surfaces import Surface
from tests.services.damaged import NULL, Damage, damaged, every_damage, make_vault, open_vault
from vaultcore.tables import metadata
from worker.bootstrap import Services

_COLUMNS = [(table.name, column.name) for table in metadata.sorted_tables for column in table.columns]
_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.just(NULL),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=200),
    texts(**SEEDS["rows"]).map(lambda text: text.encode("utf-8", "replace").decode()),
)


@contextmanager
def open_rows(folder: Path) -> Iterator[Surface]:
    """One vault for all inputs: each field is put right again before the next."""
    clock = Clock()
    with HttpSink() as sink:
        url = sink.url.removeprefix("http://")
        make_vault(folder, clock, url)
        services = open_vault(folder, clock, url)
        arbitrary = st.builds(
            lambda place, value: Damage(place[0], place[1], value, "fuzzed"), st.sampled_from(_COLUMNS), _VALUES
        )
        try:
            yield Surface(
                inputs=arbitrary | st.sampled_from(list(every_damage())),
                take=lambda damage: _look(services, folder / "nightkey.db", damage),
            )
        finally:
            services.close()


def _look(services: Services, file: Path, damage: Damage) -> object:
    with damaged(file, damage) as is_done:
        if not is_done:
            return None
        services.check()
        return services.overview.status.read(), services.night.nights.preview(services.clock())
