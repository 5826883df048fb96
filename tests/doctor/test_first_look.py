"""What a run says before it begins: every finding once, and no way around what would stop it anyway."""

import pytest

from minibert.doctor.findings import Checkup, Finding, look_first
from minibert.errors import InputError

COPIES = Finding("duplicates", "warning", "3 rows are copies", "remove them")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("memory", "64 GB are needed; take less (memory; --no-doctor goes on all the same)"),
        ("task", "64 GB are needed"),
        ("unreadable", "64 GB are needed"),
    ],
)
def test_the_error_is_told_once_and_with_a_way_around_only_where_there_is_one(capsys, name, wanted):
    with pytest.raises(InputError) as told:
        look_first(Checkup.of([Finding(name, "error", "64 GB are needed", "take less"), COPIES], {}))
    assert str(told.value) == wanted
    shown = capsys.readouterr().err
    assert "64 GB" not in shown
    assert "3 rows are copies" in shown


def test_warnings_stop_nothing(capsys):
    look_first(Checkup.of([COPIES], {}))
    assert capsys.readouterr().err.count("\n") == 1
