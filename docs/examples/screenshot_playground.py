"""Takes pictures of the playground of a running service: a desktop in light and in dark, a phone, and a found image."""

import argparse
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from training.data import load

SHOTS = {
    "light": ({"width": 1440, "height": 960}, "light", "wall=640&open=661&picks=643.650.666", 1),
    "dark": ({"width": 1440, "height": 960}, "dark", "model=fashion-mnist&wall=640&open=661", 1),
    "phone": ({"width": 390, "height": 844}, "light", "wall=640&class=7&picks=645.651", 2),
}
OWN = "wall=640&picks=643"
"""The view in which an image of one's own is found and walked from."""
QUALITY = 82


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://localhost:8000/")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="a Chromium or Chrome that is installed")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--digits", type=Path, default=Path("tests/data/digits"), help="IDX directory")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        for name, (viewport, scheme, view, scale) in SHOTS.items():
            phone = name == "phone"
            page = browser.new_page(
                viewport=viewport,  # type: ignore[arg-type]  # as Playwright has it
                color_scheme=scheme,  # type: ignore[arg-type]
                device_scale_factor=scale,
                has_touch=phone,
                is_mobile=phone,
            )
            page.goto(f"{given.url}#{view}")
            _settle(page)
            path = given.out / f"playground-{name}.webp"
            _save(page.screenshot(), path)
            page.close()
        page = browser.new_page(viewport={"width": 1440, "height": 1500})
        page.goto(f"{given.url}#{OWN}")
        _settle(page)
        own = {"name": "three.png", "mimeType": "image/png", "buffer": _three(given.digits)}
        page.locator("#file").set_input_files(own)  # type: ignore[arg-type]  # as Playwright has it
        page.get_by_role("button", name="Find it in latent space").click()
        page.get_by_role("button", name="Pick it").click()
        page.locator(".screen").wait_for()
        page.get_by_label("Position in the walk").fill("22")
        page.wait_for_load_state("networkidle")
        _save(page.locator("#scoring").screenshot(), given.out / "playground-own.webp")
        _save(page.locator("#walk").screenshot(), given.out / "playground-walk.webp")
        browser.close()


def _three(digits: Path) -> bytes:
    """A held-out three, as a PNG."""
    data, held = load(digits).held_out, io.BytesIO()
    if data.labels is None:
        raise SystemExit(f"{digits} has no labels")
    image = data.images[data.labels.tolist().index(3)]
    Image.fromarray(image[:, :, 0]).save(held, "PNG")
    return held.getvalue()


def _settle(page: Page) -> None:
    page.locator(".developed").nth(63).wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(3000)  # for two looks at the metrics


def _save(png: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(path, quality=QUALITY, method=6)
    print(path, path.stat().st_size)  # noqa: T201 -- a script, and this is its answer


if __name__ == "__main__":
    main()
