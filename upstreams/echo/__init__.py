"""The built-in upstream `echo`: a provider that needs no network, no account and no money.

It is for first requests with a new installation and for tests. It has the dialects OpenAI Chat Completions and Anthropic
Messages, and it repeats the user's text. docs/echo.md describes its other functions: tool calls, thinking,
structured output, slow streams, errors on demand.

An upstream whose base URL has the scheme `echo` (`echo://openai`, `echo://anthropic`) is used like any other, with
catalogue, routing and `upstreams.http.client`. The client selects its transport by the URL's scheme; for `echo` that
is `EchoTransport`, an `httpx` transport without sockets. The alternative, an internal path of pxbin's own server, was
rejected: the server would need its own address (which may be a unix socket, a wildcard or a port chosen by the
system), would have to protect a public path, would use two of its connections for each request, and would wait for
itself during a drain.

Layout: `directives` reads the directives in a prompt, `samples` makes values for JSON schemas, `plan` decides
the response; `anthropic` and `openai_chat` decode requests and encode responses of one dialect; `transport` does
everything that is not a pure function: delays, the clock and random ids. The dialect modules do not import
`proxy.translation.dialects`, because tests with shared code would not find its faults.
"""

SCHEME = "echo"
URL_PREFIX = f"{SCHEME}:"
"""How the base URL of an echo upstream begins, for filters of the database."""


def is_echo(base_url: str) -> bool:
    """Whether an upstream with this base URL is the built-in one."""
    return base_url.startswith(URL_PREFIX)
