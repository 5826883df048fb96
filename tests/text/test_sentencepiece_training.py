import pytest

from minibert.errors import InputError
from minibert.text.sentencepiece import train_sentencepiece
from minibert.text.sentencepiece_training import normalize_lines, sample_lines, take_out_ideographs


def model_bytes(tokenizer, folder) -> bytes:
    tokenizer.save(folder)
    return (folder / "spiece.model").read_bytes()


def test_training_is_silent(corpus, capfd):
    train_sentencepiece(corpus, 430).encode("the river")
    with pytest.raises(InputError):
        train_sentencepiece(corpus, 20)
    assert capfd.readouterr() == ("", "")


def test_the_same_corpus_and_seed_give_the_same_model(corpus, tmp_path):
    first, second, other = (
        model_bytes(train_sentencepiece(iter(corpus * 9), 375, seed=seed, max_characters=900), tmp_path)
        for seed in (3, 3, 4)
    )
    assert first == second and first != other


def test_lowercase_folds_case_and_only_then(corpus):
    lower = train_sentencepiece(corpus, 430, lowercase=True)
    usual = train_sentencepiece(corpus, 430)
    assert lower.decode(lower.encode("The RIVER").ids) == "the river"
    assert usual.decode(usual.encode("The RIVER").ids) == "The RIVER"


def test_a_vocabulary_that_is_too_large_names_the_largest_that_fits(corpus):
    with pytest.raises(InputError, match=r"vocab_size 9000 .* fits is") as caught:
        train_sentencepiece(corpus, 9000)
    largest = int(str(caught.value).split()[-1])
    assert train_sentencepiece(corpus, largest).vocab_size == largest
    with pytest.raises(InputError):
        train_sentencepiece(corpus, largest + 1)


def test_a_vocabulary_that_is_too_small_names_what_it_must_hold(corpus):
    with pytest.raises(InputError, match="vocab_size 200 is too small"):
        train_sentencepiece(corpus, 200)


@pytest.mark.parametrize("nothing", [[], ["", " \n"], ["\u200b", "\u2581 "]])
def test_a_corpus_without_text_is_refused(nothing):
    with pytest.raises(InputError, match="no text"):
        train_sentencepiece(nothing, 300)


def test_what_is_not_a_corpus_is_refused():
    with pytest.raises(InputError, match="one string, 'the river'"):
        train_sentencepiece("the river", 300)
    with pytest.raises(InputError, match="text 1 is 7, a int"):
        train_sentencepiece(["the", 7], 300)
    with pytest.raises(InputError, match="max_characters is 0"):
        train_sentencepiece(["the"], 300, max_characters=0)


def test_unknown_choices_are_refused(corpus):
    with pytest.raises(InputError, match=r"model_type 'word'.*unigram, bpe"):
        train_sentencepiece(corpus, 430, model_type="word")
    with pytest.raises(InputError, match="normalization 'nfd'"):
        train_sentencepiece(corpus, 430, normalization="nfd")
    with pytest.raises(InputError, match="'identity' cannot be combined with lowercase"):
        train_sentencepiece(corpus, 430, normalization="identity", lowercase=True)


def test_a_corpus_that_fits_is_kept_whole_and_in_order():
    lines = [f"line {number}" for number in range(100)]
    assert sample_lines([*lines, "", " "], 10_000, seed=0) == lines


def test_a_sample_is_nearly_as_large_as_allowed_and_even_over_the_corpus():
    lines = [f"{number:010d}" for number in range(20_000)]
    sample = sample_lines(iter(lines), 40_000, seed=1)
    assert len(sample) == 4000 and sample == sorted(set(sample))
    in_first_half = sum(int(line) < 10_000 for line in sample)
    assert (
        abs(in_first_half - 2000) < 4 * 32
    )  # a binomial's standard deviation, without replacement, is under 32
    assert sample_lines(iter(lines), 40_000, seed=2) != sample


def test_long_lines_are_cut_and_nothing_of_them_is_lost():
    text = "".join(chr(97 + number % 26) for number in range(10_001))
    lines = sample_lines([text], 100_000, seed=0)
    assert "".join(lines) == text and len(lines) == 3
    assert sample_lines([text], 5, seed=0) and len(sample_lines([text], 5, seed=0)[0]) <= 5


def test_only_the_commonest_ideographs_become_pieces():
    lines = normalize_lines(["钟" * 3000, "楼a村", "", "\u337f"], "nmt_nfkc")
    without, ideographs = take_out_ideographs(lines)
    assert ideographs[0] == "钟" and 3 <= len(ideographs) < 7  # 7 in all, 0.05 % may be left out
    assert [line.replace("\ufdd0", "|") for line in without] == ["|", "|a|", "|"]


def test_a_corpus_of_ideographs_alone_can_be_trained():
    tokenizer = train_sentencepiece(["中国人民大学"] * 3, 268)
    assert len(tokenizer.encode("中国人民大学")) == 6


def test_the_mark_is_a_piece_even_where_spaces_are_rare():
    tokenizer = train_sentencepiece(["ab" * 2000], 265)
    assert "\u2581" in tokenizer.tokens(range(tokenizer.vocab_size))
