"""The benchmark of several processes runs, compares only what agrees, and counts pieces as pieces."""

import pytest


def test_losses_that_differ_are_not_compared(benchmark):
    agree = benchmark("many_processes").agree
    agree([{"losses": [2.0, 1.0]}, {"losses": [2.001, 1.0]}])
    with pytest.raises(ValueError, match=r"losses 2\.0 and 2\.1 differ"):
        agree([{"losses": [2.0]}, {"losses": [2.1]}])


@pytest.mark.slow
def test_a_dry_run_measures_everything(dry_run):
    record, told = dry_run("many_processes")
    rows = record["memory"]["rows"]
    assert record["memory"]["pieces_over_whole"]["held"] == pytest.approx(0.5, abs=0.02)
    assert rows["in pieces"]["held"] < rows["whole"]["held"]
    assert set(record["speed"]["tokens_per_second"]) == {"one", "one with two threads", "two"}
    assert record["speed"]["efficiency"]["median"] > 0 and "efficiency of two" in told
