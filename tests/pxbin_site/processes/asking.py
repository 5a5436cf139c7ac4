"""A request to the built-in echo."""

HELLO = {"model": "echo", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}


def ask(gateway, body=HELLO, path="/v1/messages"):
    return gateway.http.post(gateway.url + path, headers=gateway.client_headers, json=body)
