"""Policies as people write them, for properties."""

from hypothesis import strategies as st

_LENGTHS = st.sampled_from(["1s", "90s", "3h", "1d", "36h", "5d", "14d", "20d", "30d", "90d", "400d"])
_TEXTS = st.one_of(st.none(), st.text("ab-é \"'\\", min_size=1, max_size=8))
_SETTINGS = st.recursive(
    st.none()
    | st.text(max_size=6)
    | st.integers()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["auto", "approve", "notify"]),
        "rotator": st.sampled_from([None, "random", "http"]),
        "settings": st.dictionaries(st.text(max_size=5), _SETTINGS, max_size=3),
        "lifetime": st.one_of(st.none(), _LENGTHS),
        "lead": _LENGTHS,
        "spread": st.one_of(st.none(), _LENGTHS),
        "overlap": _LENGTHS,
        "idle_after": _LENGTHS,
        "thresholds": st.lists(st.integers(0, 400), min_size=1, max_size=4),
        "windows": st.sampled_from([[], ["0 2 * * 1-5 for 4h in Europe/Zurich"]]),
        "expiry_first": st.booleans(),
        "canary": _TEXTS,
        "four_eyes": st.booleans(),
        "urgent": st.booleans(),
        "answers": st.one_of(st.none(), st.integers(1, 20)),
        "target": _TEXTS,
        "consumers": st.sampled_from(["required", "none"]),
    },
)
"""What a file says of a policy: some parts, each of which can be meant."""
