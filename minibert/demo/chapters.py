"""Which chapter of the Python library reference a module belongs to: the labels of the demo's
classification task.

The table, `chapters.json`, holds the chapters of the reference as they stand in its table of contents for
Python 3.11, the private modules that implement a documented one, and the eight classes of the demo:
neighbouring chapters merged, so that each has some hundred docstrings on every version of Python.

Left out: chapters with few docstrings, and the two that were removed or emptied since (packaging, superseded
modules).
"""

import json
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class ChapterTable:
    """module -> class of the demo, for the documented modules of those classes."""

    label_of_module: dict[str, str]

    def label(self, module: str) -> str | None:
        """Find the class of a module or of the package around it; None where it has none.

        load_chapters().label("json.decoder")
        """
        while module and module not in self.label_of_module:
            module = module.rpartition(".")[0]
        return self.label_of_module.get(module)


def load_chapters() -> ChapterTable:
    """Read the table that is part of this package."""
    table = json.loads(resources.files("minibert.demo").joinpath("chapters.json").read_text(encoding="utf-8"))
    chapters: dict[str, list[str]] = table["chapters"]
    labels = {
        module: label
        for label, titles in table["classes"].items()
        for title in titles
        for module in chapters[title]
    }
    for module, documented in table["implementations"].items():
        labels[module] = labels[documented]
    return ChapterTable(labels)
