"""How Flask applications leak.

``g`` lives as long as the application context, that is one request, and Flask drops it then without looking at what it
holds. Whatever is opened into ``g`` must be released by a function that ``teardown_appcontext`` (or one of its kin)
calls after every request, failed ones included (Flask's documentation, "The Application Context").
"""
