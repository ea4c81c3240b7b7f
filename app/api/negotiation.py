"""Accept -> representation (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.errors import NotAcceptable

JSON = "application/json"
ZIP = "application/zip"
NPY = "application/x-npy"
PICTURES = ("image/png", "image/jpeg", "image/webp")
_SHORT_CHARS = 200


@dataclass(frozen=True)
class _Range:
    main: str
    sub: str
    quality: float

    def specificity(self, media_type: str) -> int:
        """3 for the very type, 2 for its family, 1 for anything, 0 for no match."""
        main, _, sub = media_type.partition("/")
        if self.main == "*":
            return 1
        if self.main != main:
            return 0
        if self.sub == "*":
            return 2
        return 3 if self.sub == sub else 0


def negotiate(accept: str | None, offers: tuple[str, ...]) -> str:
    """The media type among `offers` that the Accept header likes best; ties go to the earlier offer.

    No header, or an empty one, accepts anything. Raises NotAcceptable when nothing on offer will do.
    """
    if accept is None or len(accept) > _SHORT_CHARS:
        return _negotiate(accept or "", offers)
    return _remembered(accept, offers)


def _negotiate(accept: str, offers: tuple[str, ...]) -> str:
    if not accept.strip():
        return offers[0]
    ranges = [parsed for part in accept.split(",") if (parsed := _parse(part)) is not None]
    best = max(offers, key=lambda offer: _quality(ranges, offer))
    if _quality(ranges, best) <= 0:
        raise NotAcceptable(f"this answer can be had as {', '.join(offers)}")
    return best


# Clients say the same few things all day.
_remembered = lru_cache(maxsize=256)(_negotiate)


@lru_cache(maxsize=64)
def representations(*, one_picture: bool, preferred_picture: str) -> tuple[str, ...]:
    """What an answer can be had as, best first.

    A picture is on offer for one image or a grid alone; `preferred_picture` is its first choice.
    """
    pictures = sorted(PICTURES, key=lambda picture: picture != preferred_picture) if one_picture else []
    return (JSON, *pictures, ZIP, NPY)


def _quality(ranges: Sequence[_Range], offer: str) -> float:
    matching = [(found, item.quality) for item in ranges if (found := item.specificity(offer))]
    return max(matching)[1] if matching else 0.0


def _parse(part: str) -> _Range | None:
    """One media range; None for one that cannot be read, which then accepts nothing."""
    media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
    main, slash, sub = media_type.partition("/")
    if not (main and slash and sub) or (main == "*" and sub != "*"):
        return None
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return None
            if not 0 <= quality <= 1:
                return None
    return _Range(main, sub, quality)
