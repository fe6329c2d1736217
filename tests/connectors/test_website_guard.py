"""The guard against server-side request forgery: only a checked address is ever connected to, at every hop."""

from __future__ import annotations

import datetime
import ssl
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from connectors.contract import Context, Failure, SourceFault
from connectors.http import Http, TooLarge
from connectors.suite import listing
from connectors.website import WebsiteConnector
from connectors.website.guard import Guard, Refused, read_internal
from connectors.website.settings import WebsiteSettings
from connectors.website.transport import GuardedTransport
from tests.servers.website_server import Resource, Web, endless, website

PUBLIC = "93.184.215.14"


class Connections(httpcore.NetworkBackend):
    """Real connections, each noted; those to a public address are led to the test's server."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> httpcore.NetworkStream:
        self.made.append(host)
        target = "127.0.0.1" if host == PUBLIC else host
        return httpcore.SyncBackend().connect_tcp(target, port, *rest, **more)


class Names:
    """A name server: one list of addresses per question asked, the last one for ever."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(lists) for name, lists in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        del port
        self.asked.append(host)
        lists = self.answers.get(host)
        if lists is None:
            raise OSError("no such name")
        return lists.pop(0) if len(lists) > 1 else lists[0]


@pytest.fixture
def web() -> Iterator[Web]:
    with website() as web:
        yield web


@pytest.fixture
def connections() -> Connections:
    return Connections()


def client(
    web: Web,
    resolve: Callable[[str, int], Sequence[str]],
    connections: Connections,
    *,
    internal: Sequence[str] = (),
    **more: Any,
) -> Http:
    hosts, networks = read_internal(internal)
    guard = Guard(hosts, networks, frozenset({80, 443, web.port}), resolve)
    transport = GuardedTransport(guard, inner=connections, **more)
    return Http(pause=lambda _seconds: None, transport=transport)


@pytest.mark.parametrize(
    "address",
    """0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.0.1 169.254.169.254
    172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1
    224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8
    ::ffff:0:8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1::1 2002:808:808::1
    3fff::1 5f00::1 fc00::1 fd00:ec2::254 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 not-an-address""".split(),
)
def test_special_addresses_are_not_permitted(address: str) -> None:
    assert not Guard().permits("name.test", address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"]
)
def test_public_addresses_are_permitted(address: str) -> None:
    assert Guard().permits("name.test", address)


def test_naming_what_is_internal_opens_only_that() -> None:
    hosts, networks = read_internal(
        ["Wiki.Example.lan.", "10.1.0.0/16", "127.0.0.1", "fd00::/8", "0.0.0.0/0"]
    )
    guard = Guard(hosts, networks[:3])
    assert guard.permits("wiki.example.lan", "192.168.7.7")
    assert guard.permits("WIKI.example.lan.", "fd12::1")
    assert not guard.permits("wiki.example.lan", "127.0.0.2")
    assert not guard.permits("other.example.lan", "192.168.7.7")
    assert guard.permits("anything.test", "10.1.255.1")
    assert not guard.permits("anything.test", "10.2.0.1")
    assert guard.permits("anything.test", "127.0.0.1")
    everything = Guard(hosts, networks)
    for address in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254", "::ffff:10.1.0.1"):
        assert not everything.permits("wiki.example.lan", address)


def test_the_checked_address_is_the_one_connected_to(web: Web, connections: Connections) -> None:
    """DNS rebinding: the second answer would be loopback, and is never asked for."""
    web.site("rebind.test").page("/", "Public. Text.")
    names = Names(rebind_test=[[PUBLIC], ["127.0.0.1"]])
    http = client(web, names, connections)
    assert http.get(web.url("rebind.test")).status_code == 200
    assert connections.made == [PUBLIC]
    assert names.asked == ["rebind.test"]
    http.close()


def test_a_name_that_turns_private_is_refused_on_a_new_connection(
    web: Web, connections: Connections
) -> None:
    web.site("rebind.test").page("/", "Public. Text.", headers={"Connection": "close"})
    names = Names(rebind_test=[[PUBLIC], ["10.0.0.7"], [PUBLIC, "127.0.0.1"]])
    first, second = (client(web, names, connections) for _ in range(2))
    first.get(web.url("rebind.test"))
    for address in ("10.0.0.7", "127.0.0.1"):  # the third answer is public and private at once
        with pytest.raises(Refused, match=address):
            second.get(web.url("rebind.test"))
    assert connections.made == [PUBLIC]


