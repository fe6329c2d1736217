"""The pages of the sign-in, made from the templates in `pages/`. They load nothing but the product's own fonts."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from app.errors import SignInError
from app.identity.faults import FAULTS

PAGES = Path(__file__).with_name("pages")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def notice(
    *,
    title: str,
    message: str,
    button: str,
    href: str,
    fix: str = "",
    code: str = "",
    status: int = 200,
) -> HTMLResponse:
    """One message with one way on."""
    return page(
        "notice.html",
        status,
        title=title,
        message=message,
        fix=fix,
        code=code,
        button=button,
        href=href,
    )


def failure(error: SignInError) -> HTMLResponse:
    """The page for a failed sign-in. `detail` stays in the log."""
    known = FAULTS[error.reason]
    return notice(
        title=known.title,
        message=error.message,
        fix=error.fix,
        code=error.reason,
        button="Start sign-in again",
        href="/auth/login",
        status=known.status,
    )


def page(template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    return HTMLResponse(
        _templates().get_template(template).render(values), status_code=status, headers=HEADERS
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
