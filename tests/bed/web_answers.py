"""Answers for those who ask through httpx.MockTransport."""

import httpx


def streamed(answer: httpx.Response) -> httpx.Response:
    """As it comes from a server, of which nothing is read yet."""
    body = httpx.ByteStream(answer.content)
    return httpx.Response(answer.status_code, headers=answer.headers, stream=body)
