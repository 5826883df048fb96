"""What the matrix of accuracies says, computed by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.errors import InputError
from minibert.further.transfer import Transfer

THREE = Transfer(
    ((0.1, 0.2, 0.3), (0.9, 0.4, 0.2), (0.6, 0.8, 0.5), (0.7, 0.5, 1.0)), ("first", "second", "third")
)


def test_the_measures_are_those_of_the_papers():
    assert THREE.average == pytest.approx((0.7 + 0.5 + 1.0) / 3)
    assert THREE.backward == pytest.approx(((0.7 - 0.9) + (0.5 - 0.8)) / 2)
    assert THREE.forward == pytest.approx(((0.4 - 0.2) + (0.5 - 0.3)) / 2)
    assert THREE.forgetting == pytest.approx(((0.9 - 0.7) + (0.8 - 0.5)) / 2)


def test_what_comes_back_is_not_forgotten_twice():
    found = Transfer(((0, 0, 0), (0.5, 0, 0), (0.9, 0.7, 0), (0.6, 0.7, 0.8)), ("a", "b", "c"))
    assert found.forgetting == pytest.approx((0.9 - 0.6) / 2)
    assert found.backward == pytest.approx((0.6 - 0.5) / 2)


def test_a_single_part_has_nothing_to_lose():
    found = Transfer(((0.2,), (0.9,)), ("a",))
    assert found.summary == {
        "average_accuracy": 0.9, "backward_transfer": 0.0, "forward_transfer": 0.0, "forgetting": 0.0,
    }  # fmt: skip


@given(st.lists(st.floats(0, 1), min_size=12, max_size=12))
def test_forgetting_is_at_least_what_backward_transfer_lost(values):
    found = Transfer(tuple(tuple(values[3 * row : 3 * row + 3]) for row in range(4)), ("a", "b", "c"))
    assert found.forgetting >= -found.backward - 1e-12


def test_the_table_names_rows_and_columns():
    lines = THREE.table().splitlines()
    assert lines[0].split() == ["learnt", "\\", "asked", "first", "second", "third"]
    assert lines[1].split() == ["nothing", "0.1000", "0.2000", "0.3000"]
    assert lines[4].split() == ["third", "0.7000", "0.5000", "1.0000"]
    assert len({len(line) for line in lines}) == 1


def test_a_matrix_without_the_row_before_is_refused():
    with pytest.raises(InputError, match=r"shape \(2, 2\) for 2 parts; \(3, 2\) is wanted"):
        Transfer(((1, 0), (1, 1)), ("a", "b"))
