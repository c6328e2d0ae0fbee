"""What git said is told apart."""

from __future__ import annotations

import pytest

from leakfix.forge import remote
from leakfix.forge.protocol import NotAllowed, Raced, Rejected, Unauthorized, Unavailable

SAID = {
    "! [rejected] x -> x (stale info)": Raced,
    "! [rejected] x -> x (fetch first)": Raced,
    "remote: error: cannot lock ref 'refs/heads/x': is at 14034 but expected 40399": Raced,
    "remote: error: cannot lock ref 'refs/heads/x': reference already exists": Raced,
    "remote: error: cannot lock ref 'refs/heads/x': Unable to create '/srv/x.lock': File exists.": Raced,
    "remote: error: cannot lock ref 'refs/heads/a/x': 'refs/heads/a' exists; cannot create": Rejected,
    "! [remote rejected] x -> x (pre-receive hook declined)": NotAllowed,
    "fatal: unable to access 'http://h/': The requested URL returned error: 403": NotAllowed,
    "remote: Permission to acme/shop.git denied to x.": NotAllowed,
    "fatal: Authentication failed for 'http://h/'": Unauthorized,
    "The requested URL returned error: 503": Unavailable,
    "bad object 4034035030": Rejected,
}


@pytest.mark.parametrize("said", SAID)
def test_what_is_wrong(said: str) -> None:
    assert type(remote._problem(said)) is SAID[said]
