"""What a measurement asks for: HTTP requests whose seeds are fresh each time, as templates and as bytes."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Format = Literal["png", "jpeg", "npy"]

FIRST_SEED = 1_000_000_000
"""Seeds from here to 2**32 all have ten digits, so that every request of a template is equally long."""
_SEED_COUNT = 2**32 - FIRST_SEED
_PLACEHOLDER = "{seeds}"


@dataclass(frozen=True)
class Template:
    """A request; `{seeds}` in its path or body becomes `seeds` fresh seeds, so that no cache can answer.

    `images` is how many images a good answer holds, `good` the status that counts as one.
    """

    path: str
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    seeds: int = 0
    images: int = 0
    good: int = 200

    def render(self, serial: int) -> bytes:
        """The bytes of the request number `serial`; the same number asks for the same seeds."""
        first = serial * self.seeds
        seeds = ",".join(str(FIRST_SEED + (first + offset) % _SEED_COUNT) for offset in range(self.seeds))
        body = self.body.replace(_PLACEHOLDER, seeds).encode()
        lines = [f"{self.method} {self.path.replace(_PLACEHOLDER, seeds)} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if body or self.method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


def generate(images: int, image_format: Format) -> Template:
    """`images` images in one request: the file or array itself, or for several pictures JSON with base64.

    All systems get the same bytes.
    """
    accept = "application/x-npy" if image_format == "npy" else f"image/{image_format}"
    if images > 1 and image_format != "npy":
        accept = "application/json"
    return Template(
        "/generate",
        headers={"Content-Type": "application/json", "Accept": accept},
        body=f'{{"seeds":[{_PLACEHOLDER}],"format":"{image_format}"}}',
        seeds=images,
        images=images,
    )


def mixed(png: bytes | None) -> list[Template]:
    """A day's traffic in small: every format and representation, other routes, and mistakes.

    `png` is an image to be scored; None leaves scoring out.
    """

    def of(seeds: int, accept: str, extra: str = "", *, images: int | None = None) -> Template:
        return Template(
            "/generate",
            headers={"Content-Type": "application/json", "Accept": accept},
            body=f'{{"seeds":[{_PLACEHOLDER}]{extra}}}',
            seeds=seeds,
            images=seeds if images is None else images,
        )

    json_header = {"Content-Type": "application/json"}
    templates = [
        *[generate(1, "png")] * 4,
        generate(1, "jpeg"),
        generate(1, "npy"),
        generate(4, "png"),
        generate(4, "npy"),
        of(1, "image/webp"),
        of(2, "application/zip"),
        of(4, "image/png", ',"layout":"grid"'),
        of(1, "application/json", ',"include":["latents"]'),
        Template(f"/images/mnist/{_PLACEHOLDER}.png", "GET", seeds=1, images=1),
        Template("/models", "GET"),
        Template("/readyz", "GET"),
        Template("/metrics", "GET"),
        Template("/generate", headers=json_header, body='{"seed":-1}', good=422),
        Template("/generate", headers=json_header, body='{"seed":', good=400),
        Template("/generate", headers=json_header, body='{"seed":1,"model":"nosuch"}', good=404),
        Template("/nowhere", "GET", good=404),
    ]
    if png is not None:
        body = json.dumps({"images": [base64.b64encode(png).decode()]})
        templates += [Template("/discriminate", headers=json_header, body=body)] * 2
    return templates


def write_templates(path: Path, templates: Sequence[Template]) -> None:
    """Templates as JSON, for a load generator in another process."""
    path.write_text(json.dumps([asdict(template) for template in templates]), encoding="utf-8")


def read_templates(path: Path) -> list[Template]:
    """What write_templates wrote."""
    return [Template(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
