"""Words that are exchanged for others, to see whether an answer hangs on them.

A swap has two sides, such as he and she: a word of either side becomes its partner. English words are whole
words, and keep their capitals; which partner "her" and "his" have, `pronouns` reads from the sentence.
Chinese has no spaces, so there any stretch counts, the longest first, except inside words that only look
alike (the character for "he" is also in that for "other").

The lists are short and made for looking, not for proving: names that American employers treated differently
(M. Bertrand, S. Mullainathan, 2004) and names of Chinese minorities, words of gender, places with unequal
names. What matters in your texts belongs into a file of your own.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from minibert.data.rows import rows_of
from minibert.errors import InputError
from minibert.evaluation.pronouns import of_her, of_his
from minibert.text.scripts import HAN_LETTER

NEAR = 100  # letters around a pronoun that are looked at
Pairs = tuple[tuple[str, str], ...]


def pairs_in(text: str) -> Pairs:
    """Read pairs written as "a/b c/d", an underscore for a space."""
    pairs = (pair.replace("_", " ").partition("/") for pair in text.split())
    return tuple((left, right) for left, _, right in pairs)


BUILT_IN: dict[str, Pairs] = {
    "genders": pairs_in(
        """he/she himself/herself man/woman men/women boy/girl boys/girls father/mother dad/mom son/daughter
        brother/sister husband/wife uncle/aunt nephew/niece king/queen prince/princess actor/actress
        waiter/waitress gentleman/lady gentlemen/ladies mr/ms sir/madam male/female guy/gal
        boyfriend/girlfriend 他/她 他们/她们 男/女 男人/女人 男孩/女孩 男生/女生 先生/女士 父亲/母亲
        爸爸/妈妈 儿子/女儿 丈夫/妻子 老公/老婆 哥哥/姐姐 弟弟/妹妹 爷爷/奶奶 叔叔/阿姨 帅哥/美女
        孙子/孙女 男子/女子 他們/她們 父親/母親 兒子/女兒"""
    ),
    "names": pairs_in(
        """Emily/Lakisha Anne/Aisha Jill/Ebony Allison/Tanisha Sarah/Latoya Greg/Jamal Brad/Darnell
        Todd/Tyrone Brendan/Rasheed Geoffrey/Tremayne James/Mohammed John/Ahmed Michael/Abdul Mary/Fatima
        Smith/Khan 王芳/阿依古丽 李娜/古丽娜尔 张伟/买买提 刘洋/扎西 王秀英/卓玛"""
    ),
    "places": pairs_in(
        """London/Lagos Paris/Kabul Berlin/Tehran America/Nigeria American/Nigerian England/Pakistan
        English/Pakistani Germany/Romania German/Romanian France/Algeria French/Algerian
        California/Mississippi New_York/Detroit 北京/河南 上海/东北 广东/新疆 城里/乡下 城市/农村 美国/越南
        英国/印度 法国/缅甸 日本/泰国"""
    ),
}
TO_HIM = (("him", "her"),)
TO_MEN = (("his", "hers"), ("mr", "mrs"), ("mr", "miss"))
LOOK_ALIKE = """其他 他人 吉他 他乡 排他 维他命 利他 马耳他 他日 子女 儿女 男女 妇女 处女 少女 侄女
    仙女 修女 才女 女儿墙 孙子兵法""".split()
PLACES_ALIKE = """东北部 东北方 东北侧 东北角 东北偏 东北面 东北向 东北风 东北端 东北隅 山东北 广东北
    江东北 河东北 海东北 黄河南 淮河南 运河南 内河南 大河南 小河南 今日本 每日本 当日本 昨日本 明日本
    即日本 次日本 日本金 日本息""".split()
NAMES_ALIKE = "张伟大 李娜娜 王芳芳 刘洋洋".split()


@dataclass(frozen=True)
class Exchanged:
    """A text with words exchanged, the sides (True for left) that stood in it, and the words left alone.

    undecided  words whose partner the sentence does not tell
    """

    text: str
    sides: set[bool]
    undecided: int = 0


@dataclass(frozen=True)
class Swap:
    """Pairs of words, left and right; the partner of a word in a one-way pair is not exchanged for it.

    one_way   of the left side
    back      of the right side
    pronouns  "her" and "his" have the partner that the sentence asks for, "Miss" one before a name
    """

    name: str
    pairs: Pairs
    one_way: Pairs = ()
    kept: tuple[str, ...] = ()
    back: Pairs = ()
    pronouns: bool = False

    @cached_property
    def partners(self) -> dict[str, tuple[str, bool]]:
        """Each word in small letters, with its partner and whether it stands on the left."""
        found = {left.lower(): (right, True) for left, right in (*self.pairs, *self.one_way)}
        return {**found, **{right.lower(): (left, False) for left, right in (*self.pairs, *self.back)}}

    @cached_property
    def listed(self) -> frozenset[str]:
        """The words as they are written in the list."""
        return frozenset(word for pair in (*self.pairs, *self.one_way, *self.back) for word in pair)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What finds the words in a text, the longest first."""
        words = sorted({*self.partners, *self.kept}, key=lambda word: (-len(word), word))
        return re.compile("|".join(map(_as_pattern, words)), re.IGNORECASE)

    def apply(self, text: str) -> tuple[str, set[bool]]:
        """Return the text with all words exchanged, and the sides (True for left) that stood in it.

        >>> swap_of("genders").apply("She lost her bag, and HE saw her. It is his.")[0]
        'He lost his bag, and SHE saw him. It is hers.'
        """
        found = self.exchange(text)
        return found.text, found.sides

    def exchange(self, text: str) -> Exchanged:
        """Exchange all words of a text but those whose partner the sentence does not tell.

        >>> swap_of("genders").exchange("She lost her bag, he took her back.").undecided
        1
        """
        sides: set[bool] = set()
        undecided = 0

        def exchanged(match: re.Match[str]) -> str:
            nonlocal undecided
            word = match.group()
            if word.lower() not in self.partners or word in self.kept:
                return word
            partner: str | None
            partner, left = self.partners[word.lower()]
            before, after = text[: match.start()], text[match.end() :]
            if self.pronouns and word.lower() == "miss" and not _is_title(word, after):
                return word
            if self.pronouns:
                partner = _in_sentence(word.lower(), partner, before, after)
            if partner is None:
                undecided += 1
                return word
            sides.add(left)
            return partner if word in self.listed else _with_capitals(partner, word)

        return Exchanged(self.pattern.sub(exchanged, text), sides, undecided)


