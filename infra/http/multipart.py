"""PDF papers of a request: one PDF as it is, or several as multipart/form-data (RFC 7578)."""

from __future__ import annotations

from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from infra.http.problems import Problem

MAX_PAPERS: Final = 20
_HINT: Final = "application/pdf, multipart/form-data"


def papers_of(raw: bytes, content_type: str) -> list[tuple[str, bytes]]:
    """Return name and bytes of each paper.

    Raises Problem 415 for another media type, 400 without a paper, 413 for more than `MAX_PAPERS`.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"application/pdf":
        papers = [("paper.pdf", raw)] if raw else []
    elif kind == b"multipart/form-data" and options.get(b"boundary"):
        papers = _parts(raw, options[b"boundary"])
    else:
        raise Problem(415, hint=_HINT)
    if not papers:
        raise Problem(400, "没有文件 / the request contains no file", hint=_HINT)
    return papers


class _Parts:
    """The parts of a multipart body that are files."""

    def __init__(self) -> None:
        self.papers: list[tuple[str, bytes]] = []
        self._content = bytearray()
        self._header: list[bytes] = [b"", b""]
        self._disposition = b""

    def begin(self) -> None:
        self._content, self._disposition = bytearray(), b""

    def field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def header(self) -> None:
        name, value = self._header
        self._header = [b"", b""]
        if name.lower() == b"content-disposition":
            self._disposition = value

    def data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def end(self) -> None:
        if len(self.papers) >= MAX_PAPERS:
            raise Problem(413, f"多于 {MAX_PAPERS} 份 / more than {MAX_PAPERS} papers")
        _, options = parse_options_header(self._disposition)
        if b"filename" in options and self._content:
            name = options[b"filename"].decode("utf-8", "replace")
            self.papers.append((name[:100] or "paper.pdf", bytes(self._content)))


def _parts(raw: bytes, boundary: bytes) -> list[tuple[str, bytes]]:
    parts = _Parts()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.begin,
            "on_header_field": parts.field,
            "on_header_value": parts.value,
            "on_header_end": parts.header,
            "on_part_data": parts.data,
            "on_part_end": parts.end,
        },
    )
    try:
        parser.write(raw)
        parser.finalize()
    except MultipartParseError:
        raise Problem(400, "multipart 不完整 / broken multipart", hint=_HINT) from None
    return parts.papers
