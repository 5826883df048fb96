"""What stands outside of graphs is called as it is, whether the graphs came before or after it."""

import inspect
import subprocess
import sys

import torch
from torch import _dynamo

from minibert.kernels.attention import attend, attend_packed
from minibert.kernels.cross_entropy import linear_cross_entropy
from minibert.kernels.outside_graphs import outside_graphs

LATE = """
import sys, torch
from minibert.kernels.outside_graphs import outside_graphs

seen = []

@outside_graphs
def doubled(x, *, plus):
    seen.append(torch.compiler.is_compiling())
    return 2 * x + plus

def both(x):
    return doubled(x + 1, plus=3) - 1

assert both(torch.zeros(2)).tolist() == [4, 4] and "torch._dynamo" not in sys.modules
graphs = []
compiled = torch.compile(both, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
for size in (2, 3, 5):
    assert compiled(torch.zeros(size)).tolist() == [4] * size
assert "mul" not in str([graph.code for graph in graphs]) and "add" in str([graph.code for graph in graphs])
assert both(torch.zeros(2)).tolist() == [4, 4]
print(seen)
"""


def test_a_compiler_that_comes_late_does_not_look_inside():
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f"{[False] * 5}\n", 0), done.stderr


def test_each_function_has_doors_enough_for_the_compiler():
    _dynamo.reset()
    seen: list[bool] = []

    def looked(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.compiler.is_compiling())
        return x

    doors = [outside_graphs(looked) for _ in range(20)]  # more than the compiler's limit for one code
    compiled = torch.compile(lambda x: [door(x + 1) for door in doors], backend="eager")
    assert [y.tolist() for y in compiled(torch.zeros(1))] == [[1.0]] * 20
    assert seen == [False] * 20
    _dynamo.reset()


def test_the_doors_keep_their_names_and_parameters():
    for function in (attend, attend_packed, linear_cross_entropy):
        assert function.__doc__ and "kwargs" not in inspect.signature(function).parameters
