"""HTTP/1.1 for daphne: strict parsing, limits in bytes and seconds, little CPU per request.

Daphne's own HTTP protocol buffers bodies in temporary files and responses without a limit. This package replaces it; the
reactor, websockets and the tasks of their applications stay those of daphne's server::

    transport   a uvloop connection that looks like a Twisted transport
    connection  the states of one connection: head, body, running, lingering
    head        bytes of a request head -> Head, or RefusedError
    gate        whether a body is received, decided from the head
    body_reader one body while it is received: decoder, memory, time
    body        incremental decoders of the two body framings, with limits
    body_memory the bound of all bodies together
    turns       long decoding in turns, so that it delays no other connection
    refusal     the response of the server itself
    cycle       one request and its response as an ASGI application sees them
"""