@pytest.mark.parametrize(
    "host",
    """127.0.0.1 127.1 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 127.0.0.1. 0 [::1] [::ffff:127.0.0.1]
    [64:ff9b::7f00:1] [fe80::1] 169.254.169.254 localhost localhost. private.test mixed.test rebound.test""".split(),
)
@pytest.mark.parametrize("hop", ["first", "redirect"])
def test_every_spelling_of_an_inner_address_is_refused_at_every_hop(
    web: Web, connections: Connections, host: str, hop: str
) -> None:
    names = Names(
        public_test=[[PUBLIC]],
        localhost=[["127.0.0.1", "::1"]],
        private_test=[["192.168.0.9"]],
        mixed_test=[[PUBLIC, "127.0.0.1"]],
        rebound_test=[["127.0.0.1"], [PUBLIC]],
    )
    names.answers["localhost."] = [["127.0.0.1"]]
    web.site("public.test").redirect("/", f"http://{host}:{web.port}/secret")
    start = web.url("public.test") if hop == "redirect" else f"http://{host}:{web.port}/"

    def attempt() -> None:
        # The admin listed the host, so that only the guard stands between it and us.
        stated = {
            "start": (start,),
            "hosts": (host.strip("[]"),),
            "ports": (str(web.port),),
            "everyone": True,
        }
        listing(crawler(WebsiteSettings.model_validate(stated), names, connections))

    with pytest.raises((SourceFault, ValidationError), match="address"):
        attempt()
    assert set(connections.made) <= {PUBLIC}
    assert not any("secret" in line for line in web.asked)


def crawler(
    settings: WebsiteSettings, names: Callable[[str, int], Sequence[str]], connections: Connections
) -> WebsiteConnector:
    http = Http(pause=lambda _seconds: None, requests_per_minute=1_000_000)
    connector = WebsiteConnector(settings, context=Context(http=http))
    connector.resolve = names
    connector.network = connections
    connector.pause = lambda _seconds: None
    return connector


def test_loopback_is_reached_only_when_an_admin_names_it(
    web: Web, connections: Connections
) -> None:
    web.site("127.0.0.1").page("/", "Inside. Text.")
    settings = WebsiteSettings(start=(web.url("127.0.0.1"),), ports=(str(web.port),), everyone=True)
    with pytest.raises(SourceFault, match="inside a network"):
        listing(crawler(settings, Names(), connections))
    assert (connections.made, web.asked) == ([], [])
    opened = settings.model_copy(update={"internal": ("127.0.0.1/32",)})
    assert len(listing(crawler(opened, Names(), connections)).documents) == 1


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "gopher://public.test/x",
        "ftp://public.test/x",
        "http://user:pw@public.test/x",
        "http://public.test:22/x",
        "http://public.test:99999/",
        "http://",
        "//",
        "",
    ],
)
def test_redirects_to_other_schemes_ports_and_credentials_are_refused(
    web: Web, connections: Connections, target: str
) -> None:
    site = web.site("public.test")
    site.page("/", "Start. Text.", "/go")
    site.redirect("/go", target)
    settings = WebsiteSettings(
        start=(web.url("public.test"),), ports=(str(web.port),), everyone=True
    )
    found = listing(crawler(settings, Names(public_test=[[PUBLIC]]), connections))
    (failure,) = (c for c in found.changes if isinstance(c, Failure))
    assert failure.id == web.url("public.test", "/go")
    assert failure.fix
    assert "pw" not in failure.cause
    assert len(found.documents) == 1


def test_a_robots_file_that_leads_inside_is_not_followed(
    web: Web, connections: Connections
) -> None:
    site = web.site("public.test")
    site.page("/", "Start. Text.")
    site.redirect("/robots.txt", f"http://127.0.0.1:{web.port}/robots.txt")
    settings = WebsiteSettings(
        start=(web.url("public.test"),), ports=(str(web.port),), everyone=True
    )
    with pytest.raises(SourceFault, match="inside a network"):
        listing(crawler(settings, Names(public_test=[[PUBLIC]]), connections))
    assert set(connections.made) == {PUBLIC}
    assert not any(line.startswith("127") for line in web.asked)


