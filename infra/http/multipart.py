"""Files of a request: one as it is, or several as multipart/form-data (RFC 7578).

The body is cut by searching for its boundary, which takes no longer for hostile bodies than for honest ones.
"""

from __future__ import annotations

from typing import Final

from python_multipart.multipart import parse_options_header

from infra.http.problems import Problem

MAX_PAPERS: Final = 20
_MAX_PARTS: Final = 100  # files and other fields
_MAX_HEAD: Final = 8192  # bytes before the content of a part
_HINT: Final = "application/pdf, multipart/form-data"


def check_papers_type(content_type: str) -> None:
    """Refuse a body that cannot be papers, before it is read. Raises Problem 415."""
    kind, options = parse_options_header(content_type[:1000])
    if kind != b"application/pdf" and not (kind == b"multipart/form-data" and options.get(b"boundary")):
        raise Problem(415, hint=_HINT)


def papers_of(raw: bytes, content_type: str) -> list[tuple[str, bytes]]:
    """Return name and bytes of each paper.

    Raises Problem 415 for another media type, 400 without a paper, 413 for more than `MAX_PAPERS`.
    """
    kind, options = parse_options_header(content_type[:1000])
    if kind == b"application/pdf":
        papers = [("paper.pdf", raw)] if raw else []
    elif kind == b"multipart/form-data" and options.get(b"boundary"):
        papers = _files(raw, options[b"boundary"])
    else:
        raise Problem(415, hint=_HINT)
    if not papers:
        raise Problem(400, "没有文件 / the request contains no file", hint=_HINT)
    if len(papers) > MAX_PAPERS:
        raise Problem(413, f"多于 {MAX_PAPERS} 份 / more than {MAX_PAPERS} papers")
    return papers


def only_file(raw: bytes, content_type: str) -> bytes:
    """Return the one file of a multipart body. Raises Problem 400 where there is none, or several."""
    _, options = parse_options_header(content_type[:1000])
    files = _files(raw, options.get(b"boundary", b""))
    if len(files) != 1:
        raise Problem(400, "应恰有一个文件 / exactly one file is expected", hint="multipart/form-data")
    return files[0][1]


def _files(raw: bytes, boundary: bytes) -> list[tuple[str, bytes]]:
    if not boundary or len(boundary) > 200:
        raise _broken()
    mark = b"--" + boundary
    # An empty line before the first boundary makes all of them look alike.
    pieces = (b"\r\n" + raw).split(b"\r\n" + mark, _MAX_PARTS + 1)
    if len(pieces) > _MAX_PARTS + 1:
        raise Problem(413, f"多于 {_MAX_PARTS} 部分 / more than {_MAX_PARTS} parts")
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise _broken()
    found = [_file(piece) for piece in pieces[1:-1]]
    return [one for one in found if one is not None]


def _file(part: bytes) -> tuple[str, bytes] | None:
    """Return name and content of a part; None where it is no file, or an empty one."""
    start = part.find(b"\r\n")
    end = part.find(b"\r\n\r\n", start, start + _MAX_HEAD) if start >= 0 else -1
    if end < 0 or part[:start].strip(b" \t"):
        raise _broken()
    for line in part[start + 2 : end].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            _, options = parse_options_header(value)
            content = part[end + 4 :]
            if b"filename" in options and content:
                return options[b"filename"].decode("utf-8", "replace")[:100] or "paper.pdf", content
    return None


def _broken() -> Problem:
    return Problem(400, "multipart 不完整 / broken multipart", hint=_HINT)
