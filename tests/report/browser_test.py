"""A report in a real browser: it loads without errors or requests, sorts, shows architectures, fits every screen."""

import json
import shutil
import time

import numpy as np
import pytest
from matplotlib.figure import Figure

from nasjax import report
from nasjax.report import charts
from nasjax.types import Graph

EVIL = '</script><script>window.evil=1</script><img src=x onerror="window.evil=2"> & |x~0|'
ARCHS = [EVIL, *(f"|conv_3x3~{i}|+|skip_connect~0|none~1|+|avg_pool_3x3~0|conv_1x1~1|none~2|" for i in range(19))]
SCREENS = {"desktop": (1280, 900, 1), "phone": (390, 844, 2)}
GRAPH = Graph(("input", "conv3x3", "skip<i>", "add", "output"), ((0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (3, 4)))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    rng = np.random.default_rng(0)
    size, score, other = np.linspace(1e5, 2e6, 20), rng.normal(size=20), rng.normal(size=20)
    columns = [charts.column("parameters", size), charts.column("sc<ore", score), charts.column("other", other)]
    points = charts.scatter("points", columns, archs=ARCHS, alt="Score over size", caption="Points.", ring=3,
                            best=score > 1, line=(size[:3], score[:3]))  # fmt: skip
    names = [f"proxy_{i}" for i in range(12)] + [EVIL]
    matrix = charts.matrix("matrix", names, names, np.corrcoef(rng.normal(size=(13, 20))), alt="Matrix", caption="Rho.")
    curve = charts.curves("curve", np.arange(10), {"a": np.arange(10.0)}, labels=("x", "y"), alt="C", caption="One.",
                          band=(np.arange(10) - 1.0, np.arange(10) + 1.0), span=(2, 4))  # fmt: skip
    rows = [[str(i + 1), report.Code(arch), "–" if i == 4 else f"{size[i]:,.0f}", report.Bar(0.1, ".10"), "word"]
            for i, arch in enumerate(ARCHS)]  # fmt: skip
    table = report.Table(("rank", "architecture", "parameters", "rho", "kind"), rows, "Ranking", text_columns=2)
    path = tmp_path_factory.mktemp("report") / "report.html"
    networks = report.Drawings(dict.fromkeys(ARCHS[:18], GRAPH), left_out=2)
    command = f"python -m launch.score --flagfile={'long/' * 40}run.flags"
    repeat = report.Repeat(command, f"--archs={EVIL}", {"jax": "1"})
    return report.write_report(path, title=f"Report {EVIL}", summary=EVIL, facts={"long": "x" * 300, EVIL: EVIL},
                               sections=[report.Section("Ranking", [table]), report.Section("Points", [points]),
                                         report.Section(EVIL, [EVIL, matrix, curve])],
                               networks=networks, repeat=repeat)  # fmt: skip


@pytest.fixture(scope="module")
def other_page(tmp_path_factory):
    """A long table, a network and a picture that has another one for phones."""
    long = report.Table(("place",), [[str(i + 1)] for i in range(40)])
    drawn = report.Picture("network", "Network", "Drawn.", lambda theme: Figure(figsize=(1, 1)), arch="two cells")
    sheet = report.Picture("sheet", "Sheet", "Sheet.", lambda theme: Figure(figsize=(9, 1)),
                           lambda theme: Figure(figsize=(3, 2)))  # fmt: skip
    wide = Graph(("input", *["conv"] * 5, "output"), tuple(e for i in range(1, 6) for e in ((0, i), (i, 6))))
    both = Graph(wide.nodes * 2, (*wide.edges, *((a + 7, b + 7) for a, b in wide.edges)))
    path = tmp_path_factory.mktemp("other") / "report.html"
    return report.write_report(path, title="T", sections=[report.Section("S", [long, drawn, sheet])],
                               networks=report.Drawings({"two cells": both}))  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with chromedriver here; on Debian: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install '.[test]'")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.chrome.service.Service(driver)
    started = webdriver.Chrome(options=options, service=service)
    started.get("about:blank")  # away from the browser's own first page, which asks for things
    yield started
    started.quit()


class Reader:
    """Someone who reads the page."""

    def __init__(self, browser, page):
        self.browser, self.page, self.opened = browser, page, None

    def desktop(self):
        """The page on a large screen, as an earlier test may have left it."""
        return self if self.opened == ("desktop", "light") else self.open()

    def open(self, screen="desktop", theme="light"):
        self.opened = screen, theme
        width, height, scale = SCREENS[screen]
        for log in ("browser", "performance"):
            self.browser.get_log(log)
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                 mobile=screen == "phone")  # fmt: skip
        self.cdp("Emulation.setTouchEmulationEnabled", enabled=screen == "phone")
        self.cdp("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.browser.get(self.page.as_uri())
        self.wait(lambda: self.js("return document.documentElement.dataset.ready === 'yes'"))
        return self

    def cdp(self, method, **arguments):
        return self.browser.execute_cdp_cmd(method, arguments)

    def js(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def find(self, selector):
        return self.browser.find_elements("css selector", selector)

    def wait(self, happened, seconds=120):
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, self.browser.get_log("browser")
            time.sleep(0.05)

    def point(self):
        """The middle of a point that no other covers, in pixels of the window."""
        self.js("document.querySelector('.live').scrollIntoView({block: 'center'})")
        return self.js("""
            const points = [...document.querySelectorAll('.live .trace:first-child .point')];
            const boxes = points.map((p) => p.getBoundingClientRect());
            const middles = boxes.map((b) => [b.x + b.width / 2, b.y + b.height / 2]);
            const far = (p, q) => p === q ? Infinity : Math.hypot(q[0] - p[0], q[1] - p[1]);
            const alone = (p) => Math.min(...middles.map((q) => far(p, q)));
            return middles.sort((a, b) => alone(b) - alone(a))[0];""")

    def move(self, x, y):
        self.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def card(self):
        (card,) = self.find("#card")
        return card


@pytest.fixture(scope="module")
def reader(browser, page):
    return Reader(browser, page)


@pytest.fixture(scope="module")
def other(browser, other_page):
    return Reader(browser, other_page)


@pytest.mark.parametrize(("screen", "theme"), [("phone", "dark"), ("desktop", "light")])
def test_loads_without_errors_or_requests_and_fits_the_screen(reader, screen, theme):
    reader.open(screen, theme)
    assert not reader.browser.get_log("browser")
    asked = [json.loads(entry["message"])["message"] for entry in reader.browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"]
    assert urls and all(url.startswith(("file://", "data:")) for url in urls)
    assert [url for url in urls if url.startswith("file://")] == [reader.page.as_uri()]
    assert reader.js("return window.evil") is None and len(reader.find("img")) == 3  # the stills
    assert reader.js("return document.documentElement.scrollWidth") <= SCREENS[screen][0]
    assert len(reader.find(".live .main-svg")) >= 3 and not any(p.is_displayed() for p in reader.find("picture"))
    ink = reader.js("return document.querySelector('.live .xtitle').style.fill")
    assert ink == ("rgb(232, 229, 222)" if theme == "dark" else "rgb(30, 42, 48)")


def test_tables_sort_by_numbers_and_by_text(reader):
    reader.desktop()
    head = reader.find("thead button")
    ranks = lambda: [int(cell.text) for cell in reader.find("tbody tr > :first-child")]  # noqa: E731
    sort = lambda: [cell.get_attribute("aria-sort") for cell in reader.find("thead th")]  # noqa: E731
    head[2].click()
    assert ranks() == [*range(20, 5, -1), 4, 3, 2, 1, 5] and sort()[2] == "descending"  # 5 has no number
    head[2].send_keys("\n")  # by keyboard
    assert ranks() == [1, 2, 3, 4, *range(6, 21), 5] and sort() == [None, None, "ascending", None, None]
    head[2].click()
    assert ranks() == list(range(1, 21)) and sort() == [None] * 5
    head[1].click()
    assert ranks()[:2] == [1, 2] and sort()[1] == "ascending"


def test_pointing_at_a_point_draws_its_architecture(reader):
    reader.desktop()
    x, y = reader.point()
    reader.move(x, y)
    reader.wait(lambda: reader.card().is_displayed())
    assert reader.card().find_element("css selector", "code").text in ARCHS
    assert len(reader.find("#card svg .node")) == 5 and "skip<i>" in reader.card().text
    assert "parameters" in reader.card().text and "sc<ore" in reader.card().text
    box = reader.card().rect
    assert box["x"] >= 0 and box["x"] + box["width"] <= 1280
    reader.move(5, 5)
    reader.wait(lambda: not reader.card().is_displayed())


def test_arrow_keys_walk_through_the_points_and_a_table_draws_too(reader):
    reader.desktop()
    (chart,) = reader.find('.live[tabindex="0"]')
    chart.send_keys("\ue011")  # home
    assert reader.card().find_element("css selector", "code").text == EVIL
    chart.send_keys("\ue014\ue014")  # right
    assert reader.card().find_element("css selector", "code").text == ARCHS[2]
    chart.send_keys("\ue00c")  # escape
    assert not reader.card().is_displayed()
    (button,) = reader.find('button.arch[data-a="1"]')
    reader.js("arguments[0].focus()", button)
    assert len(reader.find("#card svg .node")) == 5 and ARCHS[1] in reader.card().text
    reader.js("arguments[0].blur()", button)
    assert not reader.card().is_displayed()


def test_axes_can_be_chosen(reader):
    reader.desktop()
    (across,) = [s for s in reader.find(".pick select") if "Horizontal" in s.find_element("xpath", "..").text]
    title = lambda: reader.find(".live .xtitle")[0].text  # noqa: E731
    assert title() == "parameters"
    reader.js("arguments[0].value = '2'; arguments[0].dispatchEvent(new Event('change'))", across)
    reader.wait(lambda: title() == "other")
    (chart,) = reader.find('.live[tabindex="0"]')
    assert not chart.find_elements("css selector", ".js-line")  # the front belongs to the first axes
    reader.js("arguments[0].value = '0'; arguments[0].dispatchEvent(new Event('change'))", across)
    reader.wait(lambda: chart.find_elements("css selector", ".js-line"))


def test_texts_of_a_matrix_read_well_on_their_cells(reader):
    for theme in ("light", "dark"):
        reader.open("desktop", theme)
        colours = set(reader.js("return [...document.querySelectorAll('.live .textpoint text')]"
                                ".map((t) => t.style.fill)"))  # fmt: skip
        assert colours == {"rgb(13, 21, 24)", "rgb(255, 255, 255)"}


def test_a_tap_draws_on_a_phone(reader):
    reader.open("phone")
    x, y = reader.point()
    for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
        reader.cdp("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    reader.wait(lambda: reader.card().is_displayed())
    assert len(reader.find("#card svg .node")) == 5
    box = reader.js("const b = document.getElementById('card').getBoundingClientRect(); return [b.left, b.right]")
    assert box[0] >= 0 and box[1] <= 390
    reader.find("#card .close")[0].click()
    assert not reader.card().is_displayed()


def test_print_and_readers_without_scripts_get_the_still_pictures(reader):
    reader.desktop()
    reader.opened = None
    reader.cdp("Emulation.setEmulatedMedia", media="print")
    assert all(p.is_displayed() for p in reader.find("figure img"))
    assert not any(p.is_displayed() for p in reader.find(".live"))
    reader.cdp("Emulation.setScriptExecutionDisabled", value=True)
    try:
        reader.browser.get(reader.page.as_uri())
        assert all(p.is_displayed() for p in reader.find("figure img")) and not reader.find(".live")
    finally:
        reader.cdp("Emulation.setScriptExecutionDisabled", value=False)


def test_long_tables_are_folded_and_a_sorted_one_shows_its_first(other):
    other.open()
    shown = lambda: [int(cell.text) for cell in other.find("tbody tr > *") if cell.is_displayed()]  # noqa: E731
    assert shown() == list(range(1, 16))
    other.find("thead button")[0].click()
    assert shown() == list(range(40, 25, -1))
    (more,) = other.find(".more")
    assert more.text == "Show all 40 rows"
    more.click()
    assert len(shown()) == 40 and more.text == "Show fewer rows"


def test_a_network_is_drawn_in_place_of_its_picture_and_a_phone_gets_its_own(other):
    for screen, width in (("desktop", 9), ("phone", 3)):
        other.open(screen)
        assert len(other.find(".drawn svg .node")) == 14
        pictures = {img.get_attribute("alt"): img for img in other.find("img")}
        assert not pictures["Network"].is_displayed() and pictures["Sheet"].is_displayed()
        assert other.js("return arguments[0].naturalWidth", pictures["Sheet"]) == width * report.DPI
        assert other.js("return document.documentElement.scrollWidth") <= SCREENS[screen][0]
        boxes = [node.rect for node in other.find(".drawn svg .node")]  # the second cell stands below the first
        assert max(b["y"] for b in boxes[:7]) < min(b["y"] for b in boxes[7:])
