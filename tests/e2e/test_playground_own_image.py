"""A person's own image on the playground: scored, found in latent space, opened and walked from."""

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import Open
from tests.e2e.test_service import ROOT, Running
from training.data import load

pytestmark = pytest.mark.slow


@pytest.fixture
def own_digit(tmp_path: Path) -> Path:
    """A held-out three in a file."""
    data = load(ROOT / "tests" / "data" / "digits").held_out
    assert data.labels is not None
    image = data.images[data.labels.tolist().index(3)]
    Image.fromarray(image.reshape(image.shape[:2])).save(tmp_path / "three.png")
    return tmp_path / "three.png"


def test_a_chosen_file_is_scored_and_stands_among_the_wall(served: Running, visit: Open) -> None:
    opened = visit(f"{served.url}/#wall=0")
    page = opened.page
    opened.wait_for_wall()
    data = io.BytesIO()
    Image.new("RGB", (40, 30), "orange").save(data, "PNG")
    file = {"name": "orange.png", "mimeType": "image/png", "buffer": data.getvalue()}
    scoring = page.get_by_role("region", name="Your own image")
    scoring.locator("#file").set_input_files(file)
    scoring.get_by_text(re.compile(r"Realness 0\.\d\d, above \d+ % of this wall")).wait_for()
    assert "resized 40x30 to 28x28" in scoring.text_content()
    assert scoring.get_by_role("img", name=re.compile("Realness of this wall.s 64 images")).is_visible()
    known = scoring.get_by_role("img", name=re.compile("Realness of 5,000 held-out real images"))
    assert known.locator(".bar").count() == 20
    assert known.locator(".mark").count() == 1
    # Held-out images were scored without stating what they show.
    scoring.get_by_label("It shows").select_option("3")
    known.wait_for(state="detached")
    scoring.get_by_text(re.compile(r"above \d+ % of this wall")).wait_for()
    scoring.locator("#file").set_input_files({**file, "name": "a.txt", "mimeType": "text/plain"})
    scoring.get_by_text("That is no PNG, JPEG or WebP.").wait_for()
    assert opened.errors == []


def test_a_dropped_file_is_scored(served: Running, visit: Open) -> None:
    opened = visit(f"{served.url}/#wall=0")
    page = opened.page
    opened.wait_for_wall()
    carried = page.evaluate_handle(
        """async () => {
          const canvas = new OffscreenCanvas(28, 28);
          canvas.getContext("2d").fillRect(0, 0, 9, 9);
          const carried = new DataTransfer();
          carried.items.add(new File([await canvas.convertToBlob()], "drop.png", { type: "image/png" }));
          return carried;
        }"""
    )
    page.dispatch_event("main", "dragover", {"dataTransfer": carried})
    page.get_by_text("Drop your image anywhere").wait_for()
    page.dispatch_event("main", "drop", {"dataTransfer": carried})
    page.get_by_role("img", name="drop.png").wait_for()
    assert page.get_by_text("Drop your image anywhere").is_hidden()
    assert opened.errors == []


def test_an_own_digit_is_found_opened_and_walked_from(
    served: Running, visit: Open, own_digit: Path, tmp_path: Path
) -> None:
    opened = visit(f"{served.url}/#wall=0&truncation=0.6")
    page = opened.page
    opened.wait_for_wall()
    own = page.get_by_role("region", name="Your own image")
    own.locator("#file").set_input_files(own_digit)
    own.get_by_role("button", name="Find it in latent space").click()
    found = own.locator(".found")
    found.get_by_text("The nearest that it makes, 3").wait_for()
    error, before = map(float, re.findall(r"(\d+\.\d+) %", found.text_content()))
    assert error < before
    found.get_by_role("button", name="Open it").click()
    page.get_by_role("heading", name="Your image").wait_for()
    # It was found without truncation, and is shown without.
    assert "truncation" not in opened.fragment
    page.locator(".cell img[src]").nth(24).wait_for()
    drawn = page.locator(".mount img").get_attribute("src")
    assert _pixels(drawn) == _pixels(found.locator("img").get_attribute("src"))
    page.get_by_role("button", name="Move 2 right, 1 up").click()
    page.get_by_role("heading", name="1 step from your image").wait_for()
    page.go_back()
    page.get_by_role("heading", name="Your image").wait_for()
    found.get_by_role("button", name="Pick it").click()
    found.get_by_role("button", name="Unpick").wait_for()
    page.locator(".frame").nth(5).press("p")
    walk = page.get_by_role("region", name="Walk")
    walk.get_by_text("1 / 31").wait_for()
    assert walk.get_by_role("button", name="Unpick your image").is_visible()
    with page.expect_download() as download:
        walk.get_by_role("button", name="Save").click()
    download.value.save_as(tmp_path / "walk.webp")
    with Image.open(tmp_path / "walk.webp") as image:
        assert image.size == (252, 252)
    again = visit(page.url)
    again.page.get_by_role("region", name="Walk").get_by_text("1 / 31").wait_for()
    again.page.get_by_role("heading", name="Your image").wait_for()
    assert again.page.locator(".mount img").get_attribute("src") == drawn
    screens = [one.page.locator(".screen").evaluate("canvas => canvas.toDataURL()") for one in (opened, again)]
    assert screens[0] == screens[1]
    # Another model has no use for a latent of this one.
    again.page.get_by_label("Model").select_option("plain@1")
    again.page.get_by_role("heading", name="No image open").wait_for()
    assert opened.errors == again.errors == []


def _pixels(address: str) -> bytes:
    with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as image:
        return image.convert("L").tobytes()
