"""The page in a real browser; with CLINX_SCREENSHOTS the pictures of its views go to that folder."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest


sync_api = pytest.importorskip("playwright.sync_api", reason="the page is tested in a browser: pip install playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed: apt-get install chromium")
MARK = "Zaratustra9017"
HOSTILE = (
    "<script>document.title='no'</script><img src=x onerror=\"document.title='no'\">&lt;b&gt; \u202eesrever\u2066 \x00 "
)
HOSTILE += "🩺👩\u200d⚕️ العربية a" + "\u0301" * 300 + " </div></mark>{{7*7}} $x^2$"
NOTE = f"Paciente: {MARK} Ruiz, 54 años. <b>Sin</b> fiebre; paracetamol 500 mg. Ingresa por dolor torácico opresivo."


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """The page, opened by a visitor; what it asks of other machines is in `page.elsewhere`."""
    page = browser.new_context(viewport={"width": 1200, "height": 1400}).new_page()
    page.set_default_timeout(20_000)
    page.elsewhere = []
    page.on("request", lambda request: request.url.startswith("http") and check(request.url))

    def check(url):
        if not url.startswith(server.url):
            page.elsewhere.append(url)

    yield opened(page, server.url)
    assert not page.elsewhere
    page.context.close()


def opened(page, url):
    page.goto(url)
    page.get_by_role("button", name="Find concepts").wait_for()
    page.wait_for_timeout(1000)  # until its events are bound
    return page


def read(page, note=NOTE):
    page.locator("#text textarea").fill(note)
    page.get_by_role("button", name="Find concepts").click()
    page.locator("#note .note").wait_for()
    page.get_by_text("mentions, found by").wait_for()
    return page.locator("#note mark")


def picture(page, name):
    """Keeps a picture of a view, in which no serious violation of accessibility is known."""
    for _ in range(10):
        violations = axe.Axe().run(page).response["violations"]
        serious = [
            (of["id"], of["help"], [node["html"][:200] for node in of["nodes"]])
            for of in violations
            if of["impact"] in ("serious", "critical")
        ]
        if not serious:
            break
        page.wait_for_timeout(1000)  # what is being filled is pale for a moment
    assert not serious
    if folder := os.environ.get("CLINX_SCREENSHOTS"):
        page.wait_for_timeout(500)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_note_is_marked_filtered_and_pointed_at(page):
    marks = read(page)
    n_marks = marks.count()
    assert n_marks > 1 and page.locator("#note b").count() == 0
    picture(page, "note")
    page.get_by_role("gridcell").first.click()
    page.locator("#note mark.chosen").wait_for()
    assert page.locator("#note mark.chosen").count() == 1
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("End")  # a keyboard is enough
    sync_api.expect(marks).to_have_count(0)
    slider.press("Home")
    sync_api.expect(marks).to_have_count(n_marks)
    page.get_by_role("checkbox").first.click()
    sync_api.expect(marks).not_to_have_count(n_marks)


def test_members_stand_beside_the_vote_and_mentions_give_way_to_their_types(page):
    read(page)
    page.get_by_role("tab", name="Members").click()
    page.get_by_text("members differ on").wait_for()
    assert page.locator("#members").get_by_role("columnheader").count() >= 4
    picture(page, "members")
    page.get_by_role("tab", name="Without mentions").click()
    masked = page.locator("#replaced textarea").input_value()
    assert "[" in masked and masked != NOTE
    picture(page, "without-mentions")


@pytest.mark.parametrize("kind, content", [("JSON Lines", b'"entities"'), ("CSV", b"mention,label"), ("BRAT", b"PK")])
def test_downloads_are_made_in_the_browser(page, kind, content):
    read(page)
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download {kind}").first.click()
    assert content in Path(download.value.path()).read_bytes()


def test_files_are_read_together_and_others_refused(page, server, tmp_path):
    (tmp_path / "a.txt").write_text(NOTE)
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("b.txt", NOTE * 2)
    page.get_by_role("tab", name="Files").click()
    page.get_by_text("They are read at once").wait_for()
    page.wait_for_timeout(1000)  # until its events are bound
    uploads = page.locator("input[type=file][accept*=zip]")
    uploads.set_input_files([tmp_path / "a.txt", tmp_path / "more.zip"])
    page.get_by_role("gridcell", name="b.txt").wait_for()
    page.get_by_role("gridcell", name="b.txt").click()
    page.locator("#file mark").first.wait_for()
    picture(page, "files")
    assert not [path for path in server.temp.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../b.txt", NOTE)
    uploads.set_input_files([tmp_path / "bad.zip"])
    page.get_by_text("expected .txt files only").wait_for()
    picture(page, "files-refused")


def test_nothing_of_a_note_stays_in_the_browser_or_reaches_another_visitor(page, browser, server):
    read(page)
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert MARK not in kept
    assert page.evaluate("indexedDB.databases().then(all => all.length)") == 0
    other = opened(browser.new_context().new_page(), server.url)
    assert MARK not in other.content()
    assert MARK not in server.log.read_text()
    other.context.close()


def test_a_model_that_fails_says_why(page, broken):
    page.get_by_label("Model").click()
    page.get_by_role("option").nth(1).click()
    page.locator("#text textarea").fill(NOTE)
    page.get_by_role("button", name="Find concepts").click()
    page.get_by_text(f"{broken} cannot be loaded").wait_for()


@pytest.mark.parametrize(("theme", "width"), [("light", 390), ("dark", 390), ("dark", 1200)])
def test_it_fits_a_phone_and_the_dark(browser, server, theme, width):
    page = browser.new_context(viewport={"width": width, "height": 844}).new_page()
    page.set_default_timeout(20_000)
    opened(page, f"{server.url}/?__theme={theme}")
    read(page)
    page.get_by_role("gridcell").first.click()
    page.locator("#note mark.chosen").wait_for()
    for view in ("The note", "Members", "Without mentions", "Files"):
        page.get_by_role("tab", name=view).click()
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture(page, f"{view.lower().replace(' ', '-')}-{theme}-{width}")
    page.context.close()


def test_a_hostile_note_is_shown_as_it_is(page):
    marks = read(page, HOSTILE)
    assert marks.count() > 1
    shown = page.locator("#note .note")
    assert "document.title='no'" in shown.evaluate(
        "of => [...of.querySelectorAll('sub')].reduce((_, s) => (s.remove(), of), of).textContent"
    )
    assert shown.locator("script, img, b").count() == 0 and "U+202E" in shown.inner_text()
    page.get_by_role("gridcell").last.click()
    page.get_by_role("tab", name="Members").click()
    page.get_by_text("members differ on").wait_for()
    assert page.locator("#members").locator("script, img, b").count() == 0
    assert page.title() == "Clinical concepts"
    picture(page, "hostile")


def test_a_note_is_refused_before_it_waits(page, server):
    find = page.get_by_role("button", name="Find concepts")
    assert not page.get_by_role("button", name="Download CSV").count()
    find.click()
    page.get_by_text("There is no note yet").wait_for()
    page.locator("#text textarea").focus()
    page.keyboard.insert_text("a " * 25_001)  # as one pastes: nothing is cut off
    find.click()
    page.get_by_text("The note has 50,002 characters; at most 50,000 are read.").wait_for()
    picture(page, "refused")
    page.get_by_role("button", name="English example").click()
    find.click()
    page.get_by_text("mentions, found by").wait_for()
