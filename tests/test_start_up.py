"""What it takes to begin: whoever compiles nothing does not wait for the compiler."""

import subprocess
import sys

import pytest

SLOW = (
    "torch._dynamo",
    "sympy",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "transformers",
    "onnx",
)
PARSER = "from minibert.commands.arguments import build_parser; build_parser()"
MODEL = (
    "import torch, minibert as mb; "
    "model = mb.Encoder(mb.EncoderConfig.preset('tiny', vocab_size=50)); "
    "model(mb.Packed.of([[7, 4, 9], [5]])).sum().backward()"
)


@pytest.mark.parametrize("code", ["import minibert", PARSER, MODEL])
def test_nothing_slow_is_imported_before_it_is_needed(code):
    told = f"{code}; import sys; print([name for name in {SLOW} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
