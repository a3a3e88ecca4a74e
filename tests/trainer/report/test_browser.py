"""Pages in a browser: they fit, ask for nothing, complain of nothing, and answer."""

import re

import pytest

from tests.helpers import chromium, drawn_pages
from tests.helpers.messages import assert_states

WIDTHS = (1280, 390)
KINDS = ("run", "photos", "hostile", "study", "sweep", "watch", "comparison")
BROWSER = chromium.program()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None,
        reason=f"no browser is installed, of {', '.join(chromium.NAMES)}",
    ),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    from trainer.report import markup

    with pytest.MonkeyPatch.context() as patch:
        # PNGs that nobody looks at take seconds.
        patch.setattr(markup, "draw_picture", lambda picture, folder: None)
        return drawn_pages.write_all(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def tab():
    with chromium.browsing(BROWSER) as found:
        yield found


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_fits_and_asks_for_nothing(pages, tab, kind):
    for width in WIDTHS:
        papers = []
        for is_dark in (False, True):
            tab.open(pages[kind], width=width, is_dark=is_dark)
            assert tab.run("document.documentElement.scrollWidth") == width
            # Texts of charts are in pixels of their drawings.
            sizes = tab.run(
                "[...document.querySelectorAll('svg text')].map(t => "
                "parseFloat(getComputedStyle(t).fontSize) "
                "* Math.hypot(t.getScreenCTM().a, t.getScreenCTM().b))"
            )
            assert min(sizes, default=9) > 8
            papers.append(tab.run("getComputedStyle(document.body).backgroundColor"))
            assert tab.requests() == [pages[kind].as_uri()]
            assert tab.complaints() == []
        light, dark = (sum(map(int, re.findall(r"\d+", text))) for text in papers)
        assert light > 3 * 240 > 3 * 60 > dark


def test_hostile_names_are_texts(pages, tab):
    tab.open(pages["hostile"], width=1280, is_dark=False)
    assert tab.run("document.scripts.length") == 1
    assert tab.run("document.querySelectorAll('img[src=x]').length") == 0
    assert drawn_pages.HOSTILE in tab.run("document.body.textContent")
    # Whatever came in as a script would not run.
    tab.run(
        "const s = document.createElement('script'); s.textContent = 'window.x = 1';"
        "document.body.append(s)"
    )
    assert tab.run("window.x === undefined")


def test_tables_are_sorted_by_numbers_and_turned_round(pages, tab):
    tab.open(pages["study"], width=1280, is_dark=False)
    column = (
        "[...document.querySelectorAll('tbody tr')].map(r => r.cells[3].textContent)"
    )
    head = "document.querySelectorAll('thead th')[3].click()"
    tab.run(head)
    rising = tab.run(column)
    # The cell without a number is last.
    assert [text.split()[0] for text in rising] == [
        "60.0",
        "65.0",
        "70.0",
        "75.0",
        "80.0",
        "-",
    ]
    tab.run(head)
    assert [t.split()[0] for t in tab.run(column)] == [
        "80.0",
        "75.0",
        "70.0",
        "65.0",
        "60.0",
        "-",
    ]
    sorts = "document.querySelectorAll('[aria-sort=descending]').length"
    assert tab.run(sorts) == 1


def test_the_first_column_stays(pages, tab):
    tab.open(pages["comparison"], width=390, is_dark=False)
    left = "document.querySelector('tbody th').getBoundingClientRect().left"
    before = tab.run(left)
    assert (
        tab.run(
            "const t = document.querySelector('.table');"
            "t.scrollLeft = 300; t.scrollLeft"
        )
        == 300
    )
    assert tab.run(left) == pytest.approx(before, abs=2)


def test_a_chart_tells_values_at_the_pointer(pages, tab):
    tab.open(pages["run"], width=1280, is_dark=False, height=6000)
    x, y = tab.run(
        "(() => { const b = document.querySelector('svg[data-lines]')"
        ".getBoundingClientRect(); return [b.left + b.width / 2, b.top + 30]; })()"
    )
    tab.move(x, y)
    told = tab.run("document.getElementById('tip').innerText")
    assert_states(told, "step 40", "teacher", "student (mean of 3 seeds)")
    values = [float(each) for each in re.findall(r": ([\d.]+)", told)]
    assert len(values) == 3
    assert all(93 < value < 97 for value in values)  # 0.94 and a little noise
    tab.move(5, 5)
    assert tab.run("document.getElementById('tip').hidden")
    x, y = tab.run(
        "(() => { const b = document.querySelector('[data-tip]:not([data-tip=\"\"])')"
        ".getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2];"
        " })()"
    )
    tab.move(x, y)
    assert not tab.run("document.getElementById('tip').hidden")
