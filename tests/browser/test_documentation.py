"""The site of the documentation as a browser has it: it asks other hosts for nothing, fits, and keeps nobody out."""

from pathlib import Path

import pytest

from tests.browser.conftest import Browser
from tests.test_documentation import build

pytestmark = pytest.mark.browser
PAGES = (
    "index.html",
    "docs/start.html",
    "docs/concepts.html",
    "docs/metrics.html",
    "docs/types.html",
    "docs/findings.html",
    "leaderboards/transfer-fashion@2/index.html",
)


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("site"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_asks_other_hosts_for_nothing(page: str, browser: Browser, site: Path):
    browser.driver.get((site / page).as_uri())
    asked = [url for url in browser.requests() if not url.startswith("data:")]
    assert asked
    assert [url for url in asked if not url.startswith(site.as_uri())] == []
    assert browser.console() == []


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_is_as_wide_as_the_screen(page: str, width: int, browser: Browser, site: Path):
    browser.screen(width)
    browser.driver.get((site / page).as_uri())
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_search_works_from_disk(browser: Browser, site: Path):
    browser.driver.get((site / "index.html").as_uri())
    browser.run("document.querySelector('[data-md-component=search-query]').focus()")
    browser.driver.find_element("css selector", "[data-md-component=search-query]").send_keys("participation rank")
    browser.driver.implicitly_wait(10)
    try:
        found = browser.driver.find_element("css selector", ".md-search-result__link")
        assert "docs/" in str(found.get_attribute("href"))
    finally:
        browser.driver.implicitly_wait(0)


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
@pytest.mark.parametrize("page", PAGES)
def test_nobody_is_kept_out(page: str, width: int, scheme: str, browser: Browser, site: Path, axe: str):
    browser.screen(width)
    browser.scheme(scheme)
    browser.driver.get((site / page).as_uri())
    browser.run(axe)
    found = browser.driver.execute_async_script("axe.run().then(arguments[0])")
    assert [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in found["violations"]] == []
    assert len(found["passes"]) > 20
