"""Reads a configuration file of any format."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pxbin_site.config_files import formats
from pxbin_site.config_files.configuration import Configuration, Options
from pxbin_site.config_files.documents import Document
from pxbin_site.config_files.readers import (
    claude_code_router,
    claude_proxy,
    litellm,
    llm_proxy,
    model_proxy,
    proxx,
    pxbin,
)

READERS = {
    formats.PXBIN: pxbin.read,
    formats.PROXX: proxx.read,
    formats.CLAUDE_PROXY: claude_proxy.read,
    formats.MODEL_PROXY: model_proxy.read,
    formats.LLM_PROXY: llm_proxy.read,
    formats.LITELLM: litellm.read,
    formats.CLAUDE_CODE_ROUTER: claude_code_router.read,
}


def read(path: Path, options: Options, *, format_name: str = formats.AUTO) -> Configuration:
    """The configuration in a file, or in the directory of model-proxy. Raises :class:`~.documents.ConfigFileError`."""
    return read_document(formats.document_of(path), options, format_name=format_name)


def read_document(document: Document, options: Options, *, format_name: str = formats.AUTO) -> Configuration:
    """The configuration in a document. Raises :class:`~.documents.ConfigFileError`."""
    name = formats.detect(document) if format_name == formats.AUTO else format_name
    if name not in (formats.PXBIN, formats.MODEL_PROXY) and not isinstance(document.value, dict):
        raise document.error((), f"is no configuration of {name}: it must contain names and values")
    return READERS[name](document, options)


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of all files that :mod:`.readers.model_proxy` reads in a directory."""
    hashed = hashlib.sha256()
    for part in model_proxy.files_of(path) if path.is_dir() else [path]:
        hashed.update(f"{part.name}\0{part.stat().st_size}\0".encode())
        hashed.update(part.read_bytes())
    return hashed.hexdigest()
