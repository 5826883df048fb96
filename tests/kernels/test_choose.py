"""The choice of an attention implementation: pure, explained, and tested for machines that are not here."""

import pytest
import torch

from minibert.errors import InputError
from minibert.kernels.attention import Machine, Request, attend, choose
from minibert.kernels.attention.choose import refusals
from minibert.packed import Layout

SHORT = Request(torch.float32, head_size=64, max_seqlen=128)
CPU, GPU = Machine("cpu"), Machine("cuda")


def test_the_cpu_takes_its_own_implementation_and_nothing_was_passed_over():
    choice = choose(SHORT, CPU)
    assert (choice.name, choice.refusals, str(choice)) == ("cpu", {}, "cpu")


@pytest.mark.parametrize(
    ("request_", "machine", "reason"),
    [
        (SHORT, GPU, "cuda"),
        (SHORT, Machine("mps"), "mps"),
        (Request(torch.float16, 64, 128), CPU, "float16"),
        (Request(torch.float32, 64, 1025, dropout=0.1), CPU, "1025"),
        (Request(torch.float32, 64, 128, cross=True), CPU, "different lengths"),
    ],
)
def test_what_the_cpu_implementation_refuses_goes_to_sdpa_with_a_reason(request_, machine, reason):
    choice = choose(request_, machine)
    assert choice.name == "sdpa"
    assert reason in choice.refusals["cpu"]
    assert str(choice) == f"sdpa (not cpu: {choice.refusals['cpu']})"


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("window", [None, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_training_shapes_all_have_the_fast_cpu_path(dtype, window, dropout):
    request = Request(dtype, 32, 1024, window=window, dropout=dropout, causal=True)
    assert choose(request, CPU).name == "cpu"


def test_an_implementation_is_taken_by_name():
    for name in ("cpu", "sdpa", "reference"):
        assert choose(SHORT, CPU, backend=name).name == name


def test_a_named_implementation_that_refuses_is_an_error_with_its_reason():
    with pytest.raises(InputError, match=r"'cpu'.*2048"):
        choose(Request(torch.float32, 64, 2048, dropout=0.1), CPU, backend="cpu")
    with pytest.raises(InputError, match=r"'cpu'.*cuda"):
        choose(SHORT, GPU, backend="cpu")


@pytest.mark.parametrize(
    ("request_", "machine", "reason"),
    [
        (SHORT, CPU, "CUDA"),
        (SHORT, Machine("mps"), "mps"),
        (SHORT, Machine("cuda", (9, 0)), "not installed"),
        (SHORT, Machine("cuda", (7, 5), triton=True), "7.5"),
        (Request(torch.float64, 64, 128), Machine("cuda", (9, 0), triton=True), "float64"),
        (Request(torch.float32, 129, 128), Machine("cuda", (9, 0), triton=True), "129"),
    ],
)
def test_the_fused_kernels_refuse_with_a_reason(request_, machine, reason):
    with pytest.raises(InputError, match=f"'triton'.*{reason}"):
        choose(request_, machine, backend="triton")


@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (12, 0)])
def test_the_fused_kernels_are_taken_by_name_on_a_gpu_that_has_triton(capability):
    machine = Machine("cuda", capability, triton=True)
    request = Request(torch.bfloat16, 96, 5000, window=64, causal=True, dropout=0.1, cross=True)
    assert choose(request, machine, backend="triton").name == "triton"


@pytest.mark.parametrize(
    ("machine", "able"),
    [
        (Machine("cpu", triton=True), {"cpu", "sdpa", "reference"}),
        (Machine("mps"), {"sdpa", "reference"}),
        (Machine("cuda", (7, 5), triton=True), {"sdpa", "flex", "reference"}),  # T4
        (Machine("cuda", (8, 0), triton=True), {"sdpa", "triton", "flex", "reference"}),  # A100
        (Machine("cuda", (9, 0), triton=True), {"sdpa", "triton", "flex", "reference"}),  # H100
        (Machine("cuda", (9, 0), triton=False), {"sdpa", "reference"}),
    ],
)
def test_who_could_do_it_on_a_machine_that_is_not_here(machine, able):
    request = Request(torch.bfloat16, head_size=64, max_seqlen=512)
    found = {name for name, reason in refusals(request, machine).items() if reason is None}
    assert (
        found - {"varlen"} == able
    )  # whether torch has varlen depends on its version: test_torch_kernels.py


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(InputError, match=r"'flash3'.*auto, cpu, sdpa, triton, varlen, flex, reference"):
        choose(SHORT, CPU, backend="flash3")


def test_the_choice_depends_on_its_arguments_alone():
    before = torch.get_rng_state()
    for request in (SHORT, Request(torch.float16, 8, 5000, causal=True)):
        assert choose(request, GPU) == choose(request, GPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_attend_passes_the_name_on_and_refuses_likewise():
    layout = Layout.of([2, 3])
    q = torch.randn(5, 2, 4)
    with pytest.raises(InputError, match="'nonsense'"):
        attend(q, q, q, layout, backend="nonsense")
    with pytest.raises(InputError, match="different lengths"):
        attend(q, q, q, layout, layout, backend="cpu")


def test_long_texts_without_dropout_stay_with_the_cpu_and_with_it_go_to_sdpa():
    assert choose(Request(torch.float32, 64, 4099), CPU).name == "cpu"
    assert choose(Request(torch.float32, 64, 4099, dropout=0.1), CPU).name == "sdpa"
