"""Take the pictures of reports in the docs with Chromium: python docs/make_screenshots.py FOLDER.

FOLDER has the stores' reports, such as mlruns/reports, of the sweeps in SHOTS. The pages give their commands.
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
COLOURS = 128  # of a picture, so that it is small


class Shot(NamedTuple):
    """A part of a report.

    Attributes:
        picture: the file in docs/.
        sweep: the name of the sweep.
        state: of the page, as the hash of its address has it.
        start: a selector of the element at the top of the picture.
        height: of the picture in pixels; its width is that of the page.
        width: of the page.
    """

    picture: str
    sweep: str
    state: str
    start: str
    height: int
    width: int = 1180


SHOTS = (
    Shot("page.png", "quickstart", "", "body", 1245),
    Shot("tutorial-page.png", "kinds", "cell=1", "#compare", 665),
    Shot("class-flower.png", "flower", "cell=2&with=0", "#plane", 748),
)


def take(page: Page, shot: Shot, folder: Path) -> bytes:
    """Return the PNG of a part of a report."""
    page.set_viewport_size({"width": shot.width, "height": 900})
    page.goto(f"{(folder / shot.sweep / 'report.html').resolve().as_uri()}#{shot.state}")
    page.wait_for_timeout(2000)
    top = page.locator(shot.start).first.bounding_box()
    assert top
    clip = {"x": 0, "y": top["y"], "width": shot.width, "height": shot.height}
    png = page.screenshot(full_page=True, clip=clip)  # type: ignore[arg-type]
    small = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        small, "png", optimize=True
    )
    return small.getvalue()


def main(folder: Path) -> None:
    """Take all pictures."""
    with sync_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light")
        for shot in SHOTS:
            (DOCS / shot.picture).write_bytes(take(page, shot, folder))
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
