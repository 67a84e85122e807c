# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Inputs that are made to hurt: what no mutation of a good file soon leads to."""

from __future__ import annotations

from collections.abc import Iterator


def json_bombs() -> Iterator[bytes]:
    """Make JSON that is deep, long or odd."""
    for depth in (400, 100_000):
        yield b"[" * depth + b"]" * depth
        yield b'{"a":' * depth + b"1" + b"}" * depth
    yield b'{"files": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}"
    yield from (b"", b"null", b"7", b'"x"', b"[]", b"{}", b"NaN", b"-Infinity", b"1e999",
                 b"9" * 5000, b'{"a":' + b"9" * 5000 + b"}", b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}",
                 b'"\\ud800"', b'{"\\ud800":1}', b'{"\\u0000":1}', b'{"a":1,"a":2}')  # fmt: skip


def csv_bombs(header: bytes, row: bytes) -> Iterator[bytes]:
    """Make CSV files with the faults that spreadsheets, editors and enemies leave."""
    good = header + b"\n" + row + b"\n"
    yield good
    yield from (b"", b"\n", header, header + b"\n", good * 2, good.replace(b",", b";"),
                 good.replace(b",", b"\t"), b"\xef\xbb\xbf" + good, good.replace(b"\n", b"\r\n"),
                 good.replace(b"\n", b"\r"), good[:-3], good + row[: len(row) // 2],
                 good.decode().encode("utf-16"), good + b"\0", good + b"\xff\xfe", b'"' + good,
                 good + b'"' + b"x" * 140_000, header + b"\n" + b'"a\nb",' + row,
                 header + b"," + header + b"\n" + row + b"," + row, good + b"," * 500,
                 good.replace(b"\n", b"\xe2\x80\xa8"), b"," * 300 + b"\n" + b"," * 300)  # fmt: skip
    cells = row.split(b",")
    for index in range(len(cells)):
        for odd in (b"", b"nan", b"inf", b"1e999", b"-1", b"9" * 400, b"9" * 5000, b"\xd9\xa3",
                    b"\xc2\xb2", b"0x10", b"1_0", b"\0", b"../x", b"/x", b"a\x00b", b"\xe2\x80\xa8",
                    b'"', b"x" * 300):  # fmt: skip
            yield header + b"\n" + b",".join([*cells[:index], odd, *cells[index + 1 :]]) + b"\n"
