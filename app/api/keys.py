"""API keys: reading them from a file, and the middleware that asks for one."""

import hashlib
import hmac
from collections.abc import Collection
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import SettingsError, Unauthorized

UNGUARDED = ("/livez", "/readyz", "/healthz", "/docs", "/openapi.json", "/playground")
"""Path prefixes that never ask for a key: health probes have none, and the reference and the playground's own files
hold no secret: what the page asks for goes through the guarded routes."""
_MIN_KEY_CHARS = 16


def is_guarded(path: str) -> bool:
    """Whether a path is behind keys and rate limits."""
    return path != "/" and not any(path == prefix or path.startswith(f"{prefix}/") for prefix in UNGUARDED)


def read_keys(path: Path) -> frozenset[bytes]:
    """SHA-256 of each key in a file with one key a line; blank lines and lines that begin with # are skipped.

    Raises SettingsError when the file cannot be read, holds no key, or holds one that is too short or not ASCII.
    """
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"GANSERVE_API_KEYS_FILE: {path}: {reason}") from None
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise SettingsError(f"GANSERVE_API_KEYS_FILE: {path}: holds no key")
    if not all(len(key) >= _MIN_KEY_CHARS and key.isascii() and key.isprintable() and " " not in key for key in keys):
        raise SettingsError(
            f"GANSERVE_API_KEYS_FILE: {path}: a key is at least {_MIN_KEY_CHARS} printable ASCII characters"
        )
    return frozenset(hashlib.sha256(key.encode()).digest() for key in keys)


def presented_key(scope: Scope) -> bytes | None:
    """The key a request carries, in `Authorization: Bearer` or `X-API-Key`."""
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return bytes(value)
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            found = bytes(value[7:].strip())
    return found


class KeyMiddleware:
    """Lets a request through only with one of the keys, given as SHA-256 digests."""

    def __init__(self, app: ASGIApp, digests: Collection[bytes]) -> None:
        self._app = app
        self._digests = tuple(digests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or raise Unauthorized."""
        if scope["type"] == "http" and is_guarded(scope["path"]):
            key = presented_key(scope)
            if key is None or not self._known(key):
                raise Unauthorized("send a valid key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
        await self._app(scope, receive, send)

    def _known(self, key: bytes) -> bool:
        # Every digest is compared, in constant time, so that nothing about the keys can be timed.
        digest = hashlib.sha256(key).digest()
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0
