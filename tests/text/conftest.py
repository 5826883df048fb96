import pytest

from minibert.text.sentencepiece import SentencePieceTokenizer, train_sentencepiece

ENGLISH = """The ferry leaves the harbour at seven and comes back before dark.
My sister keeps bees behind the old brewery, and their honey tastes of lime trees.
Nobody knew why the clock in the tower had stopped at ten past three.
A bridge of rope and planks hung over the river, swaying whenever the wind rose.
He doesn't read maps; he asks the shepherds, who don't agree with each other.
In 1987 the village had 240 people, two shops and a school with one teacher.
The teacher taught reading, writing and the names of the stars.
When the harvest was over, the whole village walked to the river and swam.
"""
CHINESE = """渡船早上七点离开港口,天黑以前回来。
我姐姐在旧啤酒厂后面养蜂,蜂蜜有椴树的味道。
没有人知道钟楼的钟为什么停在三点十分。
1987年村里有240人,两家商店和一所学校。
老师教阅读、写字和星星的名字。
"""


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    return ENGLISH.splitlines() + CHINESE.splitlines()


@pytest.fixture(scope="session")
def tokenizer(corpus: list[str]) -> SentencePieceTokenizer:
    return train_sentencepiece(corpus, 430)


@pytest.fixture(scope="session", params=["unigram", "bpe", "lowercase", "joined ideographs"])
def any_tokenizer(request: pytest.FixtureRequest, corpus: list[str]) -> SentencePieceTokenizer:
    """Each kind that can be trained, for properties that all must have."""
    if request.param == "bpe":
        return train_sentencepiece(corpus, 600, model_type="bpe")
    if request.param == "lowercase":
        return train_sentencepiece(corpus, 430, lowercase=True)
    return train_sentencepiece(corpus, 430, cjk_characters=request.param != "joined ideographs")
