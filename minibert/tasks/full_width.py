"""Chinese marks in written texts: full width where the training targets have them so.

A vocabulary in NFKC knows `，` and `,` as one token, so a decoder cannot tell which of them it means. The
targets that it learnt from tell: a mark that is mostly of full width there is written so again, beside a Han
character or another such mark. Between letters and digits (3,000; 10:30; Smith, J.) it stays what it is.
"""

import re
from collections import Counter
from collections.abc import Iterable

from minibert.text.scripts import HAN

FULL = {half: chr(ord(half) + 0xFEE0) for half in ",?!:;()"}  # U+FF0C and so on
EITHER = {*FULL, *FULL.values()}
CHINESE = re.compile(rf"[{HAN}{''.join(FULL.values())}。、“”‘’《》…]")


def full_width_marks(texts: Iterable[str]) -> str:
    """Return the half-width marks whose full forms are the more frequent ones beside Chinese in some texts.

    >>> full_width_marks(["来了，来了！", "3,000 (三千)"])
    ',!'
    """
    counts: Counter[str] = Counter()
    for text in texts:
        marks = (place for place, letter in enumerate(text) if letter in EITHER)
        counts.update(text[place] for place in marks if beside_chinese(text, place))
    return "".join(half for half, full in FULL.items() if counts[full] > counts[half])


def widened(text: str, marks: str) -> str:
    """Return a text with these marks in full width where they stand beside Chinese.

    >>> widened("3,000年(约),来了,iPhone,来了!!", ",!()")
    '3,000年（约），来了，iPhone，来了！！'
    """
    for place, letter in enumerate(text):
        if letter in marks and beside_chinese(text, place):  # which a mark that was widened before it is
            text = text[:place] + FULL[letter] + text[place + 1 :]
    return text


def beside_chinese(text: str, place: int) -> bool:
    """Whether a Han character or a Chinese mark stands before a place of a text, or behind it."""
    return CHINESE.search(text[max(0, place - 1) : place] + text[place + 1 : place + 2]) is not None
