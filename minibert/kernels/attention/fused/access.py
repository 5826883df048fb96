"""How the kernels find, read and write their rows, and who may see whom.

Rows are the tokens that a program answers for, columns those on the other side that it walks over. Of the
columns that any of its rows may see, those in the middle are seen by all of them: there no score is hidden,
and no mask has to be made. With 4 rows from place 8 on, a window of 5 and columns two at a time::

    columns   3 4 5 6 7 8 9 10 11 12 13 14 15 16
    row 8     x x x x x x x  x  x  x  x
    row 11          x x x x  x  x  x  x  x  x  x      seen by all: 6 to 13
              start     whole           rest         stop
"""

import triton
import triton.language as tl


@triton.jit
def tile(TILES, ROWS: tl.constexpr):
    """Return this program's sequence, -1 if there is none, and the place in it where its tile begins."""
    number = tl.program_id(0)
    return tl.load(TILES + number), tl.load(TILES + tl.num_programs(0) + number) * ROWS


@triton.jit
def span(BORDERS, sequence):
    """Return where a sequence starts in the packed batch, and how many tokens it has."""
    start = tl.load(BORDERS + sequence)
    return start, tl.load(BORDERS + sequence + 1) - start


@triton.jit
def load_rows(BASE, rows, stride, end, SIZE: tl.constexpr, WIDTH: tl.constexpr, MASKED: tl.constexpr):
    """Load (rows, WIDTH), of which SIZE columns exist; if MASKED, rows from `end` on are zeros."""
    columns = tl.arange(0, WIDTH)
    at = BASE + rows[:, None] * stride + columns[None, :]
    if MASKED:
        if SIZE == WIDTH:
            x = tl.load(at, mask=(rows < end)[:, None], other=0.0)
        else:
            x = tl.load(at, mask=(rows < end)[:, None] & (columns < SIZE)[None, :], other=0.0)
    else:
        if SIZE == WIDTH:
            x = tl.load(at)
        else:
            x = tl.load(at, mask=(columns < SIZE)[None, :], other=0.0)
    return x


@triton.jit
def store_rows(BASE, rows, stride, end, x, SIZE: tl.constexpr, WIDTH: tl.constexpr):
    """Store what lies inside."""
    columns = tl.arange(0, WIDTH)
    inside = (rows < end)[:, None] & (columns < SIZE)[None, :]
    tl.store(BASE + rows[:, None] * stride + columns[None, :], x.to(BASE.dtype.element_ty), mask=inside)


@triton.jit
def seen(queries, keys, end, WINDOW: tl.constexpr, CAUSAL: tl.constexpr):
    """Say which query may look at which key, (queries, keys); WINDOW < 0 is none."""
    allowed = (keys < end)[None, :]
    if WINDOW >= 0:
        allowed = allowed & (tl.abs(queries[:, None] - keys[None, :]) <= WINDOW)
    if CAUSAL:
        allowed = allowed & (keys[None, :] <= queries[:, None])
    return allowed


@triton.jit
def columns_of(
    first, count, WINDOW: tl.constexpr, UP_TO: tl.constexpr, FROM: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Return (start, whole, rest, stop): rows first .. first + ROWS see columns start .. stop.

    All of them see those between `whole` and `rest`, whole tiles of COLUMNS counted from `start`. A row
    sees columns up to its own place (UP_TO: queries of causal attention) or from it on (FROM: keys).
    """
    start = 0
    stop = count
    lowest = 0
    highest = count
    if WINDOW >= 0:
        start = tl.maximum(first - WINDOW, 0)
        stop = tl.minimum(first + ROWS + WINDOW, count)
        lowest = tl.maximum(first + ROWS - 1 - WINDOW, 0)
        highest = tl.minimum(first + 1 + WINDOW, count)
    if UP_TO:
        stop = tl.minimum(first + ROWS, stop)
        highest = tl.minimum(first + 1, highest)
    if FROM:
        start = tl.maximum(first, start)
        lowest = tl.maximum(first + ROWS - 1, lowest)
    whole = tl.minimum(start + (tl.maximum(lowest - start, 0) + COLUMNS - 1) // COLUMNS * COLUMNS, stop)
    rest = whole + tl.maximum(highest - whole, 0) // COLUMNS * COLUMNS
    return start, whole, rest, stop
