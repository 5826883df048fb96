"""Which characters are Chinese, and which scripts put no spaces between their words.

Han are the unified and compatibility ideographs with their extensions (Unicode 17, blocks CJK Unified
Ideographs, Extensions A to J, and CJK Compatibility Ideographs). Kana and hangul are not: they are spelt, and
pieces of several syllables are as sensible as in any alphabet. Chinese and Japanese write words without
spaces, their punctuation and full-width forms included; Korean parts its words.
"""

import re
from itertools import pairwise

# Where ideographs begin and stop, in turn: 々 to 〇 (iteration mark, zero), then Han: extension A, unified,
# compatibility, planes 2 and 3.
IDEOGRAPH_BORDERS = (0x3005, 0x3008, 0x3400, 0x4DC0, 0x4E00, 0xA000, 0xF900, 0xFB00, 0x20000, 0x3FFFE)
_RANGES = [f"{chr(start)}-{chr(stop - 1)}" for start, stop in pairwise(IDEOGRAPH_BORDERS)][::2]
HAN = "".join(_RANGES[1:])  # for use inside [ ]
HAN_LETTER = re.compile(f"[{HAN}]")
IDEOGRAPH = re.compile(f"[{''.join(_RANGES)}]")
_UNSPACED = "\u2e80-\u312f\u31a0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003fffd"
_SHARED = "“”‘’…—·"  # punctuation of Chinese and English alike: it takes after its neighbour
UNSPACED = re.compile(f"[{_UNSPACED}]")
_GAP = re.compile(f"(?<=[{_UNSPACED}]) (?=[{_UNSPACED}{_SHARED}])|(?<=[{_SHARED}]) (?=[{_UNSPACED}])")


def stand_together(left: str, right: str) -> bool:
    """Whether nothing is written between two characters where one word ends and the next begins.

    >>> stand_together("我", "们"), stand_together("我", "a"), stand_together("。", "”")
    (True, False, True)
    """
    unspaced = [bool(UNSPACED.match(character)) for character in (left, right)]
    return all(unspaced) or (any(unspaced) and (left in _SHARED or right in _SHARED))


def without_gaps(text: str) -> str:
    """Take out single spaces between characters that stand together.

    >>> without_gaps("他 说 ： “ 我 用 BERT 。 ” Yes, “ really ” .")
    '他说：“我用 BERT 。” Yes, “ really ” .'
    """
    return _GAP.sub("", text)
