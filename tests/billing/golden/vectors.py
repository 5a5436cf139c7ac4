"""Costs of many usages, computed from a table of prices by a second implementation, which shares no code with the gateway.

`prices.json` has the prices of genai-prices 0.2.3 as they are listed: USD per million tokens (searches: per thousand), by provider and
model. This script makes `vectors.json` of it, one line for each usage as its vendor writes it::

    .venv/bin/python -m tests.billing.golden.vectors
"""

import json
from decimal import Decimal
from pathlib import Path

FOLDER = Path(__file__).parent
MESSAGES = ("anthropic", "aws")
"""Providers whose usages are those of the Messages API; the others' are those of Chat Completions."""


def chat(prompt, completion, *, cached=0, written=0, reasoning=0, audio=(0, 0), images=(0, 0), tier=None, searches=0):
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": written,
            "audio_tokens": audio[0],
            "image_tokens": images[0],
        },
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": audio[1], "image_tokens": images[1]},
    }
    return usage | ({"service_tier": tier} if tier else {}) | ({"server_tool_use": {"web_search_requests": searches}} if searches else {})


def messages(fresh, output, *, read=0, five=0, hour=0, tier="standard", searches=0, speed=None, iterations=()):
    usage = {
        "input_tokens": fresh,
        "output_tokens": output,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": five + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "service_tier": tier,
        "server_tool_use": {"web_search_requests": searches, "web_fetch_requests": 2},
    }
    return usage | ({"speed": speed} if speed else {}) | ({"iterations": list(iterations)} if iterations else {})


