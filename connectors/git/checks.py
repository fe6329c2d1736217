"""What `validate` says about a repository."""

from __future__ import annotations

from connectors.contract import Check, Outcome, SourceFault
from connectors.git.clone import Head
from connectors.git.settings import GitSettings
from connectors.git.tree import Files


def content_words(files: Files, head: Head) -> str:
    """Raises `SourceFault` where nothing is selected."""
    where = f"branch {head.branch or 'by default'} at {head.commit.decode()[:10]}"
    if not files.entries:
        raise SourceFault(
            f"No file on {where} matches.",
            "Check the branch and the patterns; markdown, text, HTML, PDF and Word files count.",
        )
    left = [
        f"{files.submodules} submodules are not read: add each as a source of its own."
        if files.submodules
        else "",
        f"{files.links} links are not followed." if files.links else "",
    ]
    return " ".join([f"{len(files.entries)} files on {where} can be read.", *filter(None, left)])


def permissions_check(files: Files, settings: GitSettings) -> Check:
    total = len(files.entries)
    hidden = sum(not entry.permission.access.known for entry in files.entries.values())
    if settings.readers_from != "access.toml":
        if hidden:
            fix = "Say who: everyone, groups or people; or choose access.toml."
            message = "The settings name no readers: nobody finds its files."
            return Check("permissions", Outcome.FAILED, message, fix)
        return Check("permissions", Outcome.PASSED, f"{total} files have the readers stated here.")
    broken = [failure for failure in files.failures if failure.id.endswith("access.toml")]
    if broken:
        message = f"{broken[0].name}: {broken[0].cause}"
        return Check("permissions", Outcome.FAILED, message, broken[0].fix)
    if hidden:
        fix = "Put an access.toml beside or above them; connectors/README.md has the format."
        message = f"{hidden} of {total} files have no access.toml: nobody finds them."
        return Check("permissions", Outcome.INDETERMINATE, message, fix)
    return Check(
        "permissions", Outcome.PASSED, f"Each of {total} files has an access.toml above it."
    )
