"""The house keeps its floors, sizes and habits; and each rule is seen to fail on a small bad source."""

import re
from pathlib import Path

import house_rules
import pytest
from house_rules import Source

ROOT = Path(__file__).resolve().parent.parent
SOURCES = house_rules.read_package(ROOT)
HEART = (
    "packed.py",
    "kernels/attention/reference.py",
    "kernels/rotary.py",
    "model/attention.py",
    "model/feed_forward.py",
    "model/embeddings.py",
    "model/block.py",
    "model/encoder.py",
    "tasks/masked_lm.py",
    "training/optimizer.py",
    "training/loop.py",
)
HEART_LINES = 1200
PUBLIC_NAMES = 34
EXAMPLE_LINES = 60
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".json", ".css", ".html"}
PLACE_OF_A_MACHINE = re.compile(r"(?<![\w.~])/(?:home|root|tmp|work|Users)/\w")


def broken(text: str, module: str = "minibert.model.encoder") -> str:
    """Run every rule over a small source, complete but for what is wrong with it, and join what they find."""
    source = Source(module, "bad.py", '"""A module."""\n' + text)
    return "\n".join(found for rule in house_rules.RULES for found in rule(source))


@pytest.mark.parametrize("rule", house_rules.RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule):
    assert SOURCES, "no module was found: the test looks in the wrong place"
    found = [line for source in SOURCES for line in rule(source)]
    assert not found, "\n" + "\n".join(found)


def test_nothing_is_subclassed_twice():
    found = house_rules.inheritance_violations(SOURCES)
    assert not found, "\n" + "\n".join(found)


def test_the_heart_can_be_read_in_an_evening():
    missing = [name for name in HEART if not (ROOT / "minibert" / name).is_file()]
    assert not missing, f"parts of the heart are not there: {missing}"
    lines = {name: len((ROOT / "minibert" / name).read_text("utf-8").splitlines()) for name in HEART}
    assert sum(lines.values()) <= HEART_LINES, f"{sum(lines.values())} lines, at most {HEART_LINES}: {lines}"


def test_the_front_page_offers_a_few_names_and_all_of_them_exist():
    import minibert

    assert len(minibert.__all__) <= PUBLIC_NAMES, f"{len(minibert.__all__)} names, at most {PUBLIC_NAMES}"
    assert len(set(minibert.__all__)) == len(minibert.__all__)
    missing = [name for name in minibert.__all__ if getattr(minibert, name, None) is None]
    assert not missing, f"minibert.__all__ names what is not there: {missing}"


def test_examples_fit_on_a_page():
    examples = sorted((ROOT / "examples").glob("*.py"))
    assert examples, "examples/ is empty"
    long = {
        path.name: n for path in examples if (n := len(path.read_text("utf-8").splitlines())) > EXAMPLE_LINES
    }
    assert not long, f"examples have at most {EXAMPLE_LINES} lines: {long}"


