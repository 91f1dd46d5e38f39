"""What was seen of texts is known again, takes disk rather than memory, and leaves nothing behind."""

import random
import tracemalloc

import numpy as np
import pytest
from rensa import RMinHash, RMinHashDeduplicator

from clinx.errors import InputError
from clinx.pretraining import seen as seen_module
from clinx.pretraining.seen import BANDS, SeenTexts


def random_sketches(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**32, (n, 128), np.uint32)


@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.9])
def test_it_agrees_with_a_deduplicator_in_memory(tmp_path, threshold):
    rng = random.Random(0)
    originals = [rng.sample(range(10**6), 100) for _ in range(60)]
    copies = [[*text[n:], *rng.sample(range(10**6), n)] for text in originals for n in (0, 2, 5, 8, 11, 15, 20, 30)]
    in_memory, answers = RMinHashDeduplicator(threshold, 128, True, BANDS, 42), []
    with SeenTexts.opened(tmp_path / "seen.sqlite") as seen:
        for number, shingles in enumerate([*originals, *rng.sample(copies, len(copies))]):
            sketch = RMinHash(128, 42)
            sketch.update(map(str, shingles))
            answers.append(seen.add_sketch(np.array(sketch.digest(), np.uint32), threshold))
            assert answers[-1] == in_memory.add(str(number), sketch)
    assert all(answers[:60]) and 60 < sum(answers[60:]) < 420


def test_sketches_without_a_common_band_are_not_compared():
    seen, sketch = SeenTexts(), random_sketches(1)[0]
    other = sketch.copy()
    other[::8] += 1  # one of each band
    assert seen.add_sketch(sketch, 0.1) and seen.add_sketch(other, 0.1)
    other[0] -= 1
    assert not seen.add_sketch(other, 0.8)


def test_one_near_text_is_found_among_many_that_are_not():
    seen, sketch = SeenTexts(), random_sketches(1)[0]
    others = random_sketches(1000)
    others[:, :8] = sketch[:8]  # a band in common, and nothing else
    assert all(seen.add_sketch(other, 0.5) for other in others[1:])
    assert seen.add_sketch(sketch, 0.5) and not seen.add_sketch(sketch, 0.5)


def test_digests_are_known_again(tmp_path):
    for seen in (SeenTexts(), SeenTexts(tmp_path / "seen.sqlite")):
        assert seen.add_digest(b"a") and seen.add_digest(b"b") and not seen.add_digest(b"a")


def test_memory_does_not_grow_with_the_texts_but_the_disk_does(tmp_path):
    sketches, peaks = random_sketches(4_000), []
    with SeenTexts.opened(tmp_path / "seen.sqlite") as seen:
        tracemalloc.start()
        for half in np.split(sketches, 2):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            assert all(seen.add_digest(bytes(sketch[:4])) and seen.add_sketch(sketch, 0.8) for sketch in half)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.stop()
        (n_pages,), (cache,) = (
            seen._database.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "cache_size")
        )
    assert max(peaks) < 50_000  # what Python holds; SQLite holds no more than its cache
    assert cache == -8192 and 600 < n_pages * 4096 / 4_000 < 1_300


def test_nothing_is_left_whatever_happens_and_a_killed_process_is_no_hindrance(tmp_path):
    path = tmp_path / "new" / "seen.sqlite"
    with SeenTexts.opened(path) as seen:
        seen.add_digest(b"a")
        assert path.exists()
    path.write_text("of a process that was killed")
    with pytest.raises(KeyboardInterrupt), SeenTexts.opened(path) as seen:
        assert seen.add_digest(b"a")
        raise KeyboardInterrupt
    assert list(path.parent.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(seen_module, "SETTINGS", (*seen_module.SETTINGS, "max_page_count = 10"))
    with pytest.raises(InputError, match="seen.sqlite: cannot be written .database or disk is full.; make room"):
        with SeenTexts.opened(tmp_path / "seen.sqlite") as seen:
            for sketch in random_sketches(1000):
                seen.add_sketch(sketch, 0.8)
    assert list(tmp_path.iterdir()) == []
