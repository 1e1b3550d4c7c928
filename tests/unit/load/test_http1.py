"""The client connection's parser, fed in every way that a network may cut an answer."""

from __future__ import annotations

import pytest

from hack.load.http1 import Answer, AnswerParser, MalformedAnswerError

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Sophia-Release: web-1\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4;name=value\r\nwiki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\n"
)
CHUNKED_WITHOUT_TRAILERS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN


@pytest.mark.parametrize(
    ("wire", "status", "body"),
    [
        pytest.param(PLAIN, 200, b"hello", id="content-length"),
        pytest.param(CHUNKED, 503, b"wikipedia", id="chunked with trailers"),
        pytest.param(CHUNKED_WITHOUT_TRAILERS, 200, b"ab", id="chunked"),
        pytest.param(EMPTY, 204, b"", id="no body"),
        pytest.param(INTERIM, 200, b"hello", id="after an interim answer"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_answers_are_read_however_they_are_cut(wire: bytes, status: int, body: bytes, size: int) -> None:
    parser = AnswerParser()
    pieces = [wire[start : start + size] for start in range(0, len(wire), size)]
    answers = [parser.feed(piece) for piece in pieces]
    assert answers[:-1] == [None] * (len(pieces) - 1)
    assert answers[-1] is not None
    assert (answers[-1].status, answers[-1].body) == (status, body)


def test_header_names_are_lower_case_and_an_empty_value_is_a_value() -> None:
    answer = AnswerParser().feed(b"HTTP/1.1 500 Oops\r\nX-Sophia-Release:\r\nContent-Length: 0\r\n\r\n")
    assert answer == Answer(500, {"x-sophia-release": "", "content-length": "0"}, b"")


def test_one_parser_reads_one_answer_after_another() -> None:
    parser = AnswerParser()
    for wire in (PLAIN, CHUNKED, EMPTY, PLAIN):
        answer = parser.feed(wire)
        assert answer is not None


def test_a_body_without_length_ends_with_the_connection() -> None:
    parser = AnswerParser()
    assert parser.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it") is None
    answer = parser.end()
    assert answer is not None
    assert answer.body == b"all of it"


@pytest.mark.parametrize(
    "wire", [b"", b"HTTP/1.1 200", PLAIN[:-1], CHUNKED[:-2]], ids=["none", "head", "body", "chunk"]
)
def test_a_connection_that_ends_early_gives_no_answer(wire: bytes) -> None:
    parser = AnswerParser()
    assert parser.feed(wire) is None
    assert parser.end() is None
    assert parser.started == bool(wire)


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_not_http_is_refused(wire: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        AnswerParser().feed(wire)