def test_no_file_names_a_place_on_somebodys_machine():
    folders = [ROOT / name for name in ("minibert", "tests", "examples", "benchmarks", "docs", ".ci")]
    files = [path for folder in folders for path in folder.rglob("*")] + list(ROOT.glob("*"))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files
        if path.is_file() and (path.suffix in TEXT_SUFFIXES or path.name in ("Makefile", "run"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if PLACE_OF_A_MACHINE.search(line)
    ]
    assert not found, "\n" + "\n".join(found)


# The rules themselves: each must find what it is there to find, and leave the rest alone.


def test_a_harmless_module_breaks_no_rule():
    text = (
        "import torch\n"
        "from minibert.kernels.attention import attend\n"
        "from minibert.kernels.rotary import rotate\n"
        "from .block import EncoderBlock\n"
        "class A:\n"
        "    def forward(self, q, k, v, layout, *, causal=False): return model.eval()\n"
    )
    assert broken(text) == ""


@pytest.mark.parametrize(
    ("module", "statement", "target"),
    [
        ("minibert.kernels.attention.cpu", "from minibert.model.block import EncoderBlock", "minibert.model"),
        ("minibert.kernels.attention.cpu", "from minibert import model", "minibert.model"),
        ("minibert.packed", "import minibert.training.loop as loop", "minibert.training"),
        ("minibert.tasks.task", "from ..training import loop", "minibert.training"),
        ("minibert.data.examples", "from .readers import read", "minibert.data"),
        ("minibert.finetune", "from minibert.pretrain import pretrain", "minibert.pretrain"),
        ("minibert.model.block", "def late():\n    from minibert.tasks import masked_lm", "minibert.tasks"),
    ],
)
def test_an_upward_import_is_named_with_file_line_and_floor(module, statement, target):
    found = broken(statement, module)
    line = 2 + statement.count("\n")
    here, there = house_rules.FLOORS[house_rules.unit_of(module)], house_rules.FLOORS[target]
    assert f"bad.py:{line}:" in found
    assert f"(floor {here}) imports {target} (floor {there})" in found


def test_a_package_resolves_its_own_relative_imports():
    source = Source(
        "minibert.tasks", "bad.py", "from . import task\nfrom .. import training", is_package=True
    )
    assert list(house_rules.imported_modules(source)) == [
        (1, "minibert.tasks.task"),
        (2, "minibert.training"),
    ]


def test_a_listed_neighbour_is_seen_in_one_direction_only():
    assert broken("from minibert.errors import InputError", "minibert.text.tokenizer") == ""
    assert "minibert.text (floor 0)" in broken("from minibert.text import tokenizer", "minibert.errors")


def test_a_module_without_a_floor_is_asked_to_take_one():
    assert "minibert.brand_new has no floor; give it one" in broken("", "minibert.brand_new")
    assert "imports minibert.brand_new, which has no floor" in broken("from minibert import brand_new")
    assert "imports minibert, which has no floor" in broken("import minibert")


def test_floor_zero_does_without_torch():
    assert "imports torch.nn; floor 0 does without torch" in broken(
        "from torch import nn", "minibert.text.tokenizer"
    )


BODY = "\n".join(f"    x = {i}" for i in range(40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n" * 250, "bad.py:251: the file has 251 lines; at most 250"),
        (f"def long():\n{BODY}", "bad.py:2: long has 41 lines; at most 40"),
        (f"class A:\n  async def long():\n{BODY}", "long has 41 lines; at most 40"),
        ("def f(**options): ...", "f takes **options"),
        ("def f(*, a, b, c, d, e, f, g, h, i): ...", "f has 9 parameters; at most 8"),
        ("def f(a, b, c, d, e, g): ...", "f has 6 positional parameters; at most 5"),
        ("def f(a, b, flag=True): ...", "flag is optional and after the second"),
        ("class A:\n  def f(self, a, b, flag=True): ...", "flag is optional and after the second"),
        ("import pickle", "bad.py:2: imports pickle"),
        ("from yaml import safe_load", "imports yaml.safe_load"),
        ("import joblib.memory", "imports joblib.memory"),
        ("import torch\nx = torch.load('a')", "bad.py:3: uses torch.load"),
        ("import torch\ntorch.save(x, 'a')", "uses torch.save"),
        ("from torch import load", "imports torch.load"),
        ("x = eval('1')", "uses eval"),
        ("exec('x = 1')", "uses exec"),
        ("x = hasattr(a, 'b')", "uses hasattr"),
        ("import numpy\nx = numpy.load('a', allow_pickle=True)", "allow_pickle"),
        ("import os\nx = os.environ['A']", "uses os.environ"),
        ("import os\nx = os.getenv('A')", "uses os.getenv"),
        ("from os import environ", "imports os.environ"),
        ("def f():\n  global state\n  state = 1", "global state: no module state"),
        ("@dataclass\nclass A: ...", "the data class A is not frozen"),
        ("@dataclasses.dataclass(slots=True)\nclass A: ...", "the data class A is not frozen"),
    ],
)
def test_a_bad_line_is_found(text, message):
    assert message in broken(text)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("minibert.kernels.attention.cpu", "\n" * 300),
        ("minibert.kernels.attention.cpu", f"def long():\n{BODY}"),
        (
            "minibert.kernels.attention.triton.forward",
            "@triton.jit\ndef f(a, b, c, d, e, g, h, i, j, k=1): ...",
        ),
        ("minibert.kernels.attention.cpu", "class A:\n  def forward(ctx, q, k, v, starts, scale): ..."),
        ("minibert.cli", "import os\nx = os.environ"),
        ("minibert.model.encoder", "from safetensors.torch import load_file"),
        ("minibert.model.encoder", "import numpy\nx = numpy.load('a', allow_pickle=False)"),
        ("minibert.model.encoder", "@dataclass(frozen=True)\nclass A: ..."),
    ],
)
def test_an_exception_that_is_written_down_is_left_alone(module, text):
    assert broken(text, module) == ""


def test_module_docstrings_are_there_and_short():
    assert house_rules.size_violations(Source("minibert.packed", "bad.py", "x = 1")) == [
        "bad.py:1: the module has no docstring"
    ]
    long = Source("minibert.packed", "bad.py", '"""' + "word\n" * 21 + '"""')
    assert "the module docstring has 21 lines; at most 20" in house_rules.size_violations(long)[0]
    assert house_rules.size_violations(Source("minibert.packed", "bad.py", "")) == []


def test_a_vague_module_name_is_found():
    assert "utils says nothing" in broken("", "minibert.model.utils")


def test_a_class_derived_twice_is_found_across_files():
    first = Source("minibert.a", "a.py", "class Task(ABC): ...\nclass Tagging(Task): ...")
    second = Source("minibert.b", "b.py", "class Better(Tagging[int]): ...")
    assert house_rules.inheritance_violations([first]) == []
    assert house_rules.inheritance_violations([first, second]) == [
        "b.py:1: Better derives from Tagging, which derives from Task; compose instead"
    ]


def test_a_place_on_a_machine_is_found_and_an_address_is_not():
    assert PLACE_OF_A_MACHINE.search("open('" + "/home" + "/someone/x')")
    assert not PLACE_OF_A_MACHINE.search("https://example.org/work/page, ../shared/data, tests/home/x")
