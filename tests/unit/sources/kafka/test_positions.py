"""Where to go on, and what was lost: every event of the broker is read once, or its loss is reported."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lakewarden.sources.kafka.positions import Identity, Watermarks, resume

HERE = Identity("cluster", "transactions-stream", "id-1")
ANEW = Identity("cluster", "transactions-stream", "id-2")
NO_ID = Identity("cluster", "transactions-stream", "")


def marks(**partitions: tuple[int, int]) -> dict[int, Watermarks]:
    return {int(name[1:]): Watermarks(*found) for name, found in partitions.items()}


def test_a_topic_never_read_begins_where_the_user_says():
    found = resume(HERE, {}, marks(p0=(5, 9), p1=(0, 4)), {0: 9, 1: 0})
    assert (found.name, found.next, found.begun, found.gaps) == (HERE.name, {0: 9, 1: 0}, {"0": 8, "1": -1}, ())


def test_after_that_bronze_says():
    found = resume(HERE, {HERE.name: {"0": 6, "1": 3}}, marks(p0=(5, 9), p1=(0, 4)), {})
    assert (found.next, found.begun, found.gaps) == ({0: 7, 1: 4}, {}, ())


def test_another_topic_whose_name_begins_alike_is_another_topic():
    other = Identity("cluster", "transactions-stream-2", "id-9")
    found = resume(HERE, {other.name: {"0": 6}}, marks(p0=(0, 9)), {0: 0})
    assert (found.next, found.gaps) == ({0: 0}, ())


def test_events_that_expired_before_they_were_read_are_a_gap():
    found = resume(HERE, {HERE.name: {"0": 6}}, marks(p0=(10, 12)), {})
    assert found.next == {0: 10}
    [gap] = found.gaps
    assert (gap.kind, gap.partition, gap.first, gap.last, gap.lost) == ("retention", "0", 7, 9, 3)


def test_a_new_partition_is_read_from_its_first_event():
    found = resume(HERE, {HERE.name: {"0": 6}}, marks(p0=(0, 9), p1=(2, 5)), {})
    assert (found.next, found.begun) == ({0: 7, 1: 2}, {"1": -1})
    [gap] = found.gaps
    assert (gap.partition, gap.first, gap.last) == ("1", 0, 1)


def test_a_topic_made_anew_is_read_from_its_first_event_and_reported_though_its_offsets_look_right():
    found = resume(ANEW, {HERE.name: {"0": 6, "1": 3}}, marks(p0=(0, 90), p1=(0, 70)), {})
    assert (found.name, found.next, found.begun) == (ANEW.name, {0: 0, 1: 0}, {"0": -1, "1": -1})
    assert [(g.kind, g.source, g.partition, g.first, g.last) for g in found.gaps] == [
        ("recreated", HERE.name, "0", 7, None),
        ("recreated", HERE.name, "1", 4, None),
    ]
    again = resume(ANEW, {HERE.name: {"0": 6, "1": 3}, ANEW.name: {"0": -1, "1": 12}}, marks(p0=(0, 90), p1=(0, 70)), {})
    assert (again.next, again.gaps) == ({0: 0, 1: 13}, ())


def test_a_log_that_ends_before_what_was_read_is_read_again_under_another_name():
    found = resume(HERE, {HERE.name: {"0": 6, "1": 3}}, marks(p0=(0, 5), p1=(0, 4)), {})
    assert (found.name, found.next, found.begun) == (f"{HERE.name}~2", {0: 0, 1: 4}, {"0": -1, "1": 3})
    assert [(g.kind, g.source, g.partition, g.first, g.last) for g in found.gaps] == [("rewound", HERE.name, "0", 5, None)]
    recorded = {HERE.name: {"0": 6, "1": 3}, found.name: {"0": 4, "1": 3}}
    later = resume(HERE, recorded, marks(p0=(0, 5), p1=(0, 4)), {})
    assert (later.name, later.next, later.gaps) == (found.name, {0: 5, 1: 4}, ())
    third = resume(HERE, recorded, marks(p0=(0, 2), p1=(0, 4)), {})
    assert (third.name, third.gaps[0].source) == (f"{HERE.name}~3", found.name)


def test_without_ids_of_topics_all_partitions_are_read_again():
    found = resume(NO_ID, {NO_ID.name: {"0": 6, "1": 3}}, marks(p0=(0, 5), p1=(0, 90)), {})
    assert (found.name, found.next) == (f"{NO_ID.name}~2", {0: 0, 1: 0})


partitions = st.integers(0, 5)
ranges = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: Watermarks(pair[0], pair[0] + pair[1]))


@given(st.dictionaries(partitions, ranges, min_size=1), st.dictionaries(partitions.map(str), st.integers(-1, 120)))
def test_what_is_skipped_is_reported_and_nothing_else(watermarks, recorded):
    found = resume(HERE, {HERE.name: recorded} if recorded else {}, watermarks, {p: m.low for p, m in watermarks.items()})
    skipped = {}
    for partition, there in watermarks.items():
        begin = found.next[partition]
        assert there.low <= begin <= there.end
        taken = recorded.get(str(partition), -1)
        if recorded and taken + 1 <= there.end:
            skipped |= {partition: (taken + 1, begin - 1)} if begin > taken + 1 else {}
            assert begin >= taken + 1 or found.name != HERE.name
    told = {int(g.partition): (g.first, g.last) for g in found.gaps if g.kind == "retention"}
    assert told == skipped
    rewound = {p for p, m in watermarks.items() if recorded and recorded.get(str(p), -1) + 1 > m.end}
    assert {int(g.partition) for g in found.gaps if g.kind == "rewound"} == rewound
    assert (found.name == HERE.name) == (not rewound)


@given(st.dictionaries(partitions, ranges, min_size=1), st.dictionaries(partitions.map(str), st.integers(-1, 120)))
def test_going_on_twice_is_going_on_once(watermarks, recorded):
    """A stream killed behind the recording of a beginning goes on at the same place, and nothing is reported a second time as lost."""
    start = {p: m.low for p, m in watermarks.items()}
    before = {HERE.name: recorded} if recorded else {}
    once = resume(HERE, before, watermarks, start)
    known = {**before, once.name: {**once.begun, **before.get(once.name, {})}}
    twice = resume(HERE, known, watermarks, start)
    assert (twice.name, twice.next) == (once.name, once.next)
