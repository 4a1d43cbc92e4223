# SPDX-License-Identifier: Apache-2.0
"""Pictures with the boxes that a detector finds."""
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

from int4q.lab.base.types import Array
from int4q.lab.detection.family import Detections

Frame = tuple[float, float, float, float]
WIDTH, SURE = 460, 0.25  # of a drawn picture, in pixels; the least score that is drawn
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000", "#000075", "#e6007e")


def draw(picture: Array, found: Detections, names: Sequence[str]) -> bytes:
    """JPEG bytes of a picture with its boxes, labels over them, the best where they belong."""
    scale = WIDTH / picture.shape[1]
    image = Image.fromarray(picture).resize((WIDTH, round(picture.shape[0] * scale)))
    pen = ImageDraw.Draw(image)
    labels: list[Frame] = []
    seen = sorted((f for f in zip(*found, strict=True) if f[1] >= SURE), key=lambda f: f[1])
    for box, _, label in seen:
        pen.rectangle([float(v) * scale for v in box], outline=COLOURS[label % len(COLOURS)], width=2)
    for box, score, label in reversed(seen):
        text = f"{names[label] if label < len(names) else label} {score:.2f}"
        corner, frame = free_place(pen, text, box[0] * scale + 2, max(1, box[1] * scale - 12), labels)
        labels.append(frame)
        pen.rectangle(frame, fill=COLOURS[label % len(COLOURS)])
        pen.text(corner, text, fill="white")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def free_place(pen: ImageDraw.ImageDraw, text: str, x: float, y: float,
               taken: Sequence[Frame]) -> tuple[tuple[float, float], Frame]:
    """(corner of a text, frame around it): at (x, y), or as much lower as it takes to cover no frame of `taken`."""
    for corner in [(x, y + 3 * n) for n in range(20)]:
        left, top, right, bottom = pen.textbbox(corner, text)
        frame = left - 2, top - 1, right + 2, bottom + 1
        if not any(frame[0] < t[2] and t[0] < frame[2] and frame[1] < t[3] and t[1] < frame[3] for t in taken):
            break
    return corner, frame
