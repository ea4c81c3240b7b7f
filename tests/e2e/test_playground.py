"""The playground as a person uses it: a real browser in front of a real service with the bundled digits."""

import json
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.e2e.conftest import Open, Opened
from tests.e2e.test_service import Running

pytestmark = pytest.mark.slow
KEY = "a-key-that-is-long-enough"


def sources(opened: Opened) -> list[str]:
    found: list[str] = opened.page.locator(".frame img").evaluate_all("images => images.map(image => image.src)")
    return found


def wait_for_fragment(opened: Opened, part: str) -> None:
    opened.page.wait_for_url(re.compile(f"#.*{re.escape(part)}"))


def test_a_wall_of_64_images_is_there_soon_after_the_page(served: Running, visit: Open) -> None:
    visit(served.url).wait_for_wall()
    began = time.monotonic()
    opened = visit(served.url)
    opened.wait_for_wall()
    took_s = time.monotonic() - began
    print(f"64 images {took_s:.2f} s after the address was entered")  # noqa: T201 -- shown with -s
    assert took_s < 10
    assert len(set(sources(opened))) == 64
    assert opened.errors == []


def test_nothing_is_asked_of_another_host(served: Running, visit: Open) -> None:
    opened = visit(f"{served.url}/#wall=0&open=3&picks=1.2")
    opened.wait_for_wall()
    opened.page.locator(".screen").wait_for()
    assert len(opened.asked) > 30
    assert {urlsplit(url).netloc for url in opened.asked if not url.startswith(("data:", "blob:"))} == {
        urlsplit(served.url).netloc
    }
    assert opened.errors == []


def test_class_and_truncation_change_the_wall_and_back_brings_the_old_one(served: Running, visit: Open) -> None:
    opened = visit(f"{served.url}/#wall=64")
    page = opened.page
    opened.wait_for_wall()
    first = sources(opened)
    page.get_by_role("radio", name="7").check()
    wait_for_fragment(opened, "class=7")
    opened.wait_for_wall()
    page.get_by_role("button", name="Seed 64, 7").wait_for()
    sevens = sources(opened)
    assert sevens != first
    page.get_by_label("Truncation").fill("0.5")
    wait_for_fragment(opened, "truncation=0.5")
    opened.wait_for_wall()
    assert sources(opened) != sevens
    page.go_back()
    page.go_back()
    assert "class" not in opened.fragment
    assert page.get_by_role("radio", name="any").is_checked()
    opened.wait_for_wall()
    assert sources(opened) == first
    assert opened.errors == []


def test_more_and_a_new_wall(served: Running, visit: Open) -> None:
    opened = visit(f"{served.url}/#wall=0")
    opened.wait_for_wall()
    opened.page.get_by_role("button", name="More").click()
    opened.wait_for_wall(128)
    assert "sheets=2" in opened.fragment
    before = opened.fragment
    opened.page.get_by_role("button", name="New wall").click()
    opened.page.wait_for_url(re.compile(r"#wall=\d+$"))
    opened.wait_for_wall()
    assert opened.fragment != before
    assert opened.page.locator(".tile").count() == 64


def test_an_open_image_says_how_it_was_made_and_the_lines_say_the_same(
    served: Running, visit: Open, tmp_path: Path
) -> None:
    opened = visit(f"{served.url}/#wall=0&class=5")
    page = opened.page
    opened.wait_for_wall()
    page.get_by_role("button", name="Seed 42, 5").click()
    details = page.get_by_role("region", name="Seed 42")
    details.get_by_role("img", name=re.compile("Realness 0")).wait_for()
    details.get_by_text("Make it again").click()
    curl = details.get_by_label("curl command").text_content()
    body = json.loads(curl.split("-d '")[1].split("'")[0])
    assert body == {"model": "mnist@4", "class_id": 5, "truncation": 1, "seed": 42}
    compile(details.get_by_label("Python program").text_content(), "shown", "exec")
    with page.expect_download() as download:
        details.get_by_role("button", name="Download PNG").click()
    saved = tmp_path / "saved.png"
    download.value.save_as(saved)
    with Image.open(saved) as image:
        assert image.size == (28, 28)
        assert (image.info["seed"], image.info["class_id"]) == ("42", "5")
    details.get_by_role("button", name="Close").click()
    assert "open" not in opened.fragment
    assert opened.errors == []


