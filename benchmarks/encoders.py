"""What it costs to write an image, one way against another: `python -m benchmarks.encoders --help`."""

import argparse
import importlib
import io
import sys
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib
from PIL import Image, features

from benchmarks import codecs, machine
from benchmarks.pictures import Pixels, collections, picture
from benchmarks.statistics import median
from benchmarks.systems import ROOT

CANDIDATES = ROOT / "build" / "encoders"
"""Where make puts the packages of encoders.txt: beside the environment, since the service does not use them."""

_MODULES = ("cv2", "deflate", "fpng", "imagecodecs", "turbojpeg", "zlib_ng.zlib_ng")
_SAMPLE_S = 0.01
# A busy machine may wake the other thread too late.
_LOCK_TRIES = 10


@dataclass(frozen=True)
class Figure:
    """One way to write one collection.

    `cpu_us` is the median CPU time of an image. `psnr_db` is None where no pixel changes, or where nothing was decoded.
    """

    name: str
    cpu_us: float
    size_bytes: float
    psnr_db: float | None


def measure(
    ways: Mapping[str, Callable[[Any], Any]],
    sources: Sequence[Any],
    *,
    rounds: int,
    reference: Sequence[Pixels] | None = None,
) -> list[Figure]:
    """Every way in turn, another one first each time; `reference` is what lossy files are held against."""
    repeats = {name: _repeats(way, sources) for name, way in ways.items()}
    took: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            began = time.thread_time()
            _write(ways[name], sources, repeats[name])
            took[name].append((time.thread_time() - began) / repeats[name] * 1e6)
    figures = []
    for name, way in ways.items():
        made = [way(source) for source in sources]
        size_bytes = sum(map(len, made)) / len(made)
        psnr_db = None if reference is None else _psnr_db(made, reference)
        figures.append(Figure(name, median(took[name]), size_bytes, psnr_db))
    return figures


def _repeats(way: Callable[[Any], Any], sources: Sequence[Any]) -> int:
    way(sources[0])
    began = time.perf_counter()
    way(sources[0])
    return max(1, round(_SAMPLE_S / max(time.perf_counter() - began, 1e-6)))


def _write(way: Callable[[Any], Any], sources: Sequence[Any], count: int) -> None:
    for index in range(count):
        way(sources[index % len(sources)])


def lets_go(work: Callable[[], object]) -> bool:
    """Whether `work` gives up the interpreter lock, so that another thread runs before it is done.

    The interpreter itself is kept from switching meanwhile. The work has to take long enough for a thread to wake up.
    """
    ready, go, ran = threading.Event(), threading.Lock(), threading.Event()

    def other() -> None:
        ready.set()
        with go:
            ran.set()

    interval = sys.getswitchinterval()
    go.acquire()
    thread = threading.Thread(target=other)
    thread.start()
    ready.wait()
    time.sleep(0.01)
    sys.setswitchinterval(1e3)
    try:
        go.release()
        work()
        return ran.is_set()
    finally:
        sys.setswitchinterval(interval)
        thread.join()


def _psnr_db(files: Sequence[Any], reference: Sequence[Pixels]) -> float | None:
    errors = []
    for data, pixels in zip(files, reference, strict=True):
        with Image.open(io.BytesIO(bytes(data))) as image:
            found = np.asarray(image.convert("L" if pixels.shape[2] == 1 else "RGB")).reshape(pixels.shape)
        errors.append(float(((found.astype(np.float64) - pixels) ** 2).mean()))
    worst = sum(errors) / len(errors)
    return None if worst == 0 else 10 * float(np.log10(255**2 / worst))


def report(bundle: Path, *, rounds: int, sides: Sequence[int]) -> str:
    """The tables, as Markdown."""
    modules = _modules()
    parts = [_setting(modules)]
    for title, images in collections(bundle, sides).items():
        parts.append(f"## {title}")
        parts += _tables(images, modules, rounds)
    parts.append(locks(modules))
    return "\n\n".join(parts) + "\n"


def _tables(images: Sequence[Pixels], modules: Mapping[str, Any], rounds: int) -> list[str]:
    lines = [codecs.lines_of(pixels) for pixels in images]
    tables: list[tuple[str, Mapping[str, Callable[[Any], Any]], Sequence[Any], Sequence[Pixels] | None]] = [
        ("PNG", codecs.png_writers(modules), images, None),
        ("Deflate alone, of the service's rows", codecs.deflaters(modules), lines, None),
        ("JPEG", codecs.jpeg_writers(modules), images, images),
        ("WebP", codecs.webp_writers(modules), images, images),
        ("NPY", codecs.npy_writers(), images, None),
    ]
    texts = []
    for title, ways, sources, reference in tables:
        figures = measure(ways, sources, rounds=rounds, reference=reference)
        texts.append(f"### {title}\n\n{_table(figures)}")
    texts.insert(2, f"### PNG row filters, in front of ISA-L 1\n\n{_table(_filters(images, rounds))}")
    return texts


