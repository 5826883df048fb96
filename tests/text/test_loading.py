import io
import json
from pathlib import Path

import pytest
import sentencepiece

from minibert.errors import InputError
from minibert.text.loading import load_tokenizer
from minibert.text.sentencepiece import SentencePieceTokenizer


def test_saving_and_loading_changes_nothing(any_tokenizer, tmp_path, corpus):
    any_tokenizer.save(tmp_path / "new" / "folder")
    loaded = load_tokenizer(tmp_path / "new" / "folder")
    for text in corpus:
        before, after = any_tokenizer.encode(text), loaded.encode(text)
        assert (before.ids == after.ids).all() and (before.words == after.words).all()
    assert (loaded.word_starts == any_tokenizer.word_starts).all()


def saved(tokenizer, folder: Path, **changes) -> Path:
    tokenizer.save(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def test_a_folder_that_cannot_be_opened_says_why(tokenizer, tmp_path):
    with pytest.raises(InputError, match=r"nothing.*tokenizer_config\.json is missing"):
        load_tokenizer(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"kind 'wordlist' is unknown.*sentencepiece"):
        load_tokenizer(saved(tokenizer, tmp_path / "kind", kind="wordlist"))
    with pytest.raises(InputError, match="cjk_characters is 'yes'"):
        load_tokenizer(saved(tokenizer, tmp_path / "cjk", cjk_characters="yes"))
    folder = saved(tokenizer, tmp_path / "damaged")
    (folder / "spiece.model").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"spiece\.model: these 8 bytes"):
        load_tokenizer(folder)
    (folder / "spiece.model").unlink()
    with pytest.raises(InputError, match=r"spiece\.model cannot be read"):
        load_tokenizer(folder)
    (folder / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(InputError, match=r"\[1\].*object"):
        load_tokenizer(folder)
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        load_tokenizer(folder)


def test_a_model_without_our_control_tokens_is_refused(corpus):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, vocab_size=180, minloglevel=2
    )
    with pytest.raises(InputError, match=r"no piece for padding, \[CLS\], \[SEP\], \[MASK\]"):
        SentencePieceTokenizer(model.getvalue())
