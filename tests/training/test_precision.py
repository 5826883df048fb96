"""Device and dtype follow the request; "auto" follows what is there and what is measured."""

import pytest
import torch

from minibert.errors import InputError
from minibert.training import precision
from minibert.training.precision import choose_device, choose_dtype

CPU = torch.device("cpu")


def test_a_named_precision_is_taken_on_every_device():
    for device in (CPU, torch.device("cuda")):
        assert choose_dtype("fp32", device) == torch.float32
        assert choose_dtype("bf16", device) == torch.bfloat16


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        ({"float32": 2.0, "bfloat16": 1.0}, torch.bfloat16),
        ({"float32": 1.2, "bfloat16": 1.0}, torch.float32),
        ({"float32": 1.0, "bfloat16": 9.0}, torch.float32),
    ],
)
def test_a_cpu_computes_in_bfloat16_where_it_is_clearly_faster(monkeypatch, seconds, wanted):
    monkeypatch.setattr(
        precision,
        "_product_seconds",
        lambda dtypes: {dtype: seconds[str(dtype).removeprefix("torch.")] for dtype in dtypes},
    )
    assert choose_dtype("auto", CPU) == wanted


@pytest.mark.parametrize(
    ("capability", "wanted"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_a_gpu_computes_in_bfloat16_where_it_has_units_for_it(monkeypatch, capability, wanted):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_dtype("auto", torch.device("cuda")) == wanted


def test_the_measurement_is_a_time():
    (seconds,) = precision._product_seconds((torch.float32,)).values()
    assert 0 < seconds < 10


@pytest.mark.parametrize(("found", "wanted"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_the_gpu_if_torch_sees_one(monkeypatch, found, wanted):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found)
    monkeypatch.setattr(torch, "empty", lambda size, device: asked.append(device))
    assert choose_device("auto") == torch.device(wanted)
    assert asked == [torch.device(wanted)]


@pytest.mark.parametrize("name", ["tpv", "cuda:99", ""])
def test_a_device_that_is_not_here_is_named(name):
    with pytest.raises(InputError, match=f"'{name}'"):
        choose_device(name)
