"""How far the quick count of tokens is from the tokenizer's: `python -m tests.support.token_error`.

Over the recorded requests of coding agents in tests/cases/observed and over this repository's own pages and code. The
providers' own counts cannot be asked for here, so this says nothing of the tokenizer's distance from them.
"""

from collections.abc import Iterator
from pathlib import Path

from bpe_openai import get_encoding

from proxy.translation import token_estimate

ROOT = Path(__file__).resolve().parent.parent.parent
KINDS = {"prose": "docs/*.md", "Python": "proxy/*.py", "JSON of agents": "tests/cases/observed/**/*.json"}


def errors(pattern: str) -> Iterator[float]:
    """The relative error of the quick count for each file, in percent."""
    encoding = get_encoding("o200k_base")
    for path in sorted(ROOT.glob(pattern)):
        text = path.read_text()
        exact = len(encoding.encode_ordinary(text))
        if exact > 100:
            yield 100 * (token_estimate.estimate_text_tokens(text) - exact) / exact


if __name__ == "__main__":
    for kind, pattern in KINDS.items():
        relative = sorted(errors(pattern))
        print(f"{kind}: {len(relative)} files, {relative[0]:+.0f} % to {relative[-1]:+.0f} %, median {relative[len(relative) // 2]:+.0f} %")
