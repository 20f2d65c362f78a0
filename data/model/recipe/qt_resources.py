"""Reads the files in a Qt resource file (.rcc, versions 1 to 3)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

ZLIB, FOLDER, ZSTD = 1, 2, 4


class Resources:
    def __init__(self, path: Path) -> None:
        self.bytes = path.read_bytes()
        magic, self.version, self.tree, self.data, self.names = struct.unpack_from(">4sIIII", self.bytes)
        if magic != b"qres" or not 1 <= self.version <= 3:
            raise ValueError(f"{path} is not a Qt resource file of a version that is known")
        self.places = dict(self._walk(0, ""))

    def _walk(self, node: int, folder: str) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yields each file's path with its flags and the place of its bytes."""
        start = self.tree + node * (14 if self.version == 1 else 22)
        name_place, flags = struct.unpack_from(">IH", self.bytes, start)
        name = ""
        if node:
            length = struct.unpack_from(">H", self.bytes, self.names + name_place)[0]
            text = self.names + name_place + 6  # after the length and a hash
            name = self.bytes[text : text + 2 * length].decode("utf-16-be")
        path = f"{folder}/{name}" if folder or name else ""
        if flags & FOLDER:
            count, first = struct.unpack_from(">II", self.bytes, start + 6)
            for child in range(first, first + count):
                yield from self._walk(child, path)
        else:
            yield path, (flags, self.data + struct.unpack_from(">I", self.bytes, start + 10)[0])

    def read(self, path: str) -> bytes:
        flags, place = self.places[path]
        size = struct.unpack_from(">I", self.bytes, place)[0]
        content = self.bytes[place + 4 : place + 4 + size]
        if flags & ZSTD:
            raise ValueError(f"{path} is compressed with Zstandard, which is not read here")
        return zlib.decompress(content[4:]) if flags & ZLIB else content