def test_proxies_of_the_environment_are_not_used(
    web: Web, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    web.site("public.test").page("/", "Start. Text.")
    http = client(web, Names(public_test=[[PUBLIC]]), connections)
    assert http.get(web.url("public.test")).status_code == 200
    assert connections.made == [PUBLIC]


def test_endless_and_exploding_bodies_are_cut_off(web: Web, connections: Connections) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(b"\0" * 200_000_000) + packer.flush()
    site = web.site("public.test")
    site.resources["/endless"] = Resource(b"", answers=endless(b"x" * 4096))
    site.put("/bomb", bomb, headers={"Content-Encoding": "gzip"})
    site.put("/nested", b"x", headers={"Content-Encoding": "gzip, gzip"})
    site.put("/odd", b"x", headers={"Content-Encoding": "br"})
    site.put("/wrong", b"no gzip at all", headers={"Content-Encoding": "gzip"})
    site.page("/packed", "Packed. Text.", packed=True)
    http = client(web, Names(public_test=[[PUBLIC]]), connections)
    for path in ("/endless", "/bomb"):
        with pytest.raises(TooLarge):
            http.get(web.url("public.test", path), max_bytes=1_000_000)
    for path in ("/nested", "/odd", "/wrong"):
        with pytest.raises(SourceFault, match="compressed"):
            http.get(web.url("public.test", path), max_bytes=1_000_000)
    packed = http.get(web.url("public.test", "/packed"), max_bytes=1_000_000)
    assert packed.content == site.resources["/packed"].body


def test_a_dripping_server_ends_at_the_deadline_and_is_not_asked_again(
    web: Web, connections: Connections
) -> None:
    ticks = iter(range(0, 1_000_000, 5))
    web.site("public.test").resources["/"] = Resource(b"", answers=endless(b"x", pause_s=0.005))
    http = client(
        web, Names(public_test=[[PUBLIC]]), connections, deadline_s=60, clock=lambda: next(ticks)
    )
    with pytest.raises(SourceFault, match="60 seconds") as fault:
        http.get(web.url("public.test"), max_bytes=1_000_000)
    assert fault.value.passing
    assert len(web.asked) == 1


def test_bodies_of_other_kinds_are_not_read(web: Web, connections: Connections) -> None:
    web.site("public.test").resources["/"] = Resource(
        b"", answers=endless(b"x" * 4096, "video/mp4")
    )
    http = client(web, Names(public_test=[[PUBLIC]]), connections)
    response = http.get(
        web.url("public.test"), max_bytes=10_000, extensions={"types": frozenset({"text/html"})}
    )
    assert response.content == b""


def test_other_addresses_of_a_name_are_tried_when_one_is_down(web: Web) -> None:
    class FirstDown(Connections):
        def connect_tcp(
            self, host: str, port: int, *rest: Any, **more: Any
        ) -> httpcore.NetworkStream:
            if host == "1.1.1.1":
                self.made.append(host)
                raise httpcore.ConnectError("down")
            return super().connect_tcp(host, port, *rest, **more)

    web.site("public.test").page("/", "Start. Text.")
    connections = FirstDown()
    http = client(web, Names(public_test=[["1.1.1.1", PUBLIC]]), connections)
    assert http.get(web.url("public.test")).status_code == 200
    assert connections.made == ["1.1.1.1", PUBLIC]


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A key and a certificate of its own for one host name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    return folder / "cert.pem", folder / "key.pem"


def test_tls_and_host_keep_the_name(tmp_path: Path, connections: Connections) -> None:
    cert, key = certificate(tmp_path, "public.test")
    asked: list[str | None] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    server.sni_callback = lambda _socket, name, _context: asked.append(name)
    with website(tls=server) as web:
        web.site("public.test").page("/", "Start. Text.")
        web.site("other.test").page("/", "Other. Text.")
        names = Names(public_test=[[PUBLIC]], other_test=[[PUBLIC]])
        trust = ssl.create_default_context(cafile=str(cert))
        http = client(web, names, connections, trust=trust)
        assert http.get(web.url("public.test").replace("http:", "https:")).status_code == 200
        with pytest.raises(SourceFault):  # the certificate is for another name
            http.get(web.url("other.test").replace("http:", "https:"))
        http.close()
    assert set(asked) == {"public.test", "other.test"}
    assert set(connections.made) == {PUBLIC}
    assert web.asked == ["public.test /"]
