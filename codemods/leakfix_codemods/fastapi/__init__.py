"""How FastAPI applications leak.

FastAPI calls a dependency and hands its result to the endpoint. It releases nothing by itself: only a dependency that
yields gets control back after the request (FastAPI's documentation, "Dependencies with yield"). What is opened when
the application starts is released only by the second half of its lifespan.
"""
