"""The dashboard in a real browser, over a gateway that runs: live, killed, asleep, small, by keys.

Nothing is timed: what was measured is printed.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from browser_bed import Tab, chromium, cpu_of_chromium_s, violations
from canned_gateway import canned_gateway
from database_bed import store
from gateway_bed import Started, secret
from pool_rows import POOL, pool_row, refused_row

from bed import free_port
from spread_scanner import config
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES
from spread_scanner.shm import PriceStore
from spread_scanner.shm.pools import PoolTable
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import DirectionRow, QuarantineRow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PAIRS = 3 * len(EXCHANGE_DIRECTIONS)
ROWS = "[...document.querySelectorAll('.body > [role=row]:not([hidden])')]"
NET = f"Number({ROWS}[0].querySelector('.of-net').textContent.replace('\\u2212', '-'))"
KEYS = f"{ROWS}.map(row => row.children[0].textContent + ' ' + row.children[1].textContent)"
COUNT_FRAMES = """
globalThis.frames_seen = 0;
const seen = () => { globalThis.frames_seen++; requestAnimationFrame(seen); };
requestAnimationFrame(seen);
"""
LIVE = "document.querySelector('.fresh.live') !== null"


class Feeds:
    """Every source quotes every symbol, and says so again ten times a second."""

    def __init__(self, namespace: str) -> None:
        self.mids = {source.source_id: 100.0 for source in EXCHANGE_SOURCES}
        self._namespace = namespace
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._feed)
        self._thread.start()

    def _feed(self) -> None:
        with contextlib.ExitStack() as stack:
            store = stack.enter_context(PriceStore.attach(self._namespace))
            writers = [stack.enter_context(store.writer(one.source_id)) for one in EXCHANGE_SOURCES]
            while not self._ended.wait(0.05):
                now_ns = store.clock.now_ns()
                for source_id, writer in enumerate(writers):
                    mid = self.mids[source_id]
                    for symbol_id in range(3):
                        quote = (mid * 0.9999, 10.0, mid * 1.0001, 10.0)
                        writer.write(symbol_id, *quote, now_ns, now_ns, 1)
                    writer.heartbeat(now_ns - store.clock.anchor_ns)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


def spent(page: Any) -> tuple[float, float]:
    """The share of a core that all of chromium takes, and the seconds that it was looked at."""
    began_s, cpu_s = time.perf_counter(), cpu_of_chromium_s()
    page.wait_for_timeout(3_000)
    took_s = time.perf_counter() - began_s
    return (cpu_of_chromium_s() - cpu_s) / took_s, took_s


def test_thousands_of_rows_cost_little(browser: Any) -> None:
    with canned_gateway(3_600) as address:
        tab = Tab(browser, address, viewport={"width": 1400, "height": 800})
        tab.page.unroute("**/*")  # the driver's work is none of the page's
        page = tab.open("#usable=0")
        tab.until(LIVE)
        tab.until("page.session.rows.socket?.readyState === 1")
        alone, _ = spent(page)
        page.evaluate(COUNT_FRAMES)
        counted, took_s = spent(page)
        frames = page.evaluate("globalThis.frames_seen") / took_s
        print(f"3,600 pairs: {alone:.0%} of a core in all of chromium; {counted:.0%} while frames")
        print(f"are counted, which asks for one each time that there may be one: {frames:.0f}/s")
        assert page.evaluate("document.querySelectorAll('.body > [role=row]').length") < 60
        first = page.evaluate(f"{ROWS}.map(row => row.textContent)")
        tab.until(f"String({ROWS}.map(row => row.textContent)) !== {','.join(first)!r}")
        page.evaluate("document.querySelector('.table').scrollTop = 3_000 * page.table.rowHeight")
        tab.until(f"{ROWS}.some(row => row.getAttribute('aria-rowindex') > 3_000)")
        tab.close()


class Shown:
    """A gateway that can be killed and comes back where it was."""

    def __init__(self, bed: Any, more: str = "") -> None:
        self._bed = bed
        file = bed.folder / "config" / "config.toml"
        port = free_port()
        file.write_text(file.read_text().replace("port = 0", f"port = {port}") + more)
        self.address = f"http://127.0.0.1:{port}"
        self.begin()

    def begin(self) -> None:
        self.life = Started(self._bed)
        self.life.address()

    def kill(self) -> None:
        self.life.child.kill()
        self.life.child.wait()


@pytest.fixture
def wide_bed(listed_bed: Any) -> Any:
    """Every symbol in every direction."""
    made = tables.load(listed_bed.settings.generated_dir)
    ways = tuple(DirectionRow(one.direction_id, (0, 1, 2)) for one in EXCHANGE_DIRECTIONS)
    more = msgspec.structs.replace(made, generation=3, directions=ways, quarantine=())
    publish.publish(listed_bed.settings.generated_dir, more, {})
    listed_bed.settings = config.load()
    return listed_bed


@pytest.fixture
def feeds(wide_bed: Any) -> Iterator[Feeds]:
    quoting = Feeds(wide_bed.namespace)
    yield quoting
    quoting.close()


@pytest.fixture
def shown(wide_bed: Any, feeds: Feeds) -> Iterator[Shown]:
    gateway = Shown(wide_bed)
    yield gateway
    gateway.kill()


@pytest.fixture
def tab(browser: Any, shown: Shown) -> Iterator[Tab]:
    opened = Tab(browser, shown.address, viewport={"width": 1400, "height": 800})
    yield opened
    opened.close()


def futures_rise(feeds: Feeds, to: float) -> None:
    for source in EXCHANGE_SOURCES:
        if source.market.label == "futures":
            feeds.mids[source.source_id] = to


def test_it_is_live_through_a_kill_and_a_sleep(tab: Tab, shown: Shown, feeds: Feeds) -> None:
    page = tab.open("#usable=0")
    tab.until(LIVE)
    tab.until(f"{ROWS}.length >= 20")
    assert f"{PAIRS} of {PAIRS}" in tab.text(".told")

    before = page.evaluate(NET)
    began = time.perf_counter()
    futures_rise(feeds, 101.0)
    tab.until(f"{NET} > {before} + 50")
    print(f"a quote was seen {1e3 * (time.perf_counter() - began):.0f} ms after it was written")

    shown.kill()
    tab.until("/Disconnected/.test(document.querySelector('.fresh').textContent)")
    assert page.evaluate("document.title").startswith("⚠")
    assert page.evaluate("document.querySelector('main').className") == "old"
    shown.begin()
    tab.until(LIVE)
    keys = page.evaluate("page.places.map(place => page.board.keys[place])")
    assert len(keys) == len(set(keys)) == PAIRS
    seen = page.evaluate(KEYS)
    assert len(seen) == len(set(seen))

    debugger = tab.context.new_cdp_session(page)
    debugger.send("Page.setWebLifecycleState", {"state": "frozen"})
    futures_rise(feeds, 103.0)
    debugger.send("Page.setWebLifecycleState", {"state": "active"})
    tab.until(f"{NET} > {before} + 250")
    tab.until(LIVE)


def test_it_is_used_by_keys_alone(tab: Tab) -> None:
    page = tab.open()
    tab.until(f"{ROWS}.length >= 20")
    keyboard = page.keyboard
    for _ in range(60):
        if page.evaluate("document.activeElement.getAttribute('role')") == "grid":
            break
        keyboard.press("Tab")
    else:
        pytest.fail("the table is not reached")
    keyboard.press("ArrowDown")
    keyboard.press("ArrowDown")
    active = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))"
    assert page.evaluate(f"{active}.getAttribute('aria-selected')") == "true"
    assert "Gross" in tab.text(".hint")
    meant = page.evaluate("page.table.meant")
    keyboard.press("Enter")
    tab.until("document.activeElement.id === 'pair'")
    assert meant.split()[0] in tab.text(".drawer h2")
    assert page.evaluate("decodeURIComponent(location.hash)").replace("+", " ").find(meant) > 0
    keyboard.press("Escape")
    tab.until("document.querySelector('.drawer') === null")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"
    keyboard.press("/")
    tab.until("document.activeElement.id === 'search'")
    keyboard.type("bbb")
    tab.until(f"{ROWS}.every(row => row.textContent.includes('BBB'))")
    assert "q=bbb" in page.evaluate("location.hash")
    keyboard.press("Escape")
    tab.until("document.getElementById('search').value === ''")
    page.evaluate("document.activeElement.blur()")
    keyboard.press("?")
    tab.until("document.querySelector('.panel h2')?.textContent === 'Help'")
    keyboard.press("Escape")
    tab.until("document.querySelector('.panel') === null")
    page.focus(".table")
    keyboard.press("Tab")
    keyboard.press("Enter")
    tab.until("document.querySelector('[aria-sort]').dataset.key === 'symbol'")
    assert page.evaluate("document.activeElement.textContent") == "Symbol"
    page.focus(".chooser summary")
    keyboard.press("Enter")
    tab.until("document.querySelector('.chooser').open")
    keyboard.press("Tab")
    keyboard.press("Escape")
    tab.until("!document.querySelector('.chooser').open")
    assert page.evaluate("document.activeElement.textContent") == "Columns"


MUTED = "Object.keys(page.preferences.mutes).join()"


def test_keys_are_about_the_pair_that_is_seen(tab: Tab) -> None:
    """The opened one, whatever the table's is; no hidden table's."""
    page = tab.open("#usable=0&muted=1")
    tab.until(f"{ROWS}.length >= 20")
    page.click(".body > [role=row]")
    tab.until("document.activeElement.id === 'pair'")
    page.click(".matrix button.link:not([aria-current]):not([aria-label])")
    tab.until("page.state.pair !== page.table.meant")
    opened, meant = page.evaluate("[page.state.pair, page.table.meant]")
    page.keyboard.press("m")
    assert page.evaluate(MUTED) == opened
    assert tab.text(".said") == f"Muted: {opened}"
    page.keyboard.press("m")
    assert page.evaluate(MUTED) == ""
    assert tab.text(".said") == f"No longer muted: {opened}"
    page.focus(".table")
    page.keyboard.press("m")
    assert page.evaluate(MUTED) == meant
    page.keyboard.press("m")
    page.click(".drawer header button:has-text('Close')")
    page.click("nav button:has-text('Opportunities')")
    page.keyboard.press("m")
    assert page.evaluate(MUTED) == ""
    page = tab.open(PAIR)
    tab.until("page.board.count > 0")
    page.keyboard.press("m")
    assert page.evaluate(MUTED) == page.evaluate("page.state.pair")


HINTED = """async () => {
  const { board, session, table } = page;
  session.polls[0].stop();
  const { spreads } = session.rows.hears;
  session.rows.hears = {};
  const row = table.pool.find((one) => one.root.matches(":hover"));
  const net = row.root.querySelector(".of-net");
  const pair = board.keys[row.place].split(" ");
  const record = { usable: true, depth: null, symbol: pair[0], direction: pair[1] };
  const told = [];
  for (const net_bps of [111, 222, 333]) {
    spreads({ version: 1, snapshot: false, gone: [], spreads: [{ ...record, net_bps }] });
    while (net.textContent !== `+${net_bps}.0`) await new Promise(requestAnimationFrame);
    told.push(document.querySelector(".hint .sum .figure").textContent);
  }
  return told;
}"""


def test_the_waterfall_over_a_row_says_what_the_row_does(tab: Tab) -> None:
    page = tab.open("#usable=0")
    tab.until(f"{ROWS}.length >= 20")
    page.hover(".body > [role=row] .of-net")
    tab.until("document.querySelector('.hint .sum') !== null")
    assert page.evaluate(HINTED) == ["+111.0", "+222.0", "+333.0"]


def test_what_is_chosen_is_seen_in_the_colours_of_the_system(browser: Any, shown: Shown) -> None:
    tab = Tab(browser, shown.address, forced_colors="active")
    page = tab.open("#buy=okx")
    tab.until(LIVE)
    tab.until("document.querySelector('.chips [aria-pressed=true]') !== null")
    for chosen, other in (
        ("nav [aria-current]", "nav button:not([aria-current])"),
        (".chips [aria-pressed=true]", ".chips [aria-pressed=false]"),
    ):
        ground = "selector => getComputedStyle(document.querySelector(selector)).backgroundColor"
        assert page.evaluate(ground, chosen) != page.evaluate(ground, other)
    tab.close()


def test_a_link_restores_what_was_seen(tab: Tab) -> None:
    page = tab.open("#q=aaa&buy=okx&sort=symbol&up=1&cols=net,symbol,direction&usable=0")
    tab.until(f"{ROWS}.length === 3")
    heads = page.evaluate(
        "[...document.querySelectorAll('[role=columnheader]')].map(h => h.dataset.key)"
    )
    assert heads == ["net", "symbol", "direction"]
    assert page.evaluate("document.querySelector('[aria-sort]').dataset.key") == "symbol"
    page.click("[role=columnheader] button")
    tab.until("document.querySelector('[aria-sort]').dataset.key === 'net'")
    page.reload()
    tab.until(f"{ROWS}.length === 3")
    assert page.evaluate("document.querySelector('[aria-sort]').dataset.key") == "net"


VIEWS = (
    *("", "#view=opportunities", "#view=report", "#view=sources", "#view=pools"),
    *("#view=alerts", "#view=help"),
)
PAIR = "#pair=AAA-USDT+okx-bybit"


def test_axe_finds_nothing_in_both_themes(browser: Any, shown: Shown) -> None:
    tab = Tab(browser, shown.address, color_scheme="dark", viewport={"width": 1400, "height": 800})
    for view in (*VIEWS, PAIR):
        page = tab.open(view)
        tab.until(LIVE)
        tab.until("page.board.count > 0")
        if view == PAIR:
            tab.until("document.querySelector('.chart canvas') !== null")
        page.emulate_media(color_scheme="dark")
        assert violations(tab) == [], view
        page.emulate_media(color_scheme="light")
        assert violations(tab, ["color-contrast"]) == [], view  # all else is the same
    tab.close()


def test_pools_are_shown_and_why_one_cannot_be_stood_behind(
    tab: Tab, shown: Shown, wide_bed: Any
) -> None:
    rows = "[...document.querySelectorAll('[aria-label=Pools] tbody tr')]"
    with PoolTable.attach(wide_bed.namespace) as table, table.writer() as writer:
        writer.write(0, pool_row(POOL))
        other = "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin"
        writer.write(1, refused_row(other, b"another mint"))
        page = tab.open("#view=pools")
        tab.until(f"{rows}.length === 2")
        good, bad = (page.evaluate(f"{rows}[{n}].innerText") for n in (0, 1))
        for part in ("58oQCh…hLYQo2", "150.5", "2.00k / 300k", "0.25%"):
            assert part in good
        assert good.endswith("fresh")
        assert bad.endswith("another mint")
        assert "1 of 2 can be stood behind" in tab.text(".panel")
        assert violations(tab) == []
        writer.write(0, pool_row(POOL, price=151.25))
        tab.until(f"{rows}[0].innerText.includes('151.25')")


def test_it_fits_a_phone(browser: Any, shown: Shown) -> None:
    tab = Tab(browser, shown.address, viewport={"width": 320, "height": 640}, has_touch=True)
    for view in (*VIEWS, PAIR):
        page = tab.open(view)
        tab.until(LIVE)
        tab.until("page.board.count > 0")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 320, view
    page = tab.open("#min=-900")
    tab.until(f"{ROWS}.length > 2")
    # Many venues wrap; what is set elsewhere is seen, and may be set here.
    many = [f"venue-{n}" for n in range(9)]
    page.evaluate("many => { page.board.legs[0] = many; page.frame(); }", many)
    assert "(1)" in tab.text(".filters")
    page.tap(".filters")
    tab.until("document.querySelectorAll('.toolbar .chips button').length > 9")
    for box in page.query_selector_all(".toolbar :is(button, input, label):visible"):
        at = box.bounding_box()
        assert at["x"] >= 0, box.inner_text()
        assert at["x"] + at["width"] <= 320, box.inner_text()
    page.tap(".filters")
    page.tap(".body > [role=row]")
    tab.until("document.querySelector('.drawer .waterfall td') !== null")
    for said in ("Size", "Funding", "Ages", "Alive"):  # of which a card has no room
        assert said in tab.text(".drawer .figures")
    drawer = page.evaluate("document.querySelector('.drawer').scrollWidth")
    assert drawer <= 320
    for button in page.query_selector_all(".drawer header button"):
        box = button.bounding_box()
        assert box["x"] >= 0, button.inner_text()
        assert box["x"] + box["width"] <= 320, button.inner_text()
    page.tap(".drawer header button:last-child")
    tab.until("document.querySelector('.drawer') === null")
    tab.close()


def test_a_pair_that_is_not_shown_says_why(browser: Any, wide_bed: Any, shown: Shown) -> None:
    """Kept out of one direction, not of the others: found by the search, the matrix and a link."""
    made = tables.load(wide_bed.settings.generated_dir)
    kept_out = QuarantineRow(0, "AAA-USDT", "prices disagree by 40 %")
    ways = tuple(
        DirectionRow(one.direction_id, (1, 2) if one.direction_id == 0 else (0, 1, 2))
        for one in EXCHANGE_DIRECTIONS
    )
    more = msgspec.structs.replace(made, generation=4, directions=ways, quarantine=(kept_out,))
    publish.publish(wide_bed.settings.generated_dir, more, {})
    shown.kill()
    shown.begin()
    tab = Tab(browser, shown.address, viewport={"width": 1400, "height": 800})
    buys, sells = EXCHANGE_DIRECTIONS[0].label.split("-")
    said = f"Kept out of {buys}-{sells}: prices disagree by 40 %"
    page = tab.open(f"#q=aaa&buy={buys}&sell={sells}&usable=0")
    page.click(".none button:has-text('Why?')")
    tab.until(f"document.querySelector('.drawer').innerText.includes('{said}')")
    assert tab.text(".drawer h2").strip() == "AAA-USDT"
    assert page.evaluate("document.activeElement.id") == "pair"
    page.click(".drawer .matrix button[aria-label$='why not']")
    tab.until(f"page.state.pair === 'AAA-USDT {buys}-{sells}'")
    tab.until(f"document.querySelector('.drawer').innerText.includes('{said}')")
    assert violations(tab) == []
    page = tab.open("#q=nonesuch")
    page.click(".none button:has-text('Why?')")
    tab.until("/no such symbol/.test(document.querySelector('.drawer').innerText)")
    tab.close()


ZOOM = "new URLSearchParams(location.hash.slice(1)).get('zoom')"


def test_the_zoom_of_the_chart_stays_and_today_is_until_midnight(
    browser: Any, shown: Shown
) -> None:
    tab = Tab(browser, shown.address, viewport={"width": 1400, "height": 1_000})
    page = tab.open(PAIR)
    trail = "page.session.trail.timed(page.state.pair).length"
    tab.until("document.querySelector('.chart canvas') !== null")
    tab.until(f"page.board.count > 0 && {trail} > 2")
    page.evaluate("document.querySelector('.chart canvas').scrollIntoView()")
    box = page.query_selector(".chart canvas").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 50)
    page.mouse.up()
    tab.until(f"{ZOOM} !== null")
    zoom = page.evaluate(ZOOM)
    points = page.evaluate(trail)
    tab.until(f"{trail} > {points + 1}")
    assert page.evaluate(ZOOM) == zoom
    for button in ("Close", ""):
        if button:  # and opened again: the next pair has it, too
            page.click(f".drawer header button:has-text('{button}')")
            tab.until("document.querySelector('.drawer') === null")
            page.click(".body > [role=row]")
        else:
            page.reload()
        tab.until("document.querySelector('.chart canvas') !== null")
        assert page.evaluate(ZOOM) == zoom
    page.dblclick(".chart canvas")
    tab.until(f"{ZOOM} === null")
    page.click(".drawer header button:has-text('Today')")
    (until,) = page.evaluate("Object.values(page.preferences.mutes)")
    assert until % 86_400_000 == 0
    assert 0 < until - 1e3 * time.time() <= 86_400_000
    tab.close()


WHOLE = """[...document.querySelectorAll('.table .cell, .table [role=columnheader] button')]
    .filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"""
WIDEST = """
const ways = [["meteora", "binance"], ["phoenix", "binance"], ["binance", "binance"]];
page.board.exchanges.forEach((_, n) => { page.board.exchanges[n] = ways[n % ways.length]; });
const { columns } = page.board;
columns.spot_age_ms.fill(43 * 60e3 + 43e3);
columns.fut_age_ms.fill(43 * 60e3 + 43e3);
columns.size_quote.fill(5_030);
const depth = { size_quote: 59_900, bounded: true };
columns.size_quote.forEach((_, n) => page.board.depths.set(n, depth));
const rate = { rate: -0.004444, interval_h: 8, unknown: "" };
const whens = [{ in_ms: 27e6, noted: true }, { in_ms: -27e6, noted: false }];
page.board.columns.symbol.forEach((symbol, n) => {
  const { in_ms, noted } = whens[n % whens.length];
  const told = { ...rate, noted, next_wall_ns: 1e6 * (Date.now() + in_ms) };
  page.board.funding.set(`${symbol} binance-futures`, told);
});
page.session.polls[0].stop();
page.session.rows.wish(null);
page.table.draw(performance.now());
"""


def test_what_is_shown_is_shown_whole(tab: Tab) -> None:
    page = tab.open("#usable=0")
    tab.until(f"{ROWS}.length >= 20")
    tab.until("page.board.funding.size > 0")
    page.evaluate(WIDEST)
    assert page.evaluate(WHOLE) == []
    table = "document.querySelector('.table')"
    assert page.evaluate(f"{table}.scrollWidth <= {table}.clientWidth")
    for key in page.evaluate("page.table.columns.map(({ key }) => key)"):
        page.evaluate(f"page.set({{ sort: '{key}' }})")
        assert page.evaluate(WHOLE) == [], key


SINCE = """(ms) => {
  const { board, table } = page;
  const row = table.pool.find((one) => one.place !== null);
  board.stopped = "";
  board.alive.set(board.keys[row.place], board.sessionMs(performance.now()) - ms);
  table.draw(performance.now());
  return ["open", "opened"].map((name) => row.root.classList.contains(name));
}"""


WARNED = {"status": "ok", "degraded": ["feed-okx-spot", "okx-spot: no quotes."], "switched": []}
TOP_OF_ROW = f"{ROWS}[2].getBoundingClientRect().top"
AWAY_FOR_A_MOMENT = f"""async () => {{
  const retryAt = performance.now() + 9_000;
  page.session.failure = {{ code: "", detail: "no answer in time", retryAt }};
  page.session.answeredAt -= 40_000;
  page.frame();
  await new Promise(requestAnimationFrame);
  return [document.querySelector('.fresh').className, {TOP_OF_ROW}];
}}"""


@pytest.mark.parametrize("width", [420, 1_400])
def test_nothing_moves_under_the_pointer(browser: Any, shown: Shown, width: int) -> None:
    """Neither by what is said of the order that is held, nor by what is amiss."""
    tab = Tab(browser, shown.address, viewport={"width": width, "height": 700})
    page = tab.open("#usable=0")
    tab.until(f"{ROWS}.length >= 10")
    tab.until("document.querySelector('.standing') !== null")
    page.evaluate("page.session.events.wish(null)")  # what is amiss is told here from now on
    top = page.evaluate(TOP_OF_ROW)
    page.mouse.move(100, top + 5)
    tab.until("page.table.held && !document.querySelector('.room')")
    assert "order held" in tab.text(".told")
    for served in ({**WARNED, "degraded": []}, WARNED):
        page.evaluate("told => { page.session.events.hears.status({ status: told }); }", served)
        shows = "document.querySelectorAll('.standing p').length"
        tab.until(f"{shows} === {len(served['degraded'])}")
        assert page.evaluate(TOP_OF_ROW) == top
    if width == 1_400:
        assert page.evaluate(AWAY_FOR_A_MOMENT) == ["fresh away", top]
    pressed = page.evaluate(f"{ROWS}[2].id")
    page.mouse.down()
    page.evaluate("page.session.events.hears.status({ status: { degraded: [], switched: [] } })")
    tab.until(f"{shows} === 0")
    assert page.evaluate(f"{ROWS}[2].id") == pressed
    page.mouse.up()
    tab.until("document.querySelector('.drawer') !== null")
    tab.close()


def test_only_what_opened_just_now_is_ringed(tab: Tab) -> None:
    page = tab.open("#usable=0")
    tab.until(f"{ROWS}.length >= 20")
    assert page.evaluate(SINCE, 500) == [True, True]
    assert page.evaluate(SINCE, 60_000) == [True, False]


def test_what_the_tracker_does_not_follow_is_not_said_to_stand(
    browser: Any, wide_bed: Any, shown: Shown
) -> None:
    """Nobody runs here but the gateway: what the database has open, nobody looks after."""
    store(wide_bed.settings.data_dir, id=1, symbol="AAA-USDT", direction="okx-bybit", opened_ns=1)
    tab = Tab(browser, shown.address, viewport={"width": 1400, "height": 800})
    page = tab.open("#view=opportunities")
    tab.until("/not followed .spread-tracker stopped./.test(document.body.textContent)")
    tab.until("page.session.opportunities.length === 1")
    tab.until("document.querySelector('.stands') !== null")
    assert "still there" not in tab.text("body")
    assert "spread-tracker" in tab.text(".standing")
    assert page.evaluate("document.title") == "⚠ spread-scanner"
    tab.close()


def test_a_token_is_asked_for_and_no_script_sees_the_cookie(
    browser: Any, wide_bed: Any, feeds: Feeds
) -> None:
    token = secret(wide_bed, "token")
    shown = Shown(wide_bed, 'token_file = "token"\n')
    tab = Tab(browser, shown.address)
    page = tab.open()
    page.wait_for_selector(".login")
    page.fill(".login input", "not-the-token-but-long")
    page.keyboard.press("Enter")
    tab.until("/not the token/.test(document.querySelector('.said').textContent)")
    page.fill(".login input", token)
    page.keyboard.press("Enter")
    tab.until(LIVE)
    tab.until(f"{ROWS}.length > 2")
    tab.until("page.session.events.socket?.readyState === 1")
    assert page.evaluate("document.cookie") == ""
    shown.kill()
    shown.begin()
    tab.until(LIVE)
    page.keyboard.press("?")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_selector(".login")
    tab.close()
    shown.kill()
