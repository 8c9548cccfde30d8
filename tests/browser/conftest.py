"""A Chromium without a window, and pages of a small leaderboard and of the committed records."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ntkbench.boards import standings
from ntkbench.boards.site import site
from ntkbench.boards.standings import Board
from ntkbench.boards.tracks import track
from ntkbench.plan.read import read
from ntkbench.results.report import report
from ntkbench.store.store import Store
from tests.boards.test_track import written
from tests.examples.boards import three

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAGES = {
    "index": "index.html",
    "track": "small@1/index.html",
    "empty track": "empty@1/index.html",
    "entry": "small@1/entries/wider.html",
    "report": "report.html",
    "unfinished report": "unfinished.html",
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A page of each kind."""
    made = tmp_path_factory.mktemp("pages")
    entries = tmp_path_factory.mktemp("boards")
    three(entries, track.read(written(entries)))
    boards = standings.boards(entries)
    empty = Board(boards[0].track.model_copy(update={"name": "empty@1"}), (), 0)
    site([*boards, empty], made)
    records, specs = Store(ROOT / "docs" / "results"), ROOT / "specs"
    (made / "report.html").write_text(report(read(specs / "eigenspace/fashion2.yaml"), records), "utf-8")
    more = read(specs / "transfer/fashion2.yaml", ["matrix.width=[64, 512]"])
    (made / "unfinished.html").write_text(report(more, records), "utf-8")
    return made


@dataclass
class Browser:
    """What the tests do with it."""

    driver: "Chrome"
    folder: Path

    def open(self, kind: str) -> None:
        self.driver.get((self.folder / PAGES[kind]).as_uri())

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def devtools(self, command: str, **values: object) -> None:
        self.driver.execute_cdp_cmd(command, values)

    def screen(self, width: int, height: int = 900) -> None:
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def scheme(self, name: str) -> None:
        """light or dark."""
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def console(self) -> list[str]:
        """What was said since it was last asked."""
        return [line["message"] for line in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses asked for since it was last asked."""
        events = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="session")
def started(folder: Path, tmp_path_factory) -> Iterator[Browser]:
    pytest.importorskip("selenium", reason="without selenium; pip install '.[browser]'")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if missing := [name for name, path in programs.items() if path is None]:
        pytest.skip(f"without {' and '.join(missing)}; apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = str(programs["chromium"])
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(str(programs["chromedriver"])))
    yield Browser(driver, folder)
    driver.quit()


@pytest.fixture
def browser(started: Browser) -> Browser:
    """As a desktop, in light."""
    started.screen(1280)
    started.scheme("light")
    started.console()
    started.requests()
    return started


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which finds what keeps people from using a page."""
    path = os.environ.get("NTKBENCH_AXE")
    if not path:
        pytest.skip("NTKBENCH_AXE names no axe.min.js; npm install axe-core")
    return Path(path).read_text("utf-8")
