"""A space of a handful of networks, for runs whose front is verified in seconds."""

from mvsearch.spec.space_file import spaces_folder


def write_small_space(folder):
    """Write `small.yaml`: MobileViT XXS of v1 and v3 widths with two depths and two layer-2 counts; gives its path."""
    text = (spaces_folder() / "tiny.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("[v1, v3-v1]", "v3-v1"),
        ("[16, 24]", "16"),
        ("[24, 32]", "24"),
        ("[48, 64]", "64"),
        ("[64, 80]", "80"),
        ("[80, 128]", "128"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return path
