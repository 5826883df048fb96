"""A report with every part, and a reader of pages, for the tests of this folder."""

import math
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Outline(HTMLParser):
    """Checks that tags close in order, and collects headings, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.headings: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.bold: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag in {"h1", "h2", "h3"}:
            self.headings.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        if self.open and self.open[-1] in {"h1", "h2", "h3"}:
            self.headings[-1] += data
        if self.open and self.open[-1] == "b":
            self.bold.append(data)
        self.text += data


@pytest.fixture
def full_report() -> dict[str, Any]:
    steps = list(range(0, 1000, 2))
    return {
        "title": "A title <script>alert(1)</script>",
        "summary": "A summary & more",
        "command": 'minibert demo --folder "a b"',
        "machine": {"device": "cpu <x>", "cores": 2, "precision": "float32"},
        "corpus": {
            "megabytes": 4.5,
            "documents": 1234,
            "tokens": 987654,
            "sha256": "ab12",
            "packages": {"pack<age>": "1.0"},
        },
        "stages": [{"name": "pre<train>", "seconds": 90.0}, {"name": "fine-tune", "seconds": 30}],
        "pretraining": {
            "steps": steps,
            "loss": [9.0 - step / 200 for step in steps],
            "validation_steps": [0, 500, 998],
            "validation_loss": [9.0, 6.6, math.nan],
            "learning_rate": [1e-4] * len(steps),
            "first_loss": 9.03,
            "ln_vocab": 9.01,
            "unigram_entropy": 6.4,
            "tokens": 10**6,
            "tokens_per_second": 5000.0,
        },
        "tasks": {
            "kind": {
                "title": "Kind <i>of</i> thing",
                "description": "Described & told",
                "rows": {"train": 600, "test": 75},
                "metrics": ["accuracy", "macro_f1"],
                "table": [
                    {
                        "system": "pre<trained>",
                        "scores": {
                            "accuracy": {"mean": 0.9, "spread": 0.02, "values": [0.88, 0.92]},
                            "macro_f1": {"mean": 0.7},
                        },
                    },
                    {"system": "scratch", "scores": {"accuracy": {"mean": 0.6}, "macro_f1": {"mean": 0.8}}},
                ],
                "curves": {"pre<tuned>": {"steps": [1, 2, 3], "loss": [1.0, 0.5, 0.25]}},
                "confusion": {"labels": ["cl<ass>", "def"], "counts": [[31, 4], [5, 61]]},
                "errors": [
                    {
                        "text": "wrong <script>x</script>",
                        "gold": "g<1>",
                        "predicted": "p<1>",
                        "probability": 0.997,
                    }
                ],
            }
        },
        "attention": {
            "tokens": ["[CLS]", "<tok>"],
            "layer": 2,
            "head": 3,
            "weights": [[0.25, 0.75], [0.5, 0.5]],
        },
        "filled": [{"text": "a <b> [MASK] end", "answers": [["<list>", 0.31]]}],
        "predictions": [{"text": "some <em>text</em>", "label": "l<abel>", "probability": 0.875}],
    }


@pytest.fixture
def outline() -> Callable[[str], Outline]:
    return Outline