def test_an_image_is_found_again_by_its_seed(served: Running, visit: Open) -> None:
    opened = visit(f"{served.url}/#wall=0")
    page = opened.page
    field = page.get_by_label("Find again by seed")
    field.fill("-1")
    field.press("Enter")
    page.get_by_text("A seed is a whole number").wait_for()
    field.fill("4294967295")
    field.press("Enter")
    page.get_by_role("heading", name="Seed 4294967295").wait_for()
    assert "open=4294967295" in opened.fragment


def test_two_picks_by_keyboard_make_a_walk_to_scrub_play_and_export(
    served: Running, visit: Open, tmp_path: Path
) -> None:
    opened = visit(f"{served.url}/#wall=0")
    page = opened.page
    opened.wait_for_wall()
    page.locator(".frame").first.focus()
    page.keyboard.press("p")
    page.get_by_text("Pick another frame").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("p")
    walk = page.get_by_role("region", name="Walk")
    walk.get_by_text("1 / 31").wait_for()
    assert "picks=0.9" in opened.fragment
    canvas = walk.locator("canvas")
    first = canvas.evaluate("canvas => canvas.toDataURL()")
    slider = walk.get_by_role("slider", name="Position in the walk")
    slider.focus()
    page.keyboard.press("End")
    assert walk.get_by_text("31 / 31").is_visible()
    assert canvas.evaluate("canvas => canvas.toDataURL()") != first
    walk.get_by_role("button", name="Play").click()
    walk.get_by_text(re.compile(r"^(?!31)\d+ / 31")).wait_for()
    walk.get_by_role("button", name="Pause").click()
    walk.get_by_label("Back to the start").check()
    walk.get_by_text("/ 60").wait_for()
    for suffix, animated in (("webp", "WEBP"), ("gif", "GIF"), ("png", "PNG")):
        walk.get_by_label("Export").select_option("apng" if suffix == "png" else suffix)
        with page.expect_download() as download:
            walk.get_by_role("button", name="Save").click()
        saved = tmp_path / f"walk.{suffix}"
        download.value.save_as(saved)
        assert download.value.suggested_filename == f"mnist-walk.{suffix}"
        with Image.open(saved) as image:
            assert (image.format, image.size) == (animated, (252, 252))
            # GIF and WebP may hold equal frames in a row as one.
            assert 30 < getattr(image, "n_frames", 1) <= 60
    walk.get_by_role("button", name="Clear").click()
    walk.wait_for(state="hidden")
    assert opened.errors == []


def test_a_neighbour_becomes_the_image_and_back_leads_back(served: Running, visit: Open) -> None:
    opened = visit(f"{served.url}/#wall=0&open=7")
    page = opened.page
    page.locator(".cell img[src]").nth(24).wait_for()
    page.get_by_role("button", name="Move 2 right, 1 up").click()
    page.get_by_role("heading", name="1 step from seed 7").wait_for()
    assert "moves=0.6_1_2_-1" in opened.fragment
    moved = page.locator(".mount img").get_attribute("src")
    again = visit(page.url)
    again.page.get_by_role("heading", name="1 step from seed 7").wait_for()
    assert again.page.locator(".mount img").get_attribute("src") == moved
    page.go_back()
    page.get_by_role("heading", name="Seed 7", exact=True).wait_for()
    assert page.locator(".mount img").get_attribute("src") != moved
    assert opened.errors == []


def test_a_link_reproduces_the_view(served: Running, visit: Open) -> None:
    first = visit(f"{served.url}/#model=mnist@1&class=3&truncation=0.7&wall=128&picks=130.140&open=133")
    again = visit(first.page.url)
    shown = []
    for opened in (first, again):
        page = opened.page
        opened.wait_for_wall()
        page.get_by_text("1 / 31").wait_for()
        page.get_by_role("img", name="Seed 133, 3", exact=True).last.wait_for()
        assert page.locator(".picked").evaluate_all("tiles => tiles.map(tile => tile.dataset.seed)") == ["130", "140"]
        assert page.locator("[aria-current]").count() == 1
        assert page.get_by_role("radio", name="3").is_checked()
        assert page.get_by_label("Truncation").input_value() == "0.7"
        shown.append((opened.fragment, sources(opened), page.locator(".mount img").get_attribute("src")))
    assert shown[0] == shown[1]
    assert first.errors == again.errors == []


