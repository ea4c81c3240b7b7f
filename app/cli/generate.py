"""`ganserve generate`: images, and whole data sets of them, as files."""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from app import imaging
from app.cli.collection import Collection, Entry, Plan
from app.cli.one_model import DEVICE, FOLDER, with_model
from app.cli.seeds import MOST, parse_seeds
from app.cli.sources import Drawn, LocalSource, RemoteSource, Source, Wish
from app.errors import RequestError
from app.generation import draw_seeds
from app.registry import LiveModel
from app.repository import find_bundle

_EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp", "npy": "npy"}
_AT_ONCE = 64


@dataclass(frozen=True)
class _Output:
    """How the images are written."""

    out: Path
    image_format: imaging.ImageFormat
    quality: int
    png_level: int
    grid: bool

    @property
    def packed(self) -> bool:
        """Whether one file is made of all images in the end."""
        return self.out.suffix in {".zip", ".npz"}

    @property
    def folder(self) -> Path:
        """Where the images go first."""
        return self.out.with_name(self.out.name + ".part") if self.packed else self.out


@click.command("generate")
@click.argument("bundle", type=FOLDER, required=False)
@click.option("--model", metavar="NAME[@VERSION]", help="A model by name, instead of a BUNDLE's folder.")
@click.option("--models", type=FOLDER, default=Path("models"), show_default=True, help="Where --model is looked for.")
@click.option("--url", help="A running service to have the images from, such as http://localhost:8000.")
@click.option("--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="API key for --url.")
@click.option("--seeds", callback=parse_seeds, metavar="LIST", help="Seeds and ranges, such as 0-15,42.")
@click.option("-n", "--n", "count", type=click.IntRange(1, MOST), help="This many fresh seeds instead.")
@click.option("--class-id", type=click.IntRange(0), help="Class of all images; unset: a function of each seed.")
@click.option("--per-class", is_flag=True, help="Share the images evenly among the classes, a folder for each.")
@click.option("--truncation", type=click.FloatRange(0, 1), help="Truncation psi.")
@click.option(
    "--best-of", type=click.IntRange(1, 16), default=1, show_default=True, help="Keep the most real of so many."
)
@click.option("--min-realness", type=click.FloatRange(0, 1), help="Redraw what D finds less real, up to 16 times.")
@click.option("--format", "image_format", type=click.Choice(list(_EXTENSIONS)), default="png", show_default=True)
@click.option("--quality", type=click.IntRange(1, 100), default=90, show_default=True, help="Of JPEG and WebP.")
@click.option("--png-level", type=click.IntRange(0, 9), default=6, show_default=True, help="0 fast, 9 small.")
@click.option("--grid", is_flag=True, help="One sheet of all images instead of a file each.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("images"),
    show_default=True,
    help="Folder of the files, or a .zip of them, or an .npz of arrays. What a stopped command left is gone on with.",
)
@click.option("--json", "as_json", is_flag=True, help="Say what was made as JSON.")
@DEVICE
def generate_files(
    bundle: Path | None,
    *,
    model: str | None,
    models: Path,
    url: str | None,
    key_file: Path | None,
    seeds: list[int] | None,
    count: int | None,
    class_id: int | None,
    per_class: bool,
    truncation: float | None,
    best_of: int,
    min_realness: float | None,
    image_format: imaging.ImageFormat,
    quality: int,
    png_level: int,
    grid: bool,
    out: Path,
    as_json: bool,
    device: str,
) -> None:
    """Make images with the bundle in folder BUNDLE (or --model, or the service at --url) and write them to files.

    A folder has manifest.json, which says what was asked for, and images.jsonl with the seed, class and file of each
    image. The same command goes on where a stopped one was.
    """
    if (seeds is None) == (count is None):
        raise click.UsageError("give exactly one of --seeds and -n")
    if (bundle is not None) + (url is not None or model is not None) != 1:
        raise click.UsageError("give one of BUNDLE, --model and --url (a --model may go with it)")
    if class_id is not None and per_class:
        raise click.UsageError("--class-id and --per-class exclude each other")
    if grid and (out.suffix in {".zip", ".npz"} or per_class):
        raise click.UsageError("--grid makes one sheet in a folder")
    chosen = seeds if seeds is not None else draw_seeds(count or 0)
    output = _Output(out, "npy" if out.suffix == ".npz" else image_format, quality, png_level, grid)
    wish = Wish(truncation, best_of, min_realness)

    async def work(source: Source) -> dict[str, Any]:
        plan = _plan(source, wish, output, chosen, class_id, per_class=per_class)
        return await _make(source, wish, output, plan, fresh_seeds=seeds is None)

    if url is not None:
        key = None if key_file is None else key_file.read_text(encoding="utf-8").strip()
        told = asyncio.run(work(RemoteSource(url, model, key)))
    else:
        folder = bundle if bundle is not None else find_bundle(models, model or "")

        async def with_local(live: LiveModel) -> dict[str, Any]:
            return await work(LocalSource(live))

        told = with_model(folder, device, with_local)
    click.echo(json.dumps(told) if as_json else f"{told['images']} images in {told['out']}")


def _plan(
    source: Source, wish: Wish, output: _Output, seeds: Sequence[int], class_id: int | None, *, per_class: bool
) -> Plan:
    class_ids: tuple[int, ...] | None = None
    if per_class:
        if source.classes is None:
            raise RequestError("--per-class needs a model with classes")
        class_ids = tuple(index * len(source.classes) // len(seeds) for index in range(len(seeds)))
    elif class_id is not None:
        class_ids = (class_id,) * len(seeds)
    settings = {
        "truncation": wish.truncation,
        "best_of": wish.best_of,
        "min_realness": wish.min_realness,
        "format": output.image_format,
        "quality": output.quality,
        "png_level": output.png_level,
        "per_class": per_class,
    }
    classes = None if source.classes is None else tuple(source.classes)
    return Plan(source.label, source.digest, settings, classes, tuple(seeds), class_ids)


async def _make(source: Source, wish: Wish, output: _Output, plan: Plan, *, fresh_seeds: bool) -> dict[str, Any]:
    if output.grid:
        return await _make_grid(source, wish, output, plan)
    if output.packed and output.out.exists():
        raise RequestError(f"{output.out} is there already")
    collection = Collection(output.folder, plan, fresh_seeds=fresh_seeds)
    missing, plan = collection.missing, collection.plan
    repeated = {seed for seed, times in Counter(plan.seeds).items() if times > 1}
    bar = click.progressbar(length=len(missing), label="images", file=sys.stderr, hidden=not sys.stderr.isatty())
    with bar:
        for start in range(0, len(missing), _AT_ONCE):
            indices = missing[start : start + _AT_ONCE]
            drawn = await source.make(
                [plan.seeds[index] for index in indices],
                None if plan.class_ids is None else [plan.class_ids[index] for index in indices],
                wish,
            )
            collection.add(
                [
                    _file(index, image, source, plan, output, numbered=image.seed in repeated)
                    for index, image in zip(indices, drawn, strict=True)
                ]
            )
            bar.update(len(indices))
    entries = list(collection.entries.values())
    if output.out.suffix == ".zip":
        collection.pack_zip(output.out)
    elif output.out.suffix == ".npz":
        collection.pack_npz(output.out)
    told: dict[str, Any] = {"out": str(output.out), "images": len(entries), "made": len(missing), "model": plan.model}
    if wish.min_realness is not None:
        told["accepted"] = sum(entry.accepted for entry in entries)
    return told


async def _make_grid(source: Source, wish: Wish, output: _Output, plan: Plan) -> dict[str, Any]:
    pixels: list[imaging.Pixels] = []
    for start in range(0, len(plan.seeds), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        classes = None if plan.class_ids is None else plan.class_ids[part]
        pixels += [image.pixels for image in await source.make(plan.seeds[part], classes, wish)]
    output.out.mkdir(parents=True, exist_ok=True)
    path = output.out / f"grid.{_EXTENSIONS[output.image_format]}"
    sheet = imaging.grid(pixels)
    try:
        data = imaging.encode(sheet, output.image_format, quality=output.quality, png_level=output.png_level)
    except ValueError as error:
        told = f"a sheet of {sheet.shape[1]}x{sheet.shape[0]} pixels is too large for {output.image_format}"
        raise RequestError(told) from error
    path.write_bytes(data)
    return {"out": str(path), "images": len(pixels), "made": len(pixels), "model": plan.model}


def _file(
    index: int, image: Drawn, source: Source, plan: Plan, output: _Output, *, numbered: bool
) -> tuple[Entry, bytes]:
    """An image's entry and the bytes of its file, which is named after its seed, and its place where D had a say."""
    name = f"seed{image.seed}.{_EXTENSIONS[output.image_format]}"
    if numbered or image.seed != plan.seeds[index]:
        name = f"{index:06d}-{name}"
    if plan.settings["per_class"] and plan.classes is not None and image.class_id is not None:
        name = f"{_folder_of(image.class_id, plan.classes)}/{name}"
    text = {"model": source.label, "digest": source.digest, "seed": str(image.seed)}
    if image.class_id is not None:
        text["class_id"] = str(image.class_id)
    if source.truncates:
        text["truncation"] = repr(1.0 if plan.settings["truncation"] is None else plan.settings["truncation"])
    data = imaging.encode(
        image.pixels, output.image_format, quality=output.quality, text=text, png_level=output.png_level
    )
    return Entry(index, name, image.seed, image.class_id, image.realness, image.accepted), data


def _folder_of(class_id: int, classes: Sequence[str]) -> str:
    """A folder's name for a class: that of the class as far as a file system likes it, with its number before it."""
    width = len(str(len(classes) - 1))
    plain = re.sub(r"[^A-Za-z0-9]+", "-", classes[class_id]).strip("-").lower()
    return f"{class_id:0{width}d}" + (f"-{plain}" if plain and plain != str(class_id) else "")
