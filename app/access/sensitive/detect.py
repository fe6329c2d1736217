"""The detector that every Switchboard has: own patterns, proved by checksums wherever there are any.

Every pattern has bounded repetitions, so time grows with the text's length and with nothing in it.
"""

from __future__ import annotations

from app.access.sensitive.contact import emails, ip_addresses, phones
from app.access.sensitive.credentials import access_keys, passwords, private_keys
from app.access.sensitive.digits import windows
from app.access.sensitive.findings import Finding, settled
from app.access.sensitive.money import cards, ibans
from app.access.sensitive.national import national_ids


class OwnDetector:
    """Knows e-mail, phone and IP addresses, accounts, cards, national ids, passwords and keys; no names of people."""

    def find(self, text: str) -> list[Finding]:
        found = [*private_keys(text), *access_keys(text), *passwords(text), *emails(text)]
        found += ip_addresses(text)
        for window in windows(text):
            found += [*ibans(text, *window), *cards(text, *window)]
            found += [*national_ids(text, *window), *phones(text, *window)]
        return settled(found) if found else []
