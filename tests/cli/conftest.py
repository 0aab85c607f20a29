import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def small_folder(tmp_path):
    """Two classes of 30 noisy pictures, and a file that is no picture."""
    rng = np.random.default_rng(0)
    root = tmp_path / "photos"
    for name, level in (("dark", 60), ("light", 190)):
        (root / name).mkdir(parents=True)
        for i in range(30):
            pixels = np.clip(rng.normal(level, 25, (24, 30, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:02d}.png")
    (root / "dark" / "notes.jpg").write_text("not a picture")
    return root
