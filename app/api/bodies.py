"""Reading request bodies: media type, encoding and size are checked before a byte is parsed."""

from starlette.requests import Request

from app.api.problems import ClientGone
from app.api.request_scope import context_of
from app.api.watch import Watch
from app.errors import PayloadTooLarge, UnsupportedMediaType

JSON = "application/json"
MULTIPART = "multipart/form-data"


def require_media_type(request: Request, *allowed: str) -> str:
    """The body's media type, one of `allowed`.

    Raises UnsupportedMediaType for any other, for none, for JSON that says it is not UTF-8, and for any
    Content-Encoding: a body that unpacks to more than it weighs would defeat the size limit.
    """
    context = context_of(request)
    if b"content-encoding" in context.headers:
        raise UnsupportedMediaType("a body must not have a Content-Encoding")
    essence, _, parameters = (context.header(b"content-type") or "").partition(";")
    media_type = essence.strip().lower()
    if media_type not in allowed:
        raise UnsupportedMediaType(f"the Content-Type must be {' or '.join(allowed)}")
    if media_type == JSON and parameters.strip():
        name, _, value = parameters.partition("=")
        if name.strip().lower() != "charset" or value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise UnsupportedMediaType("JSON must be UTF-8")
    return media_type


async def read_body(request: Request, watch: Watch, *, limit_bytes: int) -> bytes:
    """The whole body, whether its length was declared or it came in chunks; `watch` is told when it is there.

    Raises PayloadTooLarge as soon as the limit is passed, and ClientGone when the client leaves first.
    """
    declared = context_of(request).header(b"content-length") or "0"
    if not declared.isdecimal() or int(declared[:20]) > limit_bytes:
        raise PayloadTooLarge(f"a body may have at most {limit_bytes} bytes")
    chunks, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the client closed the connection")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit_bytes:
            raise PayloadTooLarge(f"a body may have at most {limit_bytes} bytes")
        more = message.get("more_body", False)
    watch.body_arrived()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
