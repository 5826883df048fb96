"""A .npy that grows: NumPy opens it, and it is whole or absent."""

import numpy as np
import pytest

from minibert.embedding.npy import write_rows


@pytest.mark.parametrize("sizes", [[], [0], [1], [3, 0, 2], [7] * 150])
def test_numpy_opens_what_was_written(tmp_path, sizes):
    parts = [
        np.random.default_rng(n).normal(size=(size, 5)).astype(np.float32) for n, size in enumerate(sizes)
    ]
    assert write_rows(tmp_path / "v.npy", iter(parts), 5) == sum(sizes)
    found = np.load(tmp_path / "v.npy", allow_pickle=False)
    assert found.dtype == np.float32 and found.shape == (sum(sizes), 5)
    assert (found == np.concatenate([np.zeros((0, 5), np.float32), *parts])).all()
    assert (np.load(tmp_path / "v.npy", mmap_mode="r") == found).all()


def test_rows_that_do_not_lie_together_are_written_as_they_read(tmp_path):
    turned = np.arange(6, dtype=np.float64).reshape(2, 3).T
    write_rows(tmp_path / "v.npy", [turned], 2)
    assert (np.load(tmp_path / "v.npy") == turned).all()


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "v.npy"
    write_rows(path, [np.ones((2, 3), np.float32)], 3)

    def parts():
        yield np.zeros((4, 3), np.float32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(path, parts(), 3)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.npy"]
    assert np.load(path).sum() == 6
