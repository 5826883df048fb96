"""Exchanged words: the text stays a text, and a model that leans on a word is found out."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_runs

from minibert.cli import main
from minibert.commands.counterfactual import in_words
from minibert.data.examples import MultiLabelExample, NumberExample, TaggedExample, TextExample
from minibert.errors import InputError
from minibert.evaluation.counterfactual import counterfactual, wilson
from minibert.evaluation.swaps import BUILT_IN, Swap, read_pairs, swap_of
from minibert.tasks.classification import Classified
from minibert.tasks.multi_label import MultiLabelled
from minibert.tasks.regression import Estimate


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("genders", "He said that his wife likes him.", "She said that her husband likes her."),
        ("genders", "She told her about her new car.", "He told him about his new car."),
        ("genders", "I met HER. Her father waited with her", "I met HIM. His mother waited with him"),
        ("genders", "The theme of the manual: other heroes", "The theme of the manual: other heroes"),
        ("genders", "Mr. Bean and the actress", "Ms. Bean and the actor"),
        ("genders", "他的儿子和其他男孩都爱弹吉他", "她的女儿和其他女孩都爱弹吉他"),
        ("genders", "她们的妈妈是女士", "他们的爸爸是先生"),
        ("names", "Emily and GREG met emily.", "Lakisha and JAMAL met lakisha."),
        ("genders", "马耳他的少女，利他主义，他日", "马耳他的少女，利他主义，他日"),
        ("genders", "孙女和兒子，父親", "孙子和女兒，母親"),
        ("names", "王秀英和张伟", "卓玛和买买提"),
        ("names", "张伟大的成就", "张伟大的成就"),
        ("places", "东北部有雪，山东北部，黄河南岸，今日本店", "东北部有雪，山东北部，黄河南岸，今日本店"),
        ("places", "东北和日本", "上海和泰国"),
        ("places", "A New York film, an American in Paris", "A Detroit film, an Nigerian in Kabul"),
        ("places", "他从北京来", "他从河南来"),
    ],
)
def test_words_are_exchanged_whole_with_their_capitals(name, text, wanted):
    assert swap_of(name).apply(text)[0] == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("I saw her yesterday.", "I saw him yesterday."),
        ("in her happy days, it is her luck", "in his happy days, it is his luck"),
        ("Nobody told her anything.", "Nobody told him anything."),
        ("It gave her nothing", "It gave him nothing"),
        ("It is her dying wish. We saw her.", "It is his dying wish. We saw him."),
        ("her very own, her well-known and her 30s", "his very own, his well-known and his 30s"),
        ('found her dead body, her "best" friend', 'found his dead body, his "best" friend'),
        ("The book is his.", "The book is hers."),
        ("The books are Hers. HERS!", "The books are His. HIS!"),
        ("his or her own", "her or his own"),
        ("Mrs. Ash and Miss Ash miss you. MISS IT", "Mr. Ash and Mr Ash miss you. MISS IT"),
    ],
)
def test_her_and_his_have_the_partner_that_their_sentence_asks_for(text, wanted):
    assert swap_of("genders").apply(text)[0] == wanted


UNCLEAR = [
    "took her back",
    "made her happy.",
    "They asked her politely.",
    "I wish her luck,",
    "It shows her dying.",
    "They called her Ida.",
    "Let her go",
    "his and",
]


@pytest.mark.parametrize("text", UNCLEAR)
def test_a_word_whose_partner_is_not_clear_stays_and_is_counted(text):
    found = swap_of("genders").exchange(text)
    assert (found.text, found.sides, found.undecided) == (text, set(), 1)


def test_words_that_stay_are_told_with_the_result():
    told = counterfactual(
        Leaning(), ["she came", TextExample("took her back", "his and")], swap_of("genders")
    )
    assert (told.with_words, told.undecided) == (1, 2)
    assert told.to_dict()["undecided"] == 2
    assert "2 of its words stay as they are" in in_words(told)


def test_a_list_of_ones_own_knows_no_grammar():
    assert Swap("x", (("his", "her"),)).apply("told her, his")[0] == "told his, her"


@pytest.mark.parametrize("name", BUILT_IN)
def test_exchanged_twice_a_word_is_itself_and_has_one_partner(name):
    swap = swap_of(name)
    words = [word for pair in BUILT_IN[name] for word in pair]
    assert len(set(words)) == len(words)
    for word in words:
        once, sides = swap.apply(word)
        assert once != word and len(sides) == 1
        assert swap.apply(once)[0] == word
    assert any("\u3400" <= word[0] <= "\u9fff" for word in words)  # and Chinese is there


def test_sides_tell_which_words_stood_in_a_text():
    swap = swap_of("genders")
    assert swap.apply("a man")[1] == {True}
    assert swap.apply("a woman")[1] == {False}
    assert swap.apply("a man, a woman")[1] == {True, False}
    assert swap.apply("a dog") == ("a dog", set())


class Leaning:
    """A model that finds texts good, and better by half where "she" stands in them."""

    def predict(self, examples, progress=False):
        found = []
        for example in examples:
            words = (example if isinstance(example, str) else example.text).lower().split()
            p = 0.4 + 0.25 * ("she" in words)
            found.append(Classified("good" if p > 0.5 else "bad", {"good": p, "bad": 1 - p}))
        return found


def test_a_model_that_leans_on_a_word_is_found_out():
    texts = ["he came", "she came", "it came", TextExample("he and she"), TextExample("he went")]
    told = counterfactual(Leaning(), texts, swap_of("genders"), limit=2)
    assert (told.texts, told.with_words, told.changed) == (5, 4, 3)  # "he and she" holds both, and stays good
    assert told.share == 0.75
    assert told.interval == wilson(3, 4)
    assert told.moved == pytest.approx(0.75 * 0.25)
    assert told.shift == pytest.approx({"good": 0.25, "bad": -0.25})  # from he to she
    assert [(one.text, one.swapped, one.before, one.after) for one in told.examples] == [
        ("he came", "she came", "bad", "good"), ("she came", "he came", "good", "bad"),
    ]  # fmt: skip


def test_a_model_that_does_not_look_changes_nothing():
    model = SimpleNamespace(
        predict=lambda texts, progress: [Classified("a", {"a": 0.7, "b": 0.3}) for _ in texts]
    )
    told = counterfactual(model, ["he came", "she"], swap_of("genders"))
    assert (told.changed, told.moved, told.shift) == (0, 0.0, {"a": 0.0, "b": 0.0})
    assert told.interval[0] == 0 and told.interval[1] > 0.5  # two texts prove little


@pytest.mark.parametrize("label", ["value", "price"])
def test_a_label_is_no_number_whatever_it_is_called(label):
    def predict(texts, progress):
        shares = [0.501 if "she" in one.text else 0.499 for one in texts]
        return [MultiLabelled((label,) if p > 0.5 else (), {label: p}) for p in shares]

    examples = [MultiLabelExample("she"), MultiLabelExample("he")]
    assert counterfactual(SimpleNamespace(predict=predict), examples, swap_of("genders")).changed == 2


def test_numbers_change_by_a_tenth_of_their_spread():
    values = {"a he": 1.0, "a she": 1.05, "b he": 3.0, "b she": 3.5}
    model = SimpleNamespace(predict=lambda texts, progress: [Estimate(values[one.text]) for one in texts])
    examples = [NumberExample("a he"), NumberExample("b he")]
    told = counterfactual(model, examples, swap_of("genders"))
    assert told.changed == 1  # the spread is 1
    assert told.shift == pytest.approx({"value": 0.275})


def test_wilson_covers_the_share_as_often_as_it_says():
    random = np.random.default_rng(0)
    hits = random.binomial(40, 0.3, 4000)
    covered = np.mean([low <= 0.3 <= high for low, high in (wilson(int(hit), 40) for hit in hits)])
    assert covered == pytest.approx(0.95, abs=0.02)


def test_pairs_come_from_a_file(tmp_path):
    (tmp_path / "swap.csv").write_text("a,b\ncat,dog\n猫,狗\n", "utf-8")
    assert swap_of(str(tmp_path / "swap.csv")).apply("The Cat, a dog: 猫")[0] == "The Dog, a cat: 狗"
    (tmp_path / "twice.csv").write_text("a,b\ncat,dog\ncat,cow\n", "utf-8")
    with pytest.raises(InputError, match="line 3: 'cat' changes with 'dog' and with 'cow'"):
        read_pairs(tmp_path / "twice.csv")
    (tmp_path / "one.csv").write_text("a,b\ncat,\n", "utf-8")
    with pytest.raises(InputError, match="line 2"):
        read_pairs(tmp_path / "one.csv")
    (tmp_path / "none.csv").write_text("a,b\n", "utf-8")
    with pytest.raises(InputError, match="no pairs of words"):
        read_pairs(tmp_path / "none.csv")
    with pytest.raises(InputError, match="swap 'animals' is unknown; use genders, names, places"):
        swap_of("animals")


def test_without_any_of_the_words_nothing_can_be_said():
    with pytest.raises(InputError, match="none of the 1 texts holds a word of the swap 'x'"):
        counterfactual(Leaning(), ["a text"], Swap("x", (("cat", "dog"),)))


def test_the_command_goes_from_a_file_to_what_changes(tmp_path, capsys):
    encoder = tiny_runs.make_encoder(tmp_path / "enc")
    data = tiny_runs.write_table(tmp_path / "train.csv")
    assert main(["finetune", "--task", "classification", "--model", str(encoder), "--train-file", str(data),
                 "--output-dir", str(tmp_path / "clf"), "--no-progress", "--fp32", "--max-steps", "30",
                 "--learning-rate", "3e-3"]) == 0  # fmt: skip
    (tmp_path / "swap.csv").write_text("a,b\ncat,road\ndog,stone\n", "utf-8")
    asked = ["counterfactual", "--model", str(tmp_path / "clf"), "--file", str(data), "--swap"]
    capsys.readouterr()
    assert main([*asked, str(tmp_path / "swap.csv")]) == 0
    out = capsys.readouterr().out
    told = json.loads(out.splitlines()[-1])
    assert told["with_words"] == told["texts"] == 16
    assert told["changed"] >= 8  # the words are what the classes hang on
    assert told["shift"]["thing"] > 0.1 > told["shift"]["animal"]
    assert "16 of 16 texts hold a word" in out
    assert main([*asked, "genders"]) == 2
    assert "none of the 16 texts" in capsys.readouterr().err
    assert main([*asked, "colours"]) == 2
    assert "swap 'colours' is unknown" in capsys.readouterr().err


def test_tagged_texts_are_refused_before_they_are_asked():
    tagged = [TaggedExample("Emily sings", ((0, 5), (6, 11)), ("B-PER", "O"))]
    with pytest.raises(InputError, match="compares labels, sets of labels and numbers"):
        counterfactual(None, tagged, swap_of("names"))
