"""How an image's size comes down to the smallest map of a convolutional network, and how deep each map is."""


def stages(size: int) -> int:
    """How often `size` is halved to reach the smallest map, 4 to 7 pixels wide: 28 -> 7, 32 -> 4, 64 -> 4.

    Raises ValueError for a size that does not come out.
    """
    halvings, smallest = 0, size
    while smallest > 7 and smallest % 2 == 0:
        halvings, smallest = halvings + 1, smallest // 2
    if not 4 <= smallest <= 7 or halvings == 0:
        raise ValueError(f"{size} pixels do not halve to a map of 4 to 7 pixels")
    return halvings


def even_stages(shape: tuple[int, int, int]) -> int:
    """The stages of an image of height, width, channels; raises ValueError where its sides come out unevenly."""
    height, width, _ = shape
    if stages(height) != stages(width):
        raise ValueError(f"{height}x{width} images do not halve evenly")
    return stages(height)


def depths(width: int, halvings: int, *, multiple: int = 1) -> list[int]:
    """Channels of each map from the smallest, with `width`, to the largest: half as many at each doubling, and at least
    `multiple`, of which each is a multiple.

    Raises ValueError for a width that is none.
    """
    if width % multiple:
        raise ValueError(f"a width of {width} is no multiple of {multiple}")
    return [max((width >> stage) // multiple, 1) * multiple for stage in range(halvings + 1)]
