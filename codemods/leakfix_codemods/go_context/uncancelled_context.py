"""A context whose cancel function some path never calls.

What leaks
----------
``context.WithCancel``, ``WithTimeout``, ``WithDeadline`` and their forms with a cause give a context and the function
that ends it. Until that is called, or the parent ends, the parent keeps the child, and the runtime its timer.

Why it hurts
------------
A parent that lives as long as the server collects a child with every request. A timeout frees itself only after its
time, which may be hours.

How it is repaired
------------------
``defer cancel()`` behind the call. A cancel function that was thrown away with ``_`` gets a name. Without a deadline
(``WithCancel``) the repair is for review: whoever was given the context may count on it for longer than the function
runs.

When it is left alone
---------------------
The cancel function is returned, stored or used by a goroutine. Where the context itself is returned, stored, used by a
goroutine, given to what starts or watches something, or belongs to the package, the leak is reported without a repair:
a ``defer`` would end it too early.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="go_context/cancel",
    repairs="defer cancel()",
)
