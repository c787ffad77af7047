from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.longest import Longest


@given(st.lists(st.integers(0, 9)), st.data())
def test_the_longest_is_one_of_those_that_are_still_in(
    added: list[int], data: st.DataObject
) -> None:
    longest = Longest()
    for length in added:
        longest.add(length)
    gone = data.draw(st.integers(0, len(added)))
    for length in data.draw(st.permutations(added))[:gone]:
        longest.remove(length)
        added.remove(length)
    for length in range(11):
        assert longest.beside(length) == max([length, *added])
