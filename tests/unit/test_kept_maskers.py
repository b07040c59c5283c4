"""Maskers that are kept while a rotation is driven: the same ones, and of no other values."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from vaultcore.secret import Secret
from worker.workflows.kept_maskers import find_masker, maskers_kept

OLD, NEW = "an-old-value-of-an-item", "the-new-value-of-an-item"


def test_a_masker_of_the_same_values_is_made_once_and_hides_these_alone():
    with maskers_kept():
        of_both = find_masker([Secret(OLD), Secret(NEW)])
        assert find_masker(map(Secret, (NEW, OLD, NEW))) is of_both
        of_old = find_masker([Secret(OLD)])
        assert of_both.mask(f"{OLD} {NEW}") == "[masked] [masked]"
        assert of_old.mask(f"{OLD} {NEW}") == f"[masked] {NEW}"
    assert find_masker([Secret(OLD)]) is not of_old, "none is kept when the rotation has been driven"


def test_what_a_branch_learns_its_masker_does_not():
    with maskers_kept():
        branch = find_masker([Secret(OLD)]).branch()
        branch.hide(Secret(NEW))
        assert branch.mask(NEW) == "[masked]"
        assert find_masker([Secret(OLD)]).mask(NEW) == NEW


def test_two_rotations_have_none_in_common():
    with maskers_kept():
        outer = find_masker([Secret(OLD)])
        with maskers_kept():
            assert find_masker([Secret(OLD)]) is not outer
        assert find_masker([Secret(OLD)]) is outer


def test_threads_of_one_rotation_search_with_the_same_one():
    def search(number: int) -> str:
        return find_masker([Secret(OLD), Secret(NEW)]).mask(f"{number}: {NEW[::-1]}, {OLD.upper()}, {OLD}")

    with maskers_kept(), ThreadPoolExecutor(8) as pool:
        found = [pool.submit(copy_context().run, search, number).result() for number in range(64)]
    assert found == ["[masked]"] * 64
