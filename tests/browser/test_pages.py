"""The pages as a browser has them: they ask for nothing, fit, sort, filter, and keep nobody out."""

from collections.abc import Sequence

import pytest

from tests.browser.conftest import PAGES, Browser

pytestmark = pytest.mark.browser

COLUMN = """
const table = document.querySelector("table.sortable");
return [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => {
  const cell = row.cells[arguments[0]];
  return cell.dataset.sort ?? cell.textContent;
});
"""


def column(browser: Browser, place: int) -> list[str]:
    return browser.run(COLUMN, place)


def click(browser: Browser, place: int) -> str:
    """Sort by a column; returns the order that is told."""
    return browser.driver.execute_async_script(
        """
        const [place, done] = arguments;
        const table = document.querySelector("table.sortable");
        table.addEventListener("sort-end", () => done(table.tHead.rows[0].cells[place].ariaSort), {once: true});
        table.tHead.rows[0].cells[place].querySelector("button").click();
        """,
        place,
    )


def type_into(browser: Browser, text: str) -> None:
    found = browser.driver.find_element("id", "filter")
    found.clear()
    found.send_keys(text)


def is_sorted(texts: Sequence[str], sign: int = 1) -> bool:
    numbers = [sign * float(text) for text in texts]
    return numbers == sorted(numbers)


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_asks_for_nothing_and_has_nothing_to_complain_of(kind: str, browser: Browser):
    browser.open(kind)
    asked = browser.requests()
    assert asked[0].startswith("file:///")
    assert [url for url in asked[1:] if not url.startswith("data:")] == []
    assert browser.console() == []


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_a_page_is_as_wide_as_the_screen(kind: str, width: int, browser: Browser):
    browser.screen(width)
    browser.open(kind)
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_a_wide_table_scrolls_by_itself(browser: Browser):
    browser.screen(390)
    browser.open("track")
    assert browser.run(
        "const box = document.querySelector('.scroll'); box.focus();"
        "return box.scrollWidth > box.clientWidth && document.activeElement === box"
    )


def test_tables_are_sorted_by_any_column(browser: Browser):
    browser.open("track")
    before = column(browser, 1)
    assert click(browser, 3) == "descending"
    assert is_sorted(column(browser, 3), -1)
    assert click(browser, 3) == "ascending"
    assert is_sorted(column(browser, 3))
    assert click(browser, 1) == "descending"
    assert column(browser, 1) == sorted(before, key=str.lower, reverse=True)
    assert browser.run("return document.querySelectorAll('[aria-sort]').length") == 1
    assert browser.console() == []


def test_the_keyboard_sorts_too(browser: Browser):
    browser.open("track")
    button = browser.driver.find_elements("css selector", "thead button")[4]
    button.send_keys("\n")
    browser.driver.execute_async_script("setTimeout(arguments[0], 50)")
    assert is_sorted(column(browser, 4), -1)
    assert browser.run("return document.activeElement.closest('th').cellIndex") == 4


def test_what_is_missing_comes_last_in_either_order(browser: Browser):
    browser.open("track")
    browser.run("document.querySelector('tbody tr').cells[3].dataset.sort = ''")
    for _ in range(2):
        click(browser, 3)
        assert column(browser, 3)[-1] == ""


def test_rows_are_filtered_by_words_in_any_order(browser: Browser):
    browser.open("track")
    every = column(browser, 1)
    type_into(browser, "Wider 1024")
    assert column(browser, 1) == ["wider"]
    assert browser.run("return document.querySelector('#shown').textContent") == f"1 of {len(every)}"
    type_into(browser, "no such thing")
    assert column(browser, 1) == []
    type_into(browser, " ")
    assert column(browser, 1) == every
    assert browser.run("return document.querySelector('#shown').textContent") == ""


def test_a_sorted_table_stays_filtered(browser: Browser):
    browser.open("track")
    type_into(browser, "wide")
    click(browser, 3)
    assert sorted(column(browser, 1)) == ["Wide", "wider"]
    type_into(browser, "wider")
    assert column(browser, 1) == ["wider"]


def test_a_command_is_copied(browser: Browser):
    browser.open("track")
    browser.driver.find_elements("css selector", "button.copy")[1].click()
    browser.driver.execute_async_script("setTimeout(arguments[0], 50)")
    assert "Copied" in browser.run("return [...document.querySelectorAll('.copied')].map((each) => each.textContent)")
    type_into(browser, "\ue009v")  # Control and v
    pasted = browser.run("return document.querySelector('#filter').value")
    assert pasted == 'ntkbench submit MY_SPEC --track small@1 --name "My entry"'


def test_without_scripts_there_is_a_plain_table(browser: Browser):
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open("track")
        assert not browser.driver.find_element("id", "filter").is_displayed()
        assert browser.driver.find_elements("css selector", "thead button, button.copy") == []
        cells = browser.driver.find_elements("css selector", "tbody th")
        assert len(cells) == len(list((browser.folder / PAGES["track"]).parent.glob("entries/*.html")))
        assert all(cell.is_displayed() for cell in cells)
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("kind", PAGES)
def test_at_night_pages_are_dark_and_letters_of_pictures_light(kind: str, browser: Browser):
    for scheme, dark in (("light", False), ("dark", True)):
        browser.scheme(scheme)
        browser.open(kind)
        ground, ink = (
            sum(map(float, color.split("(")[1].rstrip(")").split(",")[:3])) / 3
            for color in browser.run(
                "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
            )
        )
        assert (ground < 60 and ink > 200) if dark else (ground > 240 and ink < 60)
    if kind == "track":
        color = browser.run("return getComputedStyle(document.querySelector('svg text')).fill")
        assert color == browser.run("return getComputedStyle(document.body).color")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
@pytest.mark.parametrize("kind", PAGES)
def test_nobody_is_kept_out(kind: str, width: int, scheme: str, browser: Browser, axe: str):
    browser.screen(width)
    browser.scheme(scheme)
    browser.open(kind)
    browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
    browser.run(axe)
    found = browser.driver.execute_async_script("axe.run().then(arguments[0])")
    assert [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in found["violations"]] == []
    assert len(found["passes"]) > 20
