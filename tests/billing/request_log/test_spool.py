"""The folder of segments, seen from the side that takes them."""

import os
import time

from billing.request_log.spool import Segment, Spool


def create_file(spool, name: str, *, age: float = 0.0, content: bytes = b"") -> None:
    spool.mkdir(exist_ok=True)
    (spool / name).write_bytes(content)
    os.utime(spool / name, (time.time() - age,) * 2)


def names(spool) -> set[str]:
    return {path.name for path in spool.iterdir()}


def test_segments_come_oldest_first(spool):
    for age, letter, suffix in ((1, "b", ".sealed"), (3, "c", ".sealed"), (2, "a", ".sealed"), (9, "d", ".live")):
        create_file(spool, letter * 32 + suffix, age=age)
    assert [path.stem[0] for path in Spool(spool).sealed()] == ["c", "a", "b"]


def test_a_segment_that_was_never_begun_is_removed_after_a_minute(spool):
    create_file(spool, f"{'a' * 32}.new", age=10)
    create_file(spool, f"{'b' * 32}.new", age=70)
    assert Spool(spool).adopt() == 0
    assert names(spool) == {f"{'a' * 32}.new"}


def test_a_file_that_disappears_during_a_scan_does_no_harm(spool, monkeypatch):
    remaining = f"{'f' * 32}.live"
    create_file(spool, remaining)
    monkeypatch.setattr(Spool, "_names", lambda self: [*(f"{'0' * 32}{suffix}" for suffix in (".live", ".sealed", ".new")), remaining])
    reader = Spool(spool)
    assert reader.adopt() == 1
    assert reader.sealed() == []
    reader.remove(spool / f"{'0' * 32}.sealed")


def test_a_segment_is_its_id_and_its_lines(spool):
    create_file(spool, f"{'d' * 32}.sealed", content=b'{"a":1}\n{"b":2}\n')
    assert Spool(spool).read(spool / f"{'d' * 32}.sealed") == Segment("d" * 32, [b'{"a":1}', b'{"b":2}'])


def test_reading_a_segment_again_overwrites_its_quarantine_file(spool, caplog):
    reader = Spool(spool)
    for _ in range(2):
        reader.quarantine("e" * 32, [(b"x\xff", "no\nentry"), (b"y", "neither")])
    (path,) = (spool / "quarantine").iterdir()
    assert path.read_bytes() == b"# no entry\nx\xff\n# neither\ny\n"


def test_one_process_holds_a_lock_and_locks_of_other_names_are_independent(spool):
    reader = Spool(spool)
    with reader.claimed() as first, reader.claimed() as second, reader.claimed("shipper") as shipper:
        assert (first, second, shipper) == (True, False, True)
    with reader.claimed(wait=True) as again:
        assert again
