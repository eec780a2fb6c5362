"""What changed between two states of a ranking: whoever applies it to the one gets the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.matching.domain import Difference, Parts, RankedSeeker, difference


def seeker(number: int, score: int = 7, waiting: int = 0) -> RankedSeeker:
    return RankedSeeker(f"skr-{number}", score, Parts(score - waiting, 0, 0, 0, 0, 0, waiting))


RANKINGS = st.lists(st.tuples(st.integers(0, 12), st.integers(5, 8), st.integers(0, 1)), unique_by=lambda t: t[0]).map(
    lambda places: [seeker(*place) for place in places]
)


def applied(before: list[RankedSeeker], change: Difference) -> list[RankedSeeker]:
    """What a reader does with a change, who knows nothing but `before`."""
    gone = {*change.left, *(moved.seeker.seeker_id for moved in change.moved)}
    places = {place: seeker for place, seeker in enumerate(before, 1) if seeker.seeker_id not in gone}
    for one in (*change.entered, *change.moved):
        assert one.place not in places, "two at one place"
        places[one.place] = one.seeker
    assert sorted(places) == list(range(1, change.size + 1)), "every place once"
    return [places[place] for place in sorted(places)]


@given(RANKINGS, RANKINGS)
def test_a_change_leads_from_one_ranking_to_the_other(before: list[RankedSeeker], after: list[RankedSeeker]) -> None:
    change = difference(before, after)
    assert applied(before, change) == after
    assert (change == Difference((), (), (), len(after))) == (before == after)
    old = {one.seeker_id: place for place, one in enumerate(before, 1)}
    assert all(one.was is None and one.seeker.seeker_id not in old for one in change.entered)
    assert all(one.was == old[one.seeker.seeker_id] for one in change.moved)


@given(RANKINGS, RANKINGS, RANKINGS)
def test_changes_follow_each_other(one: list[RankedSeeker], two: list[RankedSeeker], three: list[RankedSeeker]) -> None:
    assert applied(applied(one, difference(one, two)), difference(two, three)) == applied(one, difference(one, three))


def test_another_part_at_the_same_score_is_a_change() -> None:
    change = difference([seeker(1), seeker(2)], [seeker(1), seeker(2, 7, 1)])
    assert [(one.place, one.was, one.seeker) for one in change.moved] == [(2, 2, seeker(2, 7, 1))]
    assert (change.entered, change.left) == ((), ())
