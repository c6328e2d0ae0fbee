"""Several pieces of bytes as one, each behind its length."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def framed(pieces: Sequence[bytes]) -> bytes:
    """The pieces as one."""
    return struct.pack(f"<{len(pieces)}Q", *map(len, pieces)) + b"".join(pieces)


def unframed(raw: bytes, number: int) -> list[bytes]:
    """The pieces, of which there are so many. Raises ValueError where there are not."""
    try:
        lengths = struct.unpack_from(f"<{number}Q", raw)
    except struct.error as error:
        raise ValueError(str(error)) from error
    at, pieces = 8 * number, []
    for length in lengths:
        pieces.append(raw[at : at + length])
        at += length
    if at != len(raw):
        raise ValueError("the pieces are not as long as they are said to be")
    return pieces
