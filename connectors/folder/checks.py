"""What `validate` says about a folder."""

from __future__ import annotations

from connectors.contract import Check, Outcome
from connectors.folder.access import ACCESS_FILE
from connectors.folder.listing import Listing
from connectors.folder.posix import Accounts


def content_check(listing: Listing) -> Check:
    if not listing.entries:
        fix = "Check the path and the patterns; markdown, text, HTML, PDF and Word files count."
        return Check("content", Outcome.FAILED, "No file matches.", fix)
    return Check("content", Outcome.PASSED, f"{len(listing.entries)} files can be read.")


def permissions_check(listing: Listing, *, posix: bool) -> Check:
    return _posix_check(listing) if posix else _access_files_check(listing)


def groups_check(accounts: Accounts) -> Check:
    everyone = accounts.all
    people = len(accounts.mails(everyone))
    message = f"{people} of {len(everyone)} accounts of this server have a mail address."
    if people:
        return Check("groups", Outcome.PASSED, message)
    fix = "Enter the mail domain, or a line such as ada = ada@example.com for each account."
    return Check("groups", Outcome.FAILED, message, fix)


def _posix_check(listing: Listing) -> Check:
    total = len(listing.entries)
    accesses = [entry.permission.access for entry in listing.entries]
    none = sum(a.known and not (a.everyone or a.users or a.groups) for a in accesses)
    causes = [
        f"{listing.acls} of {total} files have an access control list, on them or on a folder above, which is not understood"
        if listing.acls
        else "",
        f"{none} of {total} files have no reader with a mail address" if none else "",
    ]
    told = "; ".join(filter(None, causes))
    if told:
        fix = "Remove the lists (setfacl -b), give the owners' mail addresses, or use access.toml files."
        return Check("permissions", Outcome.INDETERMINATE, f"{told}: nobody finds them.", fix)
    return Check("permissions", Outcome.PASSED, f"{total} files have owners and groups.")


def _access_files_check(listing: Listing) -> Check:
    broken = [failure for failure in listing.failures if failure.id.endswith(ACCESS_FILE)]
    if broken:
        message = f"{broken[0].name}: {broken[0].cause}"
        return Check("permissions", Outcome.FAILED, message, broken[0].fix)
    hidden = sum(not entry.permission.access.known for entry in listing.entries)
    if hidden:
        fix = f"Put an {ACCESS_FILE} beside or above them; connectors/README.md has the format."
        message = (
            f"{hidden} of {len(listing.entries)} files have no {ACCESS_FILE}: nobody finds them."
        )
        return Check("permissions", Outcome.INDETERMINATE, message, fix)
    return Check("permissions", Outcome.PASSED, f"Every file has an {ACCESS_FILE} above it.")
