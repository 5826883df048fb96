"""Every command line in the documents can be typed: its command and its flags exist."""

import re
import shlex
from pathlib import Path

import pytest

from minibert.commands.arguments import parse

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = re.compile(r"^```(?:bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:srun )?(?:torchrun .*? -m )?minibert (.+)")


def commands(text):
    """Find the words after `minibert` in a document's shell blocks."""
    lines = [line for block in SHELL.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    found = [COMMAND.match(line.strip()) for line in lines]
    return [shlex.split(match[1], comments=True) for match in found if match]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_the_command_lines_of_a_page_can_be_typed(page):
    for words in commands(page.read_text("utf-8")):
        parse(words)  # raises InputError for an unknown command or flag, and for one that lacks


def test_the_command_lines_are_found():
    text = "```bash\nminibert a --b \\\n  c   # why\ntorchrun --n 2 -m minibert d\nls\n```\n"
    assert commands(text) == [["a", "--b", "c"], ["d"]]
    assert len(commands((ROOT / "README.md").read_text("utf-8"))) > 20
