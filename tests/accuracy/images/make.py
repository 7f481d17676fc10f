"""Small image files for tests, made on the spot."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image


def picture(seed=0, size=(12, 10), colour=None):
    """An image of (width, height): noise, or one colour."""
    if colour is not None:
        return Image.new("RGB", size, colour)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


def encoded(image, format="PNG", **options):
    """Content of a file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(seed=0, size=(12, 10)):
    return encoded(picture(seed, size))


def files(per_class, classes=("cat", "dog"), prefix="", size=(12, 10)):
    """{path: content} of a folder per class; every image differs."""
    return {
        f"{prefix}{name}/{i:03d}.png": png(1000 * label + i, size)
        for label, name in enumerate(classes)
        for i in range(per_class)
    }


def write(root, content):
    """Write {path: content} below a folder; content `None` makes a folder."""
    for name, data in content.items():
        path = root / name
        if data is None:
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return root


def zipped(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def tarred(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def samples(first, last, classes=("cat", "dog")):
    """{path: content} of WebDataset samples with text labels."""
    made = {}
    for i in range(first, last):
        made |= {f"{i:04d}.png": png(i), f"{i:04d}.cls": classes[i % len(classes)].encode()}
    return made