def test_a_name_without_a_version_is_the_newest(served: Running, visit: Open) -> None:
    opened = visit(f"{served.url}/#model=mnist&wall=0")
    opened.wait_for_wall()
    assert opened.page.get_by_label("Model").input_value() == "mnist@4"


def test_a_model_without_a_discriminator_classes_and_truncation_shows_none_and_says_why(
    served: Running, visit: Open
) -> None:
    opened = visit(f"{served.url}/#model=plain@1&class=3&wall=0&open=1")
    page = opened.page
    opened.wait_for_wall()
    page.get_by_text("plain@1 is served without a discriminator").wait_for()
    page.get_by_text("No realness: this model is served without a discriminator.").wait_for()
    assert page.get_by_role("group", name="Class").is_hidden()
    assert page.get_by_label("Truncation").is_hidden()
    assert opened.errors == []


def test_what_is_refused_is_said_until_it_has_been_read(served: Running, visit: Open) -> None:
    opened = visit(f"{served.url}/#wall=0")
    page = opened.page
    opened.wait_for_wall()
    refused = json.dumps({"code": "invalid_request", "errors": [{"location": "steps", "message": "too many frames"}]})
    page.route("**/interpolate", lambda route: route.fulfill(status=422, body=refused))
    page.locator(".frame").first.press("p")
    page.locator(".frame").last.press("p")
    page.get_by_text("That did not work: steps: too many frames").wait_for()
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_role("alert").filter(has_text="too many frames").wait_for(state="hidden")
    page.get_by_role("region", name="Walk").get_by_role("button", name="Unpick seed 63").wait_for()


def test_a_stopped_service_is_said_and_the_page_goes_on_when_it_is_back(models: Path, visit: Open) -> None:
    server = Running(models)
    try:
        opened = visit(f"{server.url}/#wall=0")
        page = opened.page
        opened.wait_for_wall()
        server.stop()
        page.get_by_text("The service does not answer.").wait_for()
        page.get_by_role("radio", name="4").check()
        server = Running(models, GANSERVE_PORT=str(server.port))
        page.get_by_role("alert").filter(has_text="does not answer").wait_for(state="hidden")
        page.get_by_role("button", name="Seed 0, 4").wait_for()
        page.get_by_role("button", name="Seed 63, 4").wait_for()
    finally:
        server.stop()


def test_a_busy_service_is_waited_for_as_long_as_it_says(served: Running, visit: Open) -> None:
    opened = visit("about:blank")
    page = opened.page
    refused = {"code": "queue_full", "detail": "the queue is full"}
    page.route(
        "**/generate",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, body=json.dumps(refused)),
        times=4,
    )
    page.goto(f"{served.url}/#wall=0")
    page.get_by_text("The service has its hands full.").wait_for()
    opened.wait_for_wall()
    page.get_by_role("alert").filter(has_text="hands full").wait_for(state="hidden")


def test_without_models_the_page_says_what_to_do(served: Running, visit: Open) -> None:
    page = visit("about:blank").page
    nothing = json.dumps({"default": None, "models": [], "failed": []})
    page.route("**/models", lambda route: route.fulfill(body=nothing, content_type="application/json"), times=1)
    page.goto(served.url)
    page.get_by_role("heading", name="No model is served yet").wait_for()
    page.get_by_role("button", name="Try again").click()
    page.locator(".developed").nth(63).wait_for()


def test_a_key_is_asked_for_once_and_kept_for_the_tab(models: Path, visit: Open, tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text(KEY, encoding="utf-8")
    server = Running(models, GANSERVE_API_KEYS_FILE=str(keys))
    try:
        opened = visit(f"{server.url}/#wall=0")
        page = opened.page
        for key in ("a-key-that-is-not-known", KEY):
            page.get_by_label("API key").fill(key)
            page.get_by_role("button", name="Use this key").click()
            if key != KEY:
                page.get_by_text("The service does not know that key.").wait_for()
        opened.wait_for_wall()
        page.reload()
        opened.wait_for_wall()
        assert page.get_by_role("dialog").is_hidden()
        assert KEY not in page.url
    finally:
        server.stop()
