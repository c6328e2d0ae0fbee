"""A response of an HTTP client whose body some path does not close.

What leaks
----------
``http.Get``, ``client.Do`` and their kin give a response with an open body, also where its status is an error and
nobody reads it. Until ``resp.Body.Close()`` the connection, its buffers and two goroutines stay.

Why it hurts
------------
The connection goes back to the transport's pool only when the body is read and closed. Each forgotten one is a file
descriptor and a connection to the other side more, until one of the two runs out.

How it is repaired
------------------
``defer resp.Body.Close()`` behind the check of the error; in a loop before every way out of the round. The body is not
nil where the error is (net/http, documentation of ``Response``).

When it is left alone
---------------------
The response or its body is returned, stored or given to somebody who closes it, and responses of other clients and of
``httptest``.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="net_http/response",
    repairs="defer resp.Body.Close() behind the check of the error",
)