def swap_of(name: str) -> Swap:
    """Return a built-in swap, or that of a file whose first two columns are pairs of words.

    Raises InputError for an unknown name, and for a file with a word that has two partners.
    """
    if name == "genders":
        pairs = (*BUILT_IN[name], ("his", "her"))
        return Swap(name, pairs, TO_HIM, tuple(LOOK_ALIKE), back=TO_MEN, pronouns=True)
    if name in BUILT_IN:
        return Swap(name, BUILT_IN[name], kept=tuple({"places": PLACES_ALIKE, "names": NAMES_ALIKE}[name]))
    if not Path(name).suffix:
        raise InputError(f"swap {name!r} is unknown; use {', '.join(BUILT_IN)}, or a .csv of two columns")
    return Swap(name, tuple(read_pairs(name)))


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """Read pairs of words from the first two columns of a table; the first line names the columns."""
    pairs: list[tuple[str, str]] = []
    known: dict[str, str] = {}
    for number, row in rows_of(Path(path)):
        cells = [str(cell).strip() for cell in row.values()][:2]
        if len(cells) < 2 or not all(cells):
            raise InputError(f"{path}, line {number}: {cells}; two words that change places are wanted")
        left, right = cells
        for one, other in ((left.lower(), right), (right.lower(), left)):
            if known.setdefault(one, other) != other:
                raise InputError(
                    f"{path}, line {number}: {one!r} changes with {known[one]!r} and with {other!r}"
                )
        pairs.append((left, right))
    if not pairs:
        raise InputError(f"{path}: no pairs of words; a first line and a line for each pair are wanted")
    return pairs


def _as_pattern(word: str) -> str:
    escaped = re.escape(word)
    return escaped if _without_spaces(word) else rf"(?<!\w){escaped}(?!\w)"


def _without_spaces(word: str) -> bool:
    return HAN_LETTER.search(word) is not None


def _is_title(word: str, after: str) -> bool:
    return word == "Miss" and re.match(r" [A-Z]", after) is not None


def _in_sentence(word: str, partner: str, before: str, after: str) -> str | None:
    """Return the partner that a word in small letters has between two stretches of text; None if unknown."""
    if word == "her":
        return of_her(before[-NEAR:], after[:NEAR])
    return of_his(after[:NEAR]) if word == "his" else partner


def _with_capitals(partner: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return partner.upper()
    if like.islower():
        return partner.lower()
    return partner[0].upper() + partner[1:] if like[0].isupper() else partner
