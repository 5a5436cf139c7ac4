"""Recognises the error of an upstream whose context window is too small for the conversation (docs/wire-formats.md, section 12.2).

Servers have no common code for it, so their words are compared. The patterns cover what llama.cpp, SGLang, vLLM, TGI, TensorRT-LLM,
Gemini, xAI, Moonshot, Z.ai, Qwen, Ollama, LM Studio, GitHub Copilot, Mistral, MiniMax, Groq, Cerebras, OpenRouter, LiteLLM, Anthropic
and OpenAI answer.
"""

from __future__ import annotations

import re

_MAX_CHARS = 2000
_MORE = r"(exceed\w*|(longer|larger|greater) than|over)\b"
_PATTERNS = (
    r"(prompt|input|conversation|history|messages?|request) ((is|are|was|has|have) )?too (long|large|many tokens)(?! for model `)",
    rf"(prompt|input|request|message)s?\b.{{0,70}}{_MORE}.{{0,40}}(context|tokens?\b|length|limit of|max_seq_len|window)",
    rf"tokens?\b.{{0,40}}{_MORE}.{{0,40}}(context|maximum number of tokens|max\w* (message tokens|length)|the limit of \d)",
    rf"tokens?\b.{{0,40}}{_MORE}.{{0,10}}model'?s? (token )?limit",
    r"(context|prompt|input)[ _-](size|length|window|tokens?)? ?((has been|have been|was|is|are) )?(exceed|overflow|reached)",
    r"exceed\w* (\w+ ){0,3}(context|prompt length|token limit|sequence length)",
    r"context (the )?overflow|context ?window|context[ _]length|max_model_len|max_seq_len",
    r"maximum (context|model|prompt|sequence|input) length|maximum number of tokens allowed",
    r"too many (input |prompt )?tokens(?! per)",
    r"range of input length should be|token count is \d+ but .{0,30}supports up to \d",
    r"prompt[ _]too[ _]long|prompt exceeds max|inputs?`? (tokens \+|must have less)",
    r"exceeded model token limit|model_max_prompt_tokens|reduce the length of (the |your )?(messages|prompt|input)",
    r"上下文(长度)?.{0,6}(超|过长)|(输入|提示).{0,8}(超长|过长|超过|超出)",
)
_OVERFLOW = re.compile("|".join(_PATTERNS), re.IGNORECASE | re.DOTALL)
_OTHER_LIMIT = re.compile(r"per (minute|hour|day)|\b(tpm|rpm|tpd)\b|rate limit|completion tokens|output tokens? limit", re.IGNORECASE)
"""Limits of rates and of the output, which are worded like an overflow."""

_CODES = frozenset(
    {
        "context_length_exceeded",
        "context_window_exceeded",
        "contextwindowexceedederror",
        "exceed_context_size_error",
        "model_context_window_exceeded",
        "model_max_prompt_tokens_exceeded",
        "prompt_too_long",
    }
)


def is_context_overflow(message: str, code: str | None = None) -> bool:
    """Whether an error with this message, and this ``code`` or ``type``, says that the conversation is too long for the model."""
    if code is not None and code.lower() in _CODES:
        return True
    text = message[:_MAX_CHARS]
    return _OVERFLOW.search(text) is not None and _OTHER_LIMIT.search(text) is None
