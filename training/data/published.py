"""Published data sets: where their files are, and the SHA-256 of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedFile:
    """A file as its authors published it."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class PublishedSet:
    """A data set in IDX files, all in the folder `url`; the licence is what its authors state."""

    name: str
    url: str
    licence: str
    classes: tuple[str, ...]
    files: tuple[PublishedFile, ...]


_DIGITS = tuple("0123456789")
_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_HIRAGANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

# IDX files hold no class names: a set is known by the SHA-256 of its training labels, unpacked.
KNOWN_LABELS = {
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5": ("mnist", _DIGITS),
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9": ("fashion-mnist", _FASHION),
}

PUBLISHED = {
    published.name: published
    for published in (
        # LeCun, Cortes and Burges; the host is the Common Visual Data Foundation's.
        PublishedSet(
            name="mnist",
            url="https://storage.googleapis.com/cvdf-datasets/mnist",
            licence="CC BY-SA 3.0",
            classes=_DIGITS,
            files=(
                PublishedFile(
                    "train-images-idx3-ubyte.gz",
                    9_912_422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                PublishedFile(
                    "train-labels-idx1-ubyte.gz",
                    28_881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
                PublishedFile(
                    "t10k-images-idx3-ubyte.gz",
                    1_648_877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                PublishedFile(
                    "t10k-labels-idx1-ubyte.gz",
                    4_542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            ),
        ),
        # Xiao, Rasul and Vollgraf (2017); the authors' own repository.
        PublishedSet(
            name="fashion-mnist",
            url="https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
            licence="MIT",
            classes=_FASHION,
            files=(
                PublishedFile(
                    "train-images-idx3-ubyte.gz",
                    26_421_880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                PublishedFile(
                    "train-labels-idx1-ubyte.gz",
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                PublishedFile(
                    "t10k-images-idx3-ubyte.gz",
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                PublishedFile(
                    "t10k-labels-idx1-ubyte.gz",
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ),
        ),
        # Clanuwat et al. (2018); the authors' own host.
        PublishedSet(
            name="kmnist",
            url="https://codh.rois.ac.jp/kmnist/dataset/kmnist",
            licence="CC BY-SA 4.0",
            classes=_HIRAGANA,
            files=(
                PublishedFile(
                    "train-images-idx3-ubyte.gz",
                    18_165_135,
                    "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                ),
                PublishedFile(
                    "train-labels-idx1-ubyte.gz",
                    29_497,
                    "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                ),
                PublishedFile(
                    "t10k-images-idx3-ubyte.gz",
                    3_041_136,
                    "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                ),
                PublishedFile(
                    "t10k-labels-idx1-ubyte.gz",
                    5_120,
                    "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
                ),
            ),
        ),
    )
}
