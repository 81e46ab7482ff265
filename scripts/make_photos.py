"""Writes nasjax/data/assets/photos.npz: 32x32 crops of ten photographs of scikit-image.

    pip install scikit-image pooch
    python scripts/make_photos.py

All are CC0 or public domain by scikit-image's own statement (NOTICE lists them) and lie in its wheel, so
nothing is downloaded. Class = photograph. Training crops come from the left three quarters of a photograph and
test crops from the right quarter, so the two share no pixel. A crop covers a square of 32 to 112 pixels (the
side is log-uniform), smoothed on shrinking; nearly flat ones are drawn again. The output is the same byte for
byte at every run with the same versions of scikit-image and pillow.
"""

import io
import pathlib
import zipfile

import numpy as np
import skimage.data
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = ROOT / "nasjax" / "data" / "assets" / "photos.npz"
# The first six are in colour, the last four grey and repeated to three channels.
NAMES = (
    *("astronaut", "chelsea", "coffee", "hubble_deep_field", "retina", "rocket"),
    *("brick", "camera", "grass", "gravel"),
)
SIZE = 32
LARGEST = 112
FLATTEST = 6.0  # smallest standard deviation of a crop's brightness, of 255
COUNTS = {"train": 64, "test": 16}
SEED = 20


def crops(photo: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Random square crops: uint8 [count, SIZE, SIZE, 3]."""
    height, width, _ = photo.shape
    limit = min(LARGEST, height, width)
    out = []
    while len(out) < count:
        side = int(np.exp(generator.uniform(np.log(SIZE), np.log(limit + 1))))
        top, left = generator.integers(height - side + 1), generator.integers(width - side + 1)
        square = Image.fromarray(photo[top : top + side, left : left + side])
        crop = np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        if crop.mean(axis=2).std() >= FLATTEST:
            out.append(crop)
    return np.stack(out)


def main(target: pathlib.Path = TARGET) -> None:
    """Cuts all crops and writes them."""
    arrays: dict[str, np.ndarray] = {"class_names": np.asarray(NAMES)}
    for split, count in COUNTS.items():
        images = []
        for label, name in enumerate(NAMES):
            photo = getattr(skimage.data, name)()
            photo = np.repeat(photo[..., None], 3, axis=2) if photo.ndim == 2 else photo[..., :3]
            border = photo.shape[1] * 3 // 4
            part = photo[:, :border] if split == "train" else photo[:, border:]
            images.append(crops(part, count, np.random.default_rng([SEED, label, split == "test"])))
        arrays[f"x_{split}"] = np.concatenate(images)
        arrays[f"y_{split}"] = np.repeat(np.arange(len(NAMES)), count)
    with zipfile.ZipFile(target, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array))
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))  # numpy.savez stamps the time
            archive.writestr(info, member.getvalue(), zipfile.ZIP_DEFLATED, 9)
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
