"""Device and dtype follow the request; "auto" follows what is there and what is measured."""

import pytest
import torch

import minibert
from minibert.errors import InputError
from minibert.training import precision
from minibert.training.precision import choose_device, choose_dtype

CPU = torch.device("cpu")


def test_a_named_precision_is_taken_on_every_device():
    for device in (CPU, torch.device("cuda")):
        assert choose_dtype("fp32", device) == torch.float32
        assert choose_dtype("bf16", device) == torch.bfloat16


@pytest.fixture
def timed(monkeypatch):
    """Let a product take the given seconds in each dtype, by its rows; return the rows it is asked for."""

    def pretend(seconds):
        asked = []

        def product_seconds(dtypes, rows):
            asked.append(rows)
            return dict(zip(dtypes, seconds[rows], strict=True))

        monkeypatch.setattr(precision, "_product_seconds", product_seconds)
        forget()
        return asked

    yield pretend
    forget()


def forget():
    """Let the next question measure anew."""
    precision._speedup.cache_clear()
    precision._tell_far_slower.cache_clear()


@pytest.mark.parametrize(
    ("few", "step", "wanted"),
    [
        ((1.0, 1.0), (2.0, 1.0), torch.bfloat16),
        ((1.0, 1.9), (2.0, 1.0), torch.bfloat16),
        ((2.0, 1.0), (1.2, 1.0), torch.float32),
        ((1.0, 1.0), (1.0, 9.0), torch.float32),
    ],
)
def test_a_cpu_computes_in_bfloat16_where_a_steps_product_is_clearly_faster(timed, few, step, wanted):
    asked = timed({32: few, 2048: step})
    assert choose_dtype("auto", CPU) == wanted
    assert asked == [32, 2048]


def test_a_cpu_without_bfloat16_is_not_asked_for_the_long_product(timed):
    asked = timed({32: (1.0, 40.0), 2048: (1.0, 0.1)})
    assert choose_dtype("auto", CPU) == torch.float32
    assert asked == [32]


def test_a_cpu_is_measured_once_in_a_process(timed):
    asked = timed({32: (1.0, 1.0), 2048: (2.0, 1.0)})
    assert {choose_dtype("auto", CPU) for _ in range(3)} == {torch.bfloat16}
    assert asked == [32, 2048]


def test_who_asks_for_bfloat16_where_it_is_far_slower_is_told_once(timed, capsys):
    timed({32: (1.0, 40.0)})
    assert {choose_dtype("bf16", CPU) for _ in range(3)} == {torch.bfloat16}
    assert capsys.readouterr().err.count("bfloat16 is far slower than float32") == 1


def test_nobody_is_told_where_bfloat16_is_about_as_fast(timed, capsys):
    timed({32: (1.0, 1.5)})
    assert choose_dtype("bf16", CPU) == torch.bfloat16
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("capability", "wanted"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_a_gpu_computes_in_bfloat16_where_it_has_units_for_it(monkeypatch, capability, wanted):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_dtype("auto", torch.device("cuda")) == wanted


def test_the_measurement_is_a_time():
    (seconds,) = precision._product_seconds((torch.float32,), 32).values()
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


@pytest.mark.parametrize("opener", [minibert.load, minibert.load_encoder])
@pytest.mark.parametrize("device", ["gpu", "cuda:4711", torch.device("cuda:4711")])
def test_a_device_that_is_not_here_is_refused_before_a_model_is_opened(opener, device):
    with pytest.raises(InputError, match=f"device '{device}' cannot be used here: .*; use auto or cpu"):
        opener("gone", device)
