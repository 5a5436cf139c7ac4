"""HTTP/1.1 for daphne: strict, bounded and quick.

Daphne's own HTTP protocol buffers bodies into temporary files and responses without end. This one replaces it under the same
daphne server (which keeps the reactor, the websockets and the life of applications)::

    transport   a uvloop connection that looks like a Twisted transport
    connection  the states of one connection: head, body, running, lingering
    head        bytes of a request head -> Head, or Refused
    body        incremental decoders of the two body framings, with their bound
    cycle       one request and its answer as an ASGI application sees them
"""
