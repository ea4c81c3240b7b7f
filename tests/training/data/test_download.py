import hashlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.training.conftest import DIGITS
from tests.training.data.mirror import Mirror, serve
from training.cli import main
from training.data import Split, load
from training.data.download import download
from training.data.published import PUBLISHED, PublishedFile, PublishedSet
from training.errors import DataError

FILES = {path.name: path.read_bytes() for path in DIGITS.glob("*.gz")}
FIRST, *_, LAST = sorted(FILES)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serve(Mirror(dict(FILES))) as running:
        yield running


def _published(mirror: Mirror) -> PublishedSet:
    files = tuple(PublishedFile(name, len(FILES[name]), hashlib.sha256(FILES[name]).hexdigest()) for name in FILES)
    files = tuple(sorted(files, key=lambda file: file.name))
    return PublishedSet("digits", mirror.url, "none", tuple("0123456789"), files)


def _fetch(mirror: Mirror, out: Path, *, timeout_s: float = 10.0) -> dict[str, list[int]]:
    """Download, and return what was told of each file's progress."""
    told: dict[str, list[int]] = {}
    download(
        _published(mirror),
        out,
        progress=lambda file, received: told.setdefault(file.name, []).append(received),
        timeout_s=timeout_s,
    )
    return told


def _names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_a_downloaded_set_can_be_read(tmp_path: Path, mirror: Mirror, digits: Split) -> None:
    told = _fetch(mirror, tmp_path / "deep" / "digits")
    assert {name: counts[-1] for name, counts in told.items()} == {name: len(data) for name, data in FILES.items()}
    assert _names(tmp_path / "deep" / "digits") == ["classes.txt", *sorted(FILES)]
    again = load(tmp_path / "deep" / "digits")
    assert np.array_equal(again.train.images, digits.train.images)
    assert again.train.classes == digits.train.classes


def test_what_is_there_is_not_fetched_again(tmp_path: Path, mirror: Mirror) -> None:
    _fetch(mirror, tmp_path)
    mirror.asked.clear()
    assert [counts[-1] for counts in _fetch(mirror, tmp_path).values()] == [len(FILES[name]) for name in sorted(FILES)]
    assert mirror.asked == []


