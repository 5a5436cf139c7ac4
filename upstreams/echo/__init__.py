"""The built-in upstream `echo`: a provider that needs no network, no account and no money.

It is meant for the first curl of a newcomer and for tests. It speaks OpenAI Chat Completions and Anthropic
Messages, and it repeats what the user said; what else it can do (tool calls, thinking, structured output,
slow streams, errors on demand) is described in docs/echo.md.

How it is reached. An upstream row whose base URL has the scheme `echo` (`echo://openai`,
`echo://anthropic`) takes the ordinary way through catalogue, routing and `upstreams.http.client`. The client
picks its transport by the URL's scheme, and for `echo` that is `EchoTransport`, an `httpx` transport without
sockets. The alternative was an application served by pxbin itself under an internal
path. It was rejected, because a server that calls itself has to know its own address (which may be a unix
socket, a wildcard or a port chosen by the system), has to guard a path that the public can reach, uses two
of its own connections for each request, and waits for itself while it drains.

Layout: `orders` reads the directives in a prompt, `samples` makes values for JSON schemas, `plan` decides
the answer; `anthropic` and `openai_chat` read requests and write answers of one dialect; `transport` adds
the only things that are not pure: waiting, the clock and random ids. The two dialect modules are
deliberately independent of `proxy.translation.dialects`: an upstream that shared the gateway's own codecs would hide
their mistakes.
"""
