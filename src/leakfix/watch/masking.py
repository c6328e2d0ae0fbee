"""Passwords stay out of everything that is shown, what drivers say of a failure included."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, quote_plus

UNREADABLE = (
    "the address of the database cannot be read; it looks like {example}, and characters such as @ : / ? # % in the "
    "password are written as %40 %3A %2F %3F %23 %25"
)


def secrets(passwords: Iterable[str | None]) -> tuple[str, ...]:
    """Every form in which a password might be shown, the longest first so that none is half replaced."""
    known = {password for password in passwords if password}
    forms = known | {quote(word, safe="") for word in known} | {quote_plus(word) for word in known}
    return tuple(sorted(forms, key=len, reverse=True))


def masked(text: str, hidden: Iterable[str]) -> str:
    """The text on one line, without the secrets."""
    for word in hidden:
        text = text.replace(word, "***")
    return " ".join(text.split())
