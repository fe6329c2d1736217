"""Passwords, access keys and private keys: the formats that providers publish, as secret scanners know them, and values that
the text itself calls a password. Nothing is judged by entropy alone, so a checksum or a commit's hash is no secret."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.access.sensitive.findings import Finding, Kind


@dataclass(frozen=True, slots=True)
class KeyFormat:
    """`starts` are the ways it begins: found by plain search, so that a text without any costs next to nothing."""

    what: str
    starts: tuple[str, ...]
    rest: re.Pattern[str]
    valid: Callable[[str], bool] | None = None


def _format(
    what: str, starts: str, rest: str, valid: Callable[[str], bool] | None = None
) -> KeyFormat:
    return KeyFormat(what, tuple(starts.split()), re.compile(rest), valid)


def _mixed(value: str) -> bool:
    """Letters and digits, as in a random value and not in a name such as sk-learn-contrib-examples."""
    tail = value[3:]
    return sum(c.isdigit() for c in tail) >= 3 and any(c.isupper() for c in tail)


def _jwt(value: str) -> bool:
    """RFC 7519: the first part is the base64url of a JSON object that names its algorithm."""
    head = value.split(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(header, dict) and "alg" in header


KEYS: tuple[KeyFormat, ...] = (
    _format("AWS key id", "AKIA ASIA ABIA ACCA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
    _format("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{36,255}"),
    _format("GitHub token", "github_pat_", r"[A-Za-z0-9_]{22,255}"),
    _format("GitLab token", "glpat- gldt- glrt- glptt- glcbt-", r"[A-Za-z0-9_-]{20,64}"),
    _format(
        "Slack token",
        "xoxb- xoxp- xoxa- xoxs- xoxr- xoxe-",
        r"[A-Za-z0-9]{1,64}(?:-[A-Za-z0-9]{1,64}){1,6}",
    ),
    _format("Slack token", "xapp-", r"\d-[A-Z0-9]{6,20}-\d{6,20}-[a-z0-9]{32,80}"),
    _format(
        "Slack webhook",
        "https://hooks.slack.com/services/ https://hooks.slack.com/workflows/",
        r"[A-Za-z0-9/_-]{20,200}",
    ),
    _format("Anthropic key", "sk-ant-", r"[a-z0-9]{2,12}-[A-Za-z0-9_-]{20,200}"),
    _format("OpenAI key", "sk-", r"(?!ant-)[A-Za-z0-9_-]{20,200}", _mixed),
    _format("Stripe key", "sk_live_ sk_test_ rk_live_ rk_test_", r"[A-Za-z0-9]{16,128}"),
    _format("Stripe webhook secret", "whsec_", r"[A-Za-z0-9+/=]{24,128}"),
    _format("Google API key", "AIza", r"[A-Za-z0-9_-]{35}"),
    _format("Google OAuth secret", "GOCSPX-", r"[A-Za-z0-9_-]{28}"),
    _format("SendGrid key", "SG.", r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    _format("Twilio key", "SK", r"[0-9a-f]{32}(?![0-9a-zA-Z])"),
    _format("npm token", "npm_", r"[A-Za-z0-9]{36}"),
    _format("PyPI token", "pypi-AgE", r"[A-Za-z0-9_-]{50,250}"),
    _format("Hugging Face token", "hf_", r"[A-Za-z]{30,40}(?![A-Za-z])"),
    _format("DigitalOcean token", "dop_v1_", r"[a-f0-9]{64}"),
    _format("Vault token", "hvs.", r"[A-Za-z0-9_-]{24,128}"),
    _format("Azure storage key", "AccountKey=", r"[A-Za-z0-9+/]{80,88}={0,2}"),
    _format("Notion token", "ntn_", r"[A-Za-z0-9]{40,60}"),
    _format("Atlassian token", "ATATT3", r"[A-Za-z0-9_=-]{50,250}"),
    _format("Switchboard key", "sb_", r"[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
    _format(
        "JSON Web Token",
        "eyJ",
        r"[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{2,4000}\.[A-Za-z0-9_-]{0,1000}",
        _jwt,
    ),
)

_PRIVATE = re.compile(r"-----BEGIN (?:[A-Z]{1,10} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_PRIVATE_END = re.compile(r"-----END (?:[A-Z]{1,10} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_IN_ADDRESS = re.compile(r"://[^\s:/?#@\[\]]{1,64}:(?P<value>[^\s/?#@]{1,128})@")

_WORDS = (
    "pass",
    "pwd",
    "kennwort",
    "contrase",
    "wachtwoord",
    "secret",
    "api",
    "access",
    "auth",
    "bearer",
    "mot de",
)
_CALLED = re.compile(
    r"(?:pass ?(?:word|wd|phrase|code)|pwd|passwort|kennwort|mot de passe|contraseña|wachtwoord"
    r"|secret(?:[ _-]?(?:access)?[ _-]?key)?|api[ _-]?(?:key|token)|access[ _-]?token|auth[ _-]?token|bearer)"
    r"[\"'`*]{0,3}(?P<link>\s{0,3}(?::=|=>|[:=])\s{0,3}|\s{1,3}(?:is|was|ist|est|es|lautet)\s{0,2}:?\s{1,2}|\s{1,2}(?=[\"'`]))"
    r"(?:(?P<quote>[\"'`])(?P<quoted>[^\"'`\n]{4,100})(?P=quote)|(?P<value>[^\s\"'`]{4,200}))",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"[<\[{$%(].*|\*+|\.{2,}|x{3,}|your[-_ ].*|example.*", re.IGNORECASE)
_TAIL = ".,;:)]}"
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def private_keys(text: str) -> Iterator[Finding]:
    """From BEGIN to END; to the end of the text where END was cut off."""
    at = 0
    while "PRIVATE KEY" in text and (begin := _PRIVATE.search(text, at)):
        end = _PRIVATE_END.search(text, begin.end())
        at = end.end() if end else len(text)
        yield Finding(Kind.PRIVATE_KEY, "private key", begin.start(), at, end is not None)


def access_keys(text: str) -> Iterator[Finding]:
    for known in KEYS:
        for start in known.starts:
            for at in _starts(text, start):
                rest = known.rest.match(text, at + len(start))
                if rest and (known.valid is None or known.valid(text[at : rest.end()])):
                    proved = known.valid is _jwt
                    yield Finding(Kind.ACCESS_KEY, known.what, at, rest.end(), proved)


def passwords(text: str) -> Iterator[Finding]:
    """What follows the word "password" or a like one, if it is put like a value; and the one in an address."""
    if "://" in text and "@" in text:
        for found in _IN_ADDRESS.finditer(text):
            if not _PLACEHOLDER.fullmatch(found["value"].strip("\"'")):
                yield Finding(Kind.PASSWORD, "password in an address", *found.span("value"))
    for at in _called(text):
        match = _CALLED.match(text, at)
        if match is None:
            continue
        name = "quoted" if match["quoted"] else "value"
        value = match[name] if match["quoted"] else match[name].rstrip(_TAIL)
        assigned = any(sign in match["link"] for sign in ":=")
        if _is_value(value, quoted=bool(match["quoted"]), assigned=assigned):
            start = match.start(name)
            yield Finding(Kind.PASSWORD, "password", start, start + len(value))


def _called(text: str) -> Iterator[int]:
    """Where a word for a secret may begin. Plain searches cost a hundredth of one pattern with all of them."""
    lower = text.lower()
    if len(lower) != len(text):  # a letter such as İ becomes two
        lower = text.translate(_LOWER)
    for word in _WORDS:
        yield from _starts(lower, word)


def _starts(text: str, word: str) -> Iterator[int]:
    """Where `word` stands and no letter or digit stands before it."""
    at = text.find(word)
    while at >= 0:
        if not (at and text[at - 1].isalnum()):
            yield at
        at = text.find(word, at + 1)


def _is_value(value: str, *, quoted: bool, assigned: bool) -> bool:
    """ "The password is expired" and "password: at least 12 characters" tell no password; "password is Wren!42x" does."""
    if len(value) < 6 or _PLACEHOLDER.fullmatch(value) or value.startswith(("http:", "https:")):
        return False
    digit = any(c.isdigit() for c in value)
    kinds = (
        any(c.islower() for c in value)
        + any(c.isupper() for c in value[1:])
        + digit
        + any(not c.isalnum() and c not in "-_/.'’ " for c in value)
    )
    if quoted or assigned:
        return kinds >= 2 or (quoted and " " in value)
    return kinds >= 3 or (kinds >= 2 and digit and not value[0].isdigit())
