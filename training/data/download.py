"""The download of a published data set: over HTTPS, resumable, and kept only when every SHA-256 is right."""

import hashlib
import http.client
import ssl
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from training.data.idx import CLASSES_FILE
from training.data.published import PublishedFile, PublishedSet
from training.errors import DataError

TIMEOUT_S = 30.0
"""How long a server may say nothing."""
MIN_BYTES_PER_S = 1024
"""What a server has to send on average, once TIMEOUT_S are over."""

_CHUNK_BYTES = 2**18
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Progress = Callable[[PublishedFile, int], None]
"""Told how many bytes of a file are there."""


def download(
    published: PublishedSet, out: Path, *, progress: Progress, mirror: str | None = None, timeout_s: float = TIMEOUT_S
) -> None:
    """Fetch the set's files into the folder `out`, from its own place or from the folder `mirror` on another server.

    A file that is there and right is left alone. One on its way is called `.part`, is gone on with by the next call,
    and gets its name when its SHA-256 is that of the published file; otherwise it is removed. Only HTTPS is spoken, or
    HTTP to this machine, and no more is taken than a file is long.

    Raises DataError for whatever keeps the files from being fetched whole.
    """
    source = (mirror or published.url).rstrip("/")
    _require_https(source)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file in published.files:
            _Transfer(file, f"{source}/{file.name}", out / file.name, timeout_s, progress).complete()
        (out / CLASSES_FILE).write_text("\n".join(published.classes) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error})") from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows only to where a download may begin."""

    def redirect_request(  # noqa: PLR0917 -- urllib's own signature
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_https(url: str) -> None:
    parts = urlsplit(url)
    if not (parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK))):
        raise DataError(f"{url}: data sets are fetched over https alone")


@dataclass(frozen=True)
class _Transfer:
    """One file on its way from `url` to `target`."""

    file: PublishedFile
    url: str
    target: Path
    timeout_s: float
    progress: Progress

    def complete(self) -> None:
        """Leave the whole file at `target`, or raise DataError."""
        if self.target.exists():
            if _sha256(self.target) != self.file.sha256:
                raise DataError(f"{self.target}: is not the published file; move it away first")
            self.progress(self.file, self.file.size_bytes)
            return
        part = self.target.with_name(f"{self.target.name}.part")
        if part.exists() and part.stat().st_size > self.file.size_bytes:
            part.unlink()
        if not part.exists() or part.stat().st_size < self.file.size_bytes:
            self._receive(part)
        if _sha256(part) != self.file.sha256:
            part.unlink()
            raise DataError(f"{self.url}: its SHA-256 is not that of the published file; it was not kept")
        part.replace(self.target)

    def _receive(self, part: Path) -> None:
        """Append to `part` what it lacks."""
        start = part.stat().st_size if part.exists() else 0
        headers = {"User-Agent": "gantrain"} | ({"Range": f"bytes={start}-"} if start else {})
        opener = urllib.request.build_opener(_Redirects)
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310 -- the scheme was checked
        try:
            with opener.open(request, timeout=self.timeout_s) as response:
                start = self._accepted_start(response, start)
                with part.open("ab" if start else "wb") as kept:
                    received = self._copy(response, kept, start)
        except HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink()  # of a file that is shorter here: the next call begins anew and finds out
            raise DataError(f"{self.url}: the server answered {error.code} {error.reason}") from None
        except TimeoutError:
            raise DataError(self._silence()) from None
        except URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise DataError(self._silence()) from None
            raise DataError(f"{self.url}: cannot be reached ({error.reason})") from None
        except (http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
            told = type(error).__name__
            raise DataError(f"{self.url}: the connection broke ({told}); run again to go on") from None
        if received < self.file.size_bytes:
            told = f"{received:,} of {self.file.size_bytes:,} bytes"
            raise DataError(f"{self.url}: ended after {told}; run again to go on")

    def _silence(self) -> str:
        return f"{self.url}: the server said nothing for {self.timeout_s:g} s; run again to go on"

    def _accepted_start(self, response: http.client.HTTPResponse, start: int) -> int:
        """From which byte the server sends, having been asked for those from `start` on."""
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise DataError(f"{self.url}: the server sent another range than was asked for")
        length = response.length
        if length is not None and start + length != self.file.size_bytes:
            told = f"{start + length:,} bytes long, the published file {self.file.size_bytes:,}"
            raise DataError(f"{self.url}: is {told}")
        return start

    def _copy(self, response: http.client.HTTPResponse, kept: IO[bytes], start: int) -> int:
        """Copy until the file is as long as it should be or the server ends; returns how long it is."""
        begun, received = time.monotonic(), start
        while received < self.file.size_bytes:
            chunk = response.read1(min(_CHUNK_BYTES, self.file.size_bytes - received))
            if not chunk:
                break
            kept.write(chunk)
            received += len(chunk)
            self.progress(self.file, received)
            elapsed_s = time.monotonic() - begun
            if elapsed_s > self.timeout_s and (received - start) / elapsed_s < MIN_BYTES_PER_S:
                told = f"less than {MIN_BYTES_PER_S:,} bytes/s"
                raise DataError(f"{self.url}: the server sends {told}; run again to go on")
        return received


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
