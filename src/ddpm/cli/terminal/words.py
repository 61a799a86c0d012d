"""Numbers of things in words: 1 image, 2 images."""


def counted(number: int, thing: str) -> str:
    """The number with its thing: "1 image", "1,497 images"."""
    return f"{number:,} {plural(number, thing)}"


def plural(number: int, thing: str) -> str:
    """The thing alone, as so many of it are called."""
    if number == 1:
        return thing
    return f"{thing}es" if thing.endswith("s") else f"{thing}s"
