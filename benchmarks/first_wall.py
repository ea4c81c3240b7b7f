"""How soon the playground's first wall of 64 images is there: `python -m benchmarks.first_wall --help`.

Every visit is that of a browser that knows nothing yet. Times count from the start of the navigation, as the page's own
clock has them.
"""

import argparse
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

from benchmarks import machine, servers
from benchmarks.orders import generate
from benchmarks.service import SCRATCH
from benchmarks.systems import OURS, ROOT, systems

IMAGES = 64
_WATCH = """
window.wall = new Promise((resolve) => addEventListener("DOMContentLoaded", () => {
  let first = 0;
  const look = () => {
    const drawn = [...document.querySelectorAll(".developed img")].filter((image) => image.complete);
    first ||= drawn.length ? performance.now() : 0;
    if (drawn.length < IMAGES) requestAnimationFrame(look);
    else resolve([performance.getEntriesByType("navigation")[0].loadEventEnd, first, performance.now()]);
  };
  look();
}));
""".replace("IMAGES", str(IMAGES))


def main() -> None:
    """Start the service, visit it, print the table and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_wall", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "mnist" / "3")
    parser.add_argument("--visits", type=int, default=21)
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="a Chromium or Chrome that is installed")
    parser.add_argument("--out", type=Path, default=None, help="Markdown file to write")
    chosen = parser.parse_args()
    about = machine.describe()
    system = systems(machine.cores())[OURS]
    with (
        servers.running(
            system, system.variants[0], chosen.bundle, probe=generate(1, "png"), logs=SCRATCH / "logs"
        ) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chosen.chromium, args=["--no-sandbox"])
        visits = [_visit(browser, f"http://127.0.0.1:{server.port}/") for _ in range(chosen.visits + 1)][1:]
        version = browser.version
        browser.close()
    lines = [f"# The playground's first {IMAGES} images", ""]
    lines += [f"- `python -m benchmarks.first_wall --visits {chosen.visits}`, commit {about['commit']}"]
    lines += [
        f"- {about['cpu']}, {about['cores']} cores, which the browser (Chromium {version}, headless) and the service"
    ]
    lines += [f"  share; load average before the run {about['load_before']}"]
    lines += [f"- {chosen.bundle.parent.name}@{chosen.bundle.name}; a visit before these is not counted", ""]
    lines += ["| milliseconds after the navigation began | median | least | most |", "| --- | ---: | ---: | ---: |"]
    for index, name in enumerate(("the page has loaded", "the first image is drawn", f"all {IMAGES} are drawn")):
        found = sorted(visit[index] for visit in visits)
        lines.append(f"| {name} | {median(found):.0f} | {found[0]:.0f} | {found[-1]:.0f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text, encoding="utf-8")


def _visit(browser: Browser, url: str) -> tuple[float, float, float]:
    """Milliseconds until the page's load event, its first image and its whole wall."""
    context = browser.new_context(viewport={"width": 1440, "height": 960})
    page = context.new_page()
    page.add_init_script(_WATCH)
    page.goto(url)
    loaded, first, wall = page.evaluate("window.wall")
    context.close()
    return loaded, first, wall


if __name__ == "__main__":
    main()