def test_a_wrong_hash_is_refused_and_nothing_is_left(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files[FIRST] = bytes(len(FILES[FIRST]))
    with pytest.raises(DataError, match=f"{FIRST}: its SHA-256 is not that of the published file"):
        _fetch(mirror, tmp_path)
    assert _names(tmp_path) == []


def test_another_file_in_the_place_is_neither_trusted_nor_overwritten(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / FIRST).write_bytes(b"mine")
    with pytest.raises(DataError, match="is not the published file; move it away first"):
        _fetch(mirror, tmp_path)
    assert (tmp_path / FIRST).read_bytes() == b"mine"


@pytest.mark.parametrize("length", [True, False], ids=["with length", "without"])
def test_a_broken_download_is_gone_on_with(tmp_path: Path, mirror: Mirror, *, length: bool) -> None:
    mirror.length = length
    mirror.stops_after = 1000
    with pytest.raises(DataError, match=r"ended after 1,000 of [\d,]+ bytes; run again to go on"):
        _fetch(mirror, tmp_path)
    assert _names(tmp_path) == [f"{FIRST}.part"]
    mirror.stops_after = None
    _fetch(mirror, tmp_path)
    assert mirror.asked[1] == (f"/sets/{FIRST}", "bytes=1000-")
    assert (tmp_path / FIRST).read_bytes() == FILES[FIRST]
    assert _names(tmp_path) == ["classes.txt", *sorted(FILES)]


def test_a_server_without_ranges_sends_the_whole_file_again(tmp_path: Path, mirror: Mirror) -> None:
    mirror.ranges = False
    (tmp_path / f"{FIRST}.part").write_bytes(b"something else")
    _fetch(mirror, tmp_path)
    assert (tmp_path / FIRST).read_bytes() == FILES[FIRST]


def test_a_part_of_something_else_is_found_out_and_removed(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / f"{FIRST}.part").write_bytes(b"something else")
    with pytest.raises(DataError, match="its SHA-256 is not that of the published file"):
        _fetch(mirror, tmp_path)
    assert _names(tmp_path) == []
    _fetch(mirror, tmp_path)


def test_a_part_that_is_whole_already_needs_no_server(tmp_path: Path, mirror: Mirror) -> None:
    for name, data in FILES.items():
        (tmp_path / f"{name}.part").write_bytes(data)
    _fetch(mirror, tmp_path)
    assert mirror.asked == []
    assert _names(tmp_path) == ["classes.txt", *sorted(FILES)]


def test_a_part_that_is_too_long_is_begun_anew(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / f"{FIRST}.part").write_bytes(FILES[FIRST] + b"more")
    _fetch(mirror, tmp_path)
    assert mirror.asked[0] == (f"/sets/{FIRST}", None)


def test_another_range_than_asked_for_is_refused(tmp_path: Path, mirror: Mirror) -> None:
    mirror.range_offset = 1
    (tmp_path / f"{FIRST}.part").write_bytes(FILES[FIRST][:1000])
    with pytest.raises(DataError, match="another range than was asked for"):
        _fetch(mirror, tmp_path)
    assert (tmp_path / f"{FIRST}.part").read_bytes() == FILES[FIRST][:1000]


def test_a_file_of_another_length_is_refused_before_it_is_taken(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files[FIRST] += b"more"
    with pytest.raises(DataError, match=f"bytes long, the published file {len(FILES[FIRST]):,}"):
        _fetch(mirror, tmp_path)
    assert _names(tmp_path) == []


def test_a_file_without_end_is_cut_off_at_its_length(tmp_path: Path, mirror: Mirror) -> None:
    mirror.length = False
    mirror.files = {name: data + bytes(10**6) for name, data in FILES.items()}
    told = _fetch(mirror, tmp_path)
    assert {name: max(counts) for name, counts in told.items()} == {name: len(data) for name, data in FILES.items()}


def test_a_part_that_is_longer_than_the_file_on_the_mirror_is_dropped(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files[FIRST] = FILES[FIRST][:500]
    (tmp_path / f"{FIRST}.part").write_bytes(FILES[FIRST][:1000])
    with pytest.raises(DataError, match="the server answered 416"):
        _fetch(mirror, tmp_path)
    assert _names(tmp_path) == []


def test_a_server_that_falls_silent_is_given_up_and_what_came_is_kept(tmp_path: Path, mirror: Mirror) -> None:
    mirror.stops_after, mirror.stalls = 1000, True
    with pytest.raises(DataError, match=r"the server said nothing for 0\.2 s; run again to go on"):
        _fetch(mirror, tmp_path, timeout_s=0.2)
    mirror.stops_after, mirror.stalls = None, False
    _fetch(mirror, tmp_path)
    assert mirror.asked[1] == (f"/sets/{FIRST}", "bytes=1000-")


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirror = Mirror({})
        mirror.url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DataError, match=r"said nothing for 0\.2 s"):
            _fetch(mirror, tmp_path, timeout_s=0.2)


def test_a_missing_file_and_a_missing_server_are_told(tmp_path: Path, mirror: Mirror) -> None:
    del mirror.files[LAST]
    with pytest.raises(DataError, match=f"{LAST}: the server answered 404 Not Found"):
        _fetch(mirror, tmp_path)
    assert _names(tmp_path) == sorted(set(FILES) - {LAST})
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    mirror.url = f"http://127.0.0.1:{port}"
    with pytest.raises(DataError, match="cannot be reached"):
        _fetch(mirror, tmp_path)


@pytest.mark.parametrize("url", ["http://example.org/sets", "file:///etc", "ftp://example.org", "https:///x", "sets"])
def test_only_https_is_spoken_but_to_this_machine(tmp_path: Path, mirror: Mirror, url: str) -> None:
    with pytest.raises(DataError, match="over https alone"):
        download(_published(mirror), tmp_path / "out", progress=lambda *_: None, mirror=url)
    assert not (tmp_path / "out").exists()


def test_a_redirect_to_plain_http_elsewhere_is_not_followed(tmp_path: Path, mirror: Mirror) -> None:
    mirror.status, mirror.location = 302, "http://example.org/sets/file"
    with pytest.raises(DataError, match=r"example\.org/sets/file: data sets are fetched over https alone"):
        _fetch(mirror, tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written"):
        _fetch(mirror, tmp_path / "file")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sets_are_pinned_whole(name: str) -> None:
    published = PUBLISHED[name]
    stems = {f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")}
    assert published.name == name
    assert {file.name for file in published.files} == stems
    assert len({file.sha256 for file in published.files}) == 4
    assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in published.files)
    assert len(set(published.classes)) == 10
    assert published.url.startswith("https://")


def test_the_command_refuses_what_a_mirror_makes_up(tmp_path: Path, mirror: Mirror) -> None:
    command = ["data", "download", "mnist", "--out", str(tmp_path / "mnist"), "--mirror", mirror.url]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "the published file 9,912,422" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("gantrain: ")
    assert mirror.asked == [("/sets/train-images-idx3-ubyte.gz", None)]
