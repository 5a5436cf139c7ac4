"""Error bodies, which the OpenAI dialects share."""

from functools import partial

from proxy.translation.dialects import openai_errors

decode_error = partial(openai_errors.decode_error, dialect="openai_chat")
encode_error = partial(openai_errors.encode_error, dialect="openai_chat")
