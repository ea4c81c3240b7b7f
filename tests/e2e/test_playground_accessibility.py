"""The playground for those who cannot see it, or use no mouse."""

import re
from typing import Any

import pytest

from tests.e2e.conftest import Open, Opened
from tests.e2e.test_service import Running

pytestmark = pytest.mark.slow
VIEW = "#wall=0&class=3&open=7&picks=1.2"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def everything(served: Running, visit: Open, **options: Any) -> Opened:  # noqa: ANN401 -- the browser's own
    """The page with all of its parts on it, at rest."""
    opened = visit(f"{served.url}/{VIEW}", reduced_motion="reduce", **options)
    opened.wait_for_wall()
    opened.page.locator(".screen").wait_for()
    opened.page.locator(".cell img[src]").nth(24).wait_for()
    if not options.get("is_mobile"):
        opened.page.get_by_role("button", name="Score this wall").click()
        opened.page.get_by_role("img", name=re.compile("Realness of this wall")).wait_for()
    return opened


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
def test_axe_finds_no_serious_violation(served: Running, visit: Open, options: dict[str, Any]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    opened = everything(served, visit, **options)
    found = axe.Axe().run(opened.page).response["violations"]
    told = [
        (rule["id"], node["target"], node["failureSummary"])
        for rule in found
        if rule["impact"] in {"serious", "critical", "moderate"}
        for node in rule["nodes"]
    ]
    assert told == []


def test_the_sheet_is_one_stop_of_the_tab_key_and_the_arrows_move_in_it(served: Running, visit: Open) -> None:
    opened = everything(served, visit)
    page = opened.page
    stops = page.locator(".frame[tabindex='0']")
    assert stops.count() == 1
    stops.focus()
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.closest('li').dataset.seed") == "63"
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.closest('li').dataset.seed") == "55"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Pick seed 55"
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "more"


def test_escape_closes_the_image_and_the_focus_returns_to_its_frame(served: Running, visit: Open) -> None:
    opened = everything(served, visit)
    page = opened.page
    page.get_by_role("button", name="Close the image").focus()
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="No image open").wait_for()
    assert page.evaluate("document.activeElement.closest('li').dataset.seed") == "7"


def test_a_phone_needs_no_sideways_scrolling(served: Running, visit: Open) -> None:
    opened = everything(served, visit, **PHONE)
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_moves_where_less_motion_is_wanted(served: Running, visit: Open) -> None:
    opened = everything(served, visit)
    longest = "Math.max(...document.getAnimations().map(a => a.effect.getComputedTiming().duration), 0)"
    assert opened.page.evaluate(longest) <= 1


def test_what_happens_is_said(served: Running, visit: Open) -> None:
    opened = visit(f"{served.url}/#wall=0")
    opened.wait_for_wall()
    opened.page.get_by_role("status").filter(has_text="64 images drawn.").wait_for()
    opened.page.locator(".frame").nth(3).focus()
    opened.page.keyboard.press("p")
    opened.page.get_by_role("status").filter(has_text="Seed 3 picked.").wait_for()
