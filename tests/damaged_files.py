"""Files that are damaged or claim what is not so: bytes changed or cut off, safetensors with any header."""

import json
import struct

from hypothesis import strategies as st

share, byte = st.floats(0, 1), st.integers(0, 255)
damage = st.tuples(st.lists(st.tuples(share, byte), max_size=8), st.one_of(st.just(1.0), share))


def damaged(data: bytes, changes: list[tuple[float, int]], keep: float) -> bytes:
    """Return bytes with some replaced, cut off after a share of them."""
    out = bytearray(data)
    for place, value in changes:
        out[int(place * (len(out) - 1))] = value
    return bytes(out[: int(keep * len(out))])


def safetensors(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    """Return the bytes of a file with any header, whatever it claims of its own length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data