COMPACTION = {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500, "cache_read_input_tokens": 30_000}
ADVISOR = {"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 900, "output_tokens": 300}
FALLBACK = {"type": "fallback_message", "model": "no-such-model", "input_tokens": 1, "output_tokens": 1}
CHAT = {
    "plain": chat(1234, 567),
    "one token": chat(1, 0),
    "nothing": chat(0, 0),
    "cached": chat(10_000, 321, cached=9_216),
    "reasoning": chat(4_321, 8_765, cached=1_024, reasoning=8_000),
    "cache write": chat(5_000, 100, cached=1_000, written=2_000),
    "long": chat(300_000, 2_000, cached=250_000),
    "at the step": chat(200_000, 10),
    "above the step": chat(200_001, 10),
    "flex": chat(7_777, 888, cached=512, tier="flex"),
    "priority": chat(7_777, 888, cached=512, tier="priority"),
    "batch": chat(7_777, 888, tier="batch"),
    "long priority": chat(280_000, 888, cached=512, tier="priority"),
    "audio": chat(117, 592, audio=(100, 482)),
    "images": chat(1_117, 4_592, images=(1_000, 4_160)),
    "searches": chat(999, 99, searches=3),
}
"""Usages of Chat Completions by name."""
MESSAGE = {
    "plain": messages(1_234, 567),
    "nothing": messages(0, 0),
    "read": messages(12, 345, read=98_765),
    "written for five minutes": messages(12, 345, five=4_096),
    "written for an hour": messages(12, 345, hour=4_096),
    "all classes": messages(12, 345, read=50_001, five=4_097, hour=2_049),
    "at the step": messages(100_000, 10, read=60_000, five=40_000),
    "above the step": messages(100_001, 10, read=60_000, five=40_000),
    "batch": messages(7_777, 888, read=512, tier="batch"),
    "long batch": messages(250_000, 888, tier="batch"),
    "priority": messages(7_777, 888, tier="priority"),
    "fast": messages(7_777, 888, read=99, speed="fast"),
    "searches": messages(999, 99, searches=7),
    "compaction": messages(100, 20, iterations=[COMPACTION]),
    "advisor": messages(100, 20, iterations=[ADVISOR, {"type": "message", "input_tokens": 100, "output_tokens": 20}]),
    "unknown fallback": messages(100, 20, iterations=[FALLBACK]),
}
"""Usages of the Messages API by name."""


def rate(price, field, tier, length):
    """The rate of a class of tokens in a tier, for prompts of a length; `None` if the table has none."""
    for layer in (price.get("tiers", {}).get(tier, {}), price):
        steps = [(int(start), step[field]) for start, step in layer.get("above", {}).items() if field in step and length > int(start)]
        if steps:
            return Decimal(max(steps)[1])
        if field in layer:
            return Decimal(layer[field])
    return None


def amount(price, counts, length, tier):
    """The cost of counts by class; `None` if a class has neither a rate nor a substitute."""
    if tier == "fast" and "fast" not in price.get("tiers", {}):
        return None
    substitutes = {
        "cache_read_mtok": "input_mtok",
        "cache_write_mtok": "input_mtok",
        "cache_write_1h_mtok": "cache_write_mtok",
        "input_image_mtok": "input_mtok",
        "output_image_mtok": "output_mtok",
    }
    total = Decimal(0)
    for field, number in counts.items():
        own, name = None, field
        while own is None and name is not None:
            own, name = rate(price, name, tier, length), substitutes.get(name)
        if number and own is None:
            return None
        total += number * (own or Decimal(0)) / (1000 if field == "web_searches_kcount" else 1_000_000)
    return total


def of_chat(price, usage):
    prompt, completion = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    tools = usage.get("server_tool_use", {})
    counts = {
        "input_mtok": usage["prompt_tokens"]
        - prompt["cached_tokens"]
        - prompt["cache_write_tokens"]
        - prompt["audio_tokens"]
        - prompt["image_tokens"],
        "cache_read_mtok": prompt["cached_tokens"],
        "cache_write_mtok": prompt["cache_write_tokens"],
        "input_audio_mtok": prompt["audio_tokens"],
        "input_image_mtok": prompt["image_tokens"],
        "output_mtok": usage["completion_tokens"] - completion["audio_tokens"] - completion["image_tokens"],
        "output_audio_mtok": completion["audio_tokens"],
        "output_image_mtok": completion["image_tokens"],
        "web_searches_kcount": tools.get("web_search_requests", 0),
    }
    return amount(price, counts, usage["prompt_tokens"], usage.get("service_tier"))


def of_message(price, usage, prices_of_provider):
    total = _of_message_counts(price, usage, usage)
    for entry in usage.get("iterations", ()):
        if entry["type"] == "message":
            continue
        own = prices_of_provider.get(entry["model"]) if "model" in entry else price
        cost = None if own is None else _of_message_counts(own, entry, usage)
        total = None if total is None or cost is None else total + cost
    return total


def _of_message_counts(price, counts, usage):
    split = counts.get("cache_creation", {})
    classes = {
        "input_mtok": counts["input_tokens"],
        "cache_read_mtok": counts.get("cache_read_input_tokens", 0),
        "cache_write_mtok": split.get("ephemeral_5m_input_tokens", 0),
        "cache_write_1h_mtok": split.get("ephemeral_1h_input_tokens", 0),
    }
    length = sum(classes.values())
    classes["output_mtok"] = counts["output_tokens"]
    classes["web_searches_kcount"] = counts.get("server_tool_use", {}).get("web_search_requests", 0)
    return amount(price, classes, length, "fast" if usage.get("speed") == "fast" else usage["service_tier"])


def vectors():
    """All vectors: provider, model, name of the usage, the usage, and its cost in USD as text (`None`: unknown)."""
    prices = {tuple(key.split(" ", 1)): price for key, price in json.loads((FOLDER / "prices.json").read_text()).items()}
    made = []
    for (provider, model), price in prices.items():
        siblings = {name: other for (owner, name), other in prices.items() if owner == provider}
        for name, usage in (MESSAGE if provider in MESSAGES else CHAT).items():
            cost = of_message(price, usage, siblings) if provider in MESSAGES else of_chat(price, usage)
            text = None if cost is None else f"{cost.normalize():f}"
            made.append({"provider": provider, "model": model, "name": name, "usage": usage, "cost": text})
    return made


def text():
    """The content of `vectors.json`."""
    return "[\n" + ",\n".join(json.dumps(vector) for vector in vectors()) + "\n]\n"


if __name__ == "__main__":
    (FOLDER / "vectors.json").write_text(text())