def _filters(images: Sequence[Pixels], rounds: int) -> list[Figure]:
    """Each filter with the deflate that follows it: what is quick to filter can be slow to pack."""

    def packed(make: Callable[[Pixels], Any]) -> Callable[[Pixels], bytes]:
        return lambda pixels: isal_zlib.compress(make(pixels), 1)

    return measure({name: packed(make) for name, make in codecs.filters()}, images, rounds=rounds)


def _table(figures: Sequence[Figure]) -> str:
    lossy = any(figure.psnr_db is not None for figure in figures)
    head = ["", "CPU us an image", "bytes", *(["PSNR dB"] if lossy else [])]
    rows = [
        [
            figure.name,
            f"{figure.cpu_us:,.1f}" if figure.cpu_us < 1000 else f"{figure.cpu_us:,.0f}",
            f"{figure.size_bytes:,.0f}",
            *(["" if figure.psnr_db is None else f"{figure.psnr_db:.1f}"] if lossy else []),
        ]
        for figure in figures
    ]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return _lines([head, rule, *rows])


def locks(modules: Mapping[str, Any]) -> str:
    """A table of which ways let the interpreter lock go, on a picture that is large enough to see it."""
    pixels = picture(2048, 0)
    lines = codecs.lines_of(pixels)
    kinds: list[tuple[str, Mapping[str, Callable[[Any], Any]], Any]] = [
        ("PNG", codecs.png_writers(modules), pixels),
        ("deflate", codecs.deflaters(modules), lines),
        ("JPEG", codecs.jpeg_writers(modules), pixels),
        ("WebP", codecs.webp_writers(modules), pixels),
    ]
    found = [
        [f"{kind}: {name}", "let go" if any(lets_go(partial(way, source)) for _ in range(_LOCK_TRIES)) else "held"]
        for kind, ways, source in kinds
        for name, way in ways.items()
        if "level 9" not in name and "lossless, method 4" not in name  # they take seconds
    ]
    return "## The interpreter lock during the work\n\n" + _lines([["", "lock"], ["---", "---"], *found])


def _lines(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _modules() -> dict[str, Any]:
    """The candidates that are there; the environment's own packages come first."""
    sys.path.append(str(CANDIDATES))
    found = {}
    for name in _MODULES:
        try:
            found[name] = importlib.import_module(name)
            if name == "turbojpeg":
                found[name].TurboJPEG()
        except (ImportError, RuntimeError):  # not installed, or without the library that it wraps
            found.pop(name, None)
    return found


def _setting(modules: Mapping[str, Any]) -> str:
    facts: Any = machine.describe()
    changed = " with uncommitted changes" if facts["uncommitted_changes"] else ""
    ours = {name: metadata.version(name) for name in ("isal", "numpy", "pillow", "simplejpeg")}
    theirs = {found.name: found.version for found in metadata.distributions(path=[str(CANDIDATES)])}
    left_out = [name for name in _MODULES if name not in modules]
    return "\n".join(
        [
            "# Encoders",
            "",
            f"- command: `{machine.command_line()}`",
            f"- machine: {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, kernel {facts['kernel']}, "
            f"Python {facts['python']}",
            f"- commit {facts['commit']}{changed}, load average before the run {facts['load_before']}",
            f"- used by the service: {_listed(ours)}, zlib {zlib.ZLIB_RUNTIME_VERSION}; inside Pillow: "
            f"zlib-ng {features.version('zlib_ng')}, libjpeg-turbo {features.version('libjpeg_turbo')}, "
            f"libwebp {features.version('webp')}",
            f"- candidates: {_listed(theirs)}" + (f"; could not be loaded: {', '.join(left_out)}" if left_out else ""),
            "- CPU time of the thread, median; all ways of a table take turns, so that ratios within a table hold",
            "  where other work slows the machine down",
            "- PNGs of the service and of Pillow carry five texts, 183 bytes; the other writers cannot",
        ]
    )


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) or "none"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoders", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "mnist" / "1", help="of the digits")
    parser.add_argument("--sides", type=int, nargs="*", default=[64, 256, 1024], help="of the RGB images (%(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="of each table (%(default)s)")
    parser.add_argument("--out", type=Path, help="Markdown file to write beside printing it")
    given = parser.parse_args(arguments)
    text = report(given.bundle, rounds=given.rounds, sides=given.sides)
    print(text, end="")
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text, encoding="utf-8")
    if warning := machine.busy():
        print(f"\n{warning}", file=sys.stderr)


if __name__ == "__main__":
    main()
