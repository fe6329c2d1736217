"""What an answer may draw: text, marks and links that say where they go. Nothing that loads, runs or pretends."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ui.widgets.answer_html import answer_html, split_settled

DRAWN = {
    *("p", "a", "span", "strong", "em", "s", "code", "pre", "div", "button", "br", "hr"),
    *("ul", "ol", "li", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    *("class", "href", "target", "title", "type", "start", "style"),
    *("data-sb", "data-copy", "aria-label"),
}


class Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def drawn(markdown: str) -> str:
    return answer_html(markdown, "turn_1", {1: "Travel policy", 2: 'A "quoted" title'})


def check(html: str) -> None:
    for tag, attributes in Elements(html).found:
        assert tag in DRAWN
        assert set(attributes) <= ATTRIBUTES
        href = attributes.get("href") or "#passage"
        assert href == "#passage" or href.lower().startswith(("http://", "https://", "mailto:"))
        assert "url(" not in (attributes.get("style") or "")


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src="https://evil.example/p.png" onerror="alert(1)">',
        "![pixel](https://evil.example/p.png)",
        "![a [b](https://evil.example) c](https://evil.example/p.png)",
        "[press](javascript:alert(1))",
        "[press](JaVaScRiPt:alert(1))",
        "[press](data:text/html;base64,PHNjcmlwdD4=)",
        "<javascript:alert(1)>",
        "[1]: https://evil.example\n\nSee [1] and [evil][1].",
        "[x](https://e.example \"' onmouseover='alert(1)\")",
        '```"><img src=x>\n</code></pre><img src=x>\n```',
        "| a |\n|---|\n| <img src=x> |",
        "<details open ontoggle=alert(1)>",
        "<!--\n```\n-->\n![x](https://evil.example/p.png)",
        "&lt;img src=x&gt;",
    ],
)
def test_hostile_text_draws_nothing_that_loads_or_runs(hostile: str) -> None:
    check(drawn(hostile))


@given(st.text(alphabet="[]()!<>\"'`:/#*_~|\\-\n abhtpsimgrcx=1&;", max_size=80))
def test_no_text_draws_more_than_text_marks_and_links(text: str) -> None:
    check(drawn(text))


def test_an_image_becomes_a_link_that_says_where_it_would_load_from() -> None:
    html = drawn("![The plan](https://evil.example/p.png)")
    assert "Image: The plan</a>" in html
    assert "(evil.example)" in html
    assert "<img" not in html


def test_a_link_says_where_it_goes_and_opens_apart() -> None:
    html = drawn("See [the *portal*](https://rail.example.com/book?a=1&b=2).")
    assert 'target="_blank"' in html
    assert "the <em>portal</em></a>" in html
    assert "(rail.example.com)" in html


def test_a_link_that_is_none_stays_words_and_shows_its_address() -> None:
    html = drawn("[the document](/document?id=secret)")
    assert "<a" not in html
    assert "(/document?id=secret)" in html


def test_a_citation_is_a_mark_that_opens_its_passage() -> None:
    html = drawn("Seven days ahead [1][2], `row[1]` and [7].")
    assert html.count('class="sb-cite"') == 2
    assert 'data-sb="passage:turn_1:1"' in html
    assert "A &quot;quoted&quot; title" in html
    assert "row[1]" in html
    assert "[7]" in html


def test_what_is_settled_is_cut_at_blank_lines_outside_code() -> None:
    assert split_settled("One.\n\nTwo") == ("One.\n\n", "Two")
    assert split_settled("Still one paragraph\nof two lines") == (
        "",
        "Still one paragraph\nof two lines",
    )
    assert split_settled("A\n\n```\nx\n\ny") == ("A\n\n", "```\nx\n\ny")
    assert split_settled("```\nx\n\ny\n```\n\nB") == ("```\nx\n\ny\n```\n\n", "B")


@given(st.text(alphabet="ab `~\n", max_size=60))
def test_cutting_loses_nothing(text: str) -> None:
    assert "".join(split_settled(text)) == text
