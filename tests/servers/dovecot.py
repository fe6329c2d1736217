"""A real Dovecot for one module of tests: its own folder, free ports on loopback, gone afterwards.

Accounts with passwords, a master user, public and shared namespaces with ACLs, TLS by a certificate of its own, and XOAUTH2
where an address that introspects tokens is given.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "open sesame"
MASTER, MASTER_PASSWORD = "keeper", "master key"
START_WITHIN_S = 10.0

CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
mail_uid = {owner}
mail_gid = {owner_group}
first_valid_uid = 1
first_valid_gid = 1
mail_home = {folder}/mail/%u
mail_location = maildir:~/Maildir
mail_plugins = acl
auth_mechanisms = plain login{mechanisms}
auth_master_user_separator = *
auth_failure_delay = 0
auth_cache_size = 0
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
shutdown_clients = yes
{oauth}
passdb {{
  driver = passwd-file
  args = {folder}/master
  master = yes
  result_success = continue
}}
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Trash {{
    special_use = \\Trash
    auto = create
  }}
}}
namespace public {{
  type = public
  separator = /
  prefix = Public/
  location = maildir:{folder}/public:INDEXPVT=~/public
  subscriptions = no
  list = yes
}}
namespace shared {{
  type = shared
  separator = /
  prefix = Users/%%u/
  location = maildir:%%h/Maildir:INDEXPVT=~/shared/%%u
  subscriptions = no
  list = yes
}}
plugin {{
  acl = vfile::cache_secs=0
  acl_shared_dict = file:{folder}/dict/shared-mailboxes
  acl_user = %u
  acl_anyone = allow
}}
protocol imap {{
  mail_plugins = acl imap_acl
  mail_max_userip_connections = 1000
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service auth {{
  unix_listener auth-userdb {{
    mode = 0777
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Dovecot:
    """`groups` of an account are those that ACLs name."""

    folder: Path
    port: int
    tls_port: int

    @property
    def certificate(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def public(self) -> Path:
        return self.folder / "public"

    def drop_mail(self) -> None:
        """Every folder of everybody is gone, for the next test."""
        for folder in (self.folder / "mail", self.public):
            for child in folder.iterdir():
                shutil.rmtree(child) if child.is_dir() else child.unlink()
        (self.folder / "dict" / "shared-mailboxes").unlink(missing_ok=True)


@contextlib.contextmanager
def dovecot(
    accounts: Mapping[str, tuple[str, ...]], *, introspection_url: str = ""
) -> Iterator[Dovecot]:
    """`accounts` is login to groups. Skips where Dovecot is not installed."""
    program = shutil.which("dovecot")
    if not program or not Path("/usr/lib/dovecot/imap").exists():
        pytest.skip("Dovecot is not installed (Debian: dovecot-imapd)")
    folder = Path(tempfile.mkdtemp(prefix="switchboard-dovecot-"))
    folder.chmod(0o755)
    server = Dovecot(folder, *_free_ports(2))
    process = None
    try:
        _write(server, accounts, introspection_url)
        process = subprocess.Popen(
            [program, "-F", "-c", str(folder / "dovecot.conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        _wait(server, process)
        yield server
    finally:
        if process is not None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _write(server: Dovecot, accounts: Mapping[str, tuple[str, ...]], introspection: str) -> None:
    folder = server.folder
    internal, group, login, owner, owner_group = _users()
    users = [
        f"{name}:{{PLAIN}}{PASSWORD}::::::"
        + (f"userdb_acl_groups={','.join(groups)}" if groups else "")
        for name, groups in accounts.items()
    ]
    (folder / "users").write_text("\n".join(users) + "\n")
    (folder / "master").write_text(f"{MASTER}:{{PLAIN}}{MASTER_PASSWORD}\n")
    oauth = ""
    if introspection:
        (folder / "oauth2").write_text(
            f"introspection_url = {introspection}\nintrospection_mode = auth\n"
            "username_attribute = username\nactive_attribute = active\nactive_value = true\n"
        )
        oauth = (
            f"passdb {{\n  driver = oauth2\n  mechanisms = xoauth2\n  args = {folder}/oauth2\n}}\n"
        )
    for name in ("mail", "public", "dict"):
        (folder / name).mkdir()
    if os.getuid() == 0:
        for name in ("mail", "public", "dict"):
            shutil.chown(folder / name, owner, owner_group)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    config = CONFIG.format(
        folder=folder, internal=internal, internal_group=group, login=login, owner=owner,
        owner_group=owner_group, port=server.port, tls_port=server.tls_port, oauth=oauth,
        mechanisms=" xoauth2" if introspection else "",
    )  # fmt: skip
    (folder / "dovecot.conf").write_text(config)


def _users() -> tuple[str, str, str, str, str]:
    """Internal user and group, login user, the mail's owner and group. Without root, all are ourselves."""
    if os.getuid() == 0:
        return "dovecot", "dovecot", "dovenull", "nobody", "nogroup"
    me, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    return me, group, me, me, group


def _wait(server: Dovecot, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", server.port), timeout=1) as probe,
        ):
            if probe.recv(4) == b"* OK":
                return
        time.sleep(0.02)
    said = process.stderr.read().decode() if process.stderr and process.poll() is not None else ""
    log = server.folder / "log"
    raise RuntimeError(f"Dovecot did not start: {said}{log.read_text() if log.exists() else ''}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
