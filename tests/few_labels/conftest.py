"""The tokenizer that the files of this folder share with those of the tasks."""

import pydoc_data.topics

import pytest

from minibert.text.sentencepiece import SentencePieceTokenizer, train_sentencepiece


@pytest.fixture(scope="session")
def english() -> SentencePieceTokenizer:
    """Learn 500 pieces of some pages of Python's manual."""
    pages = list(pydoc_data.topics.topics.values())[:20]
    return train_sentencepiece([line for page in pages for line in page.splitlines()], 500)
