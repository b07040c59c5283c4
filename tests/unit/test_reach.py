"""Who is named to hear something, and reached by nobody's route."""

from worker.domain.reach import Gap, Person, Unreached, find_concerned, find_unreached


def person(name, *, routed=True, deputy=None):
    return Person(name=name, deputy=deputy, routed=routed)


def gaps(*people):
    return [(one.gap, one.name, one.of) for one in find_unreached(people, "operators")]


def test_with_routes_everybody_is_reached():
    assert gaps(person("operators"), person("ann", deputy="bob"), person("bob")) == []


def test_operators_catch_who_has_no_route():
    assert gaps(person("operators"), person("ann", routed=False)) == []


def test_an_operators_setting_that_names_nobody_is_worst():
    assert find_unreached([person("ann")], "operatros") == [Unreached(gap=Gap.NO_OPERATORS, name="operatros")]


def test_operators_without_a_route_catch_nobody():
    assert gaps(
        person("bea", routed=False), person("ann", routed=False), person("operators", routed=False)
    ) == [
        (Gap.OPERATORS_UNROUTED, "operators", None),
        (Gap.UNREACHED, "ann", None),
        (Gap.UNREACHED, "bea", None),
    ]


def test_a_deputy_without_a_route_is_missed_by_whom_they_stand_in_for():
    found = gaps(person("operators"), person("ann", deputy="bob"), person("bob", routed=False))
    assert found == [(Gap.DEPUTY_UNROUTED, "bob", "ann")]


def test_a_deputy_with_a_route_reaches_who_has_none():
    assert gaps(
        person("operators", routed=False), person("ann", routed=False, deputy="bob"), person("bob")
    ) == [(Gap.OPERATORS_UNROUTED, "operators", None)]


def test_of_the_operators_everybody_is_told_and_of_others_whom_it_concerns():
    people = [person("operators", routed=False), person("ann", routed=False), person("eve", deputy="ann")]
    found = find_unreached(people, "operators")
    assert find_concerned(found, None) == found
    assert [one.gap for one in find_concerned(found, {"bob"})] == [Gap.OPERATORS_UNROUTED]
    assert [(one.gap, one.of) for one in find_concerned(found, {"eve"})][1:] == [(Gap.DEPUTY_UNROUTED, "eve")]
