"""Where a sign-in may lead: into this app, and nowhere else."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identity.addresses import is_loopback, local_path, same_place, secure_or_loopback


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/chat",
        "/chat?c=conv_1&x=%20",
        "/a/b#c",
        "/späße",
        "/%2F%2Fevil.test",
        "/a//b",
        "/auth",
    ],
)
def test_local_paths_are_kept(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "chat",
        "//evil.test",
        "///evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "/a\\b",
        "https://evil.test",
        "https:/evil.test",
        "javascript:alert(1)",
        " //evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        "/\r\nSet-Cookie: a=b",
        "/\x00",
        "/\x7f",
        "/\x85",
        "/auth/logout",
        "/AUTH/login?next=/",
        "/" + "a" * 2000,
    ],
)
def test_everything_else_leads_home(path: str | None) -> None:
    assert local_path(path) == "/"


PIECES = st.sampled_from(
    [
        "/",
        "\\",
        "//",
        ":",
        "@",
        "?",
        "#",
        "..",
        ".",
        "evil.test",
        "https:",
        "\t",
        "\n",
        " ",
        "%2f",
        "a",
        "[",
        "]",
    ]
)


@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=8).map("".join)))
def test_no_text_leads_off_the_site(text: str) -> None:
    """As a browser reads it: tabs and line breaks dropped, backslashes taken for slashes."""
    path = local_path(text)
    assert path.startswith("/")
    browser = "".join(c for c in path if c not in "\t\r\n").replace("\\", "/")
    landed = urlsplit(urljoin("https://chat.example.test/auth/callback", browser))
    assert (landed.scheme, landed.netloc) == ("https", "chat.example.test")


@pytest.mark.parametrize(
    ("address", "scheme", "host", "same"),
    [
        ("http://localhost:8501", "http", "localhost:8501", True),
        ("http://localhost:8501", "http", "LOCALHOST:8501", True),
        ("http://localhost:8501", "http", "127.0.0.1:8501", False),
        ("http://localhost:8501", "http", "localhost:9000", False),
        ("https://chat.test", "https", "chat.test", True),
        ("https://chat.test", "https", "chat.test:443", True),
        ("https://chat.test", "http", "chat.test", True),
        ("https://chat.test", "http", "10.0.0.1:8501", False),
        ("https://chat.test", "http", "", False),
        ("https://chat.test", "http", "chat.test:x", False),
    ],
)
def test_hosts_are_compared_with_their_ports(
    address: str, scheme: str, host: str, same: bool
) -> None:
    assert same_place(address, scheme, host) is same


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "LOCALHOST"]
)
def test_this_machine_is_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "192.168.0.2", "localhost.evil.test", "127.0.0.1.evil.test", "host"],
)
def test_other_machines_are_not(host: str) -> None:
    assert not is_loopback(host)


def test_plain_http_stays_on_this_machine() -> None:
    assert secure_or_loopback("https://sso.test/x")
    assert secure_or_loopback("http://127.0.0.1:1/x")
    assert not secure_or_loopback("http://sso.test/x")
    assert not secure_or_loopback("ftp://localhost/x")
