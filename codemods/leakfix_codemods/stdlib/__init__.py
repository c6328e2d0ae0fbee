"""How programs grow with nothing but the standard library.

A cache without a bound is memory that is never given back. Keyed by what users send (ids, texts, addresses, days) it
holds, after a week, everything anybody ever asked for; the process is restarted nightly and nobody knows why.
"""
