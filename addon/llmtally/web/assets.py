"""The page's files, read once and held in memory: only what was there at the start is served,
whatever the path says."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parent / "static"

INDEX = "index.html"

MEDIA_TYPES = {
    # Given here because `mimetypes` asks the machine's lists, which may call JavaScript text/plain;
    # then no module loads.
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One of the page's files, ready to be sent."""

    media_type: str
    body: bytes
    compressed: bytes | None
    """The body with gzip; None if that saves nothing."""
    etag: str

    @classmethod
    def of(cls, path: Path) -> Asset:
        """Read and compress a file."""
        body = path.read_bytes()
        compressed = gzip.compress(body, mtime=0)
        etag = hashlib.sha256(body).hexdigest()[:16]
        return cls(
            MEDIA_TYPES[path.suffix],
            body,
            compressed if len(compressed) < len(body) else None,
            etag,
        )


def load_assets(directory: Path = STATIC) -> Mapping[str, Asset]:
    """Load every file of a known type, by its path in a URL; the index is `/`."""
    files = [
        path
        for path in sorted(directory.rglob("*"))
        if path.suffix in MEDIA_TYPES and path.is_file()
    ]
    names = {path: path.relative_to(directory).as_posix() for path in files}
    return {"/" if name == INDEX else f"/{name}": Asset.of(path) for path, name in names.items()}
