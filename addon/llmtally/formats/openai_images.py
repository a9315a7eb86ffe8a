"""Image generation and edits. https://platform.openai.com/docs/api-reference/images

`usage` stands on the whole body, or in a stream on `image_generation.completed` and
`image_edit.completed`. No body names the image model: it is the one asked for. `svg_usage` is the
bill of another model, the one that wrote the SVG, and stands beside.
"""

from __future__ import annotations

from typing import Any

from ..record import Part, Reading, Usage
from .cost import read_cost_header
from .format import Format, mapping, miscounted, text, utf8_len
from .openai_usage import read_body, read_usage


def read_images(message: Any, reading: Reading) -> Reading:
    """Fold a whole body, one event, or an error."""
    message = mapping(message)
    kind = text(message.get("type"))
    if kind is not None and kind != "error" and not kind.endswith(".completed"):
        return reading
    reading = read_body(message, reading)
    svg = mapping(message.get("svg_usage"))
    author, (written, doubtful) = text(svg.get("model")), read_usage(svg)
    if doubtful or miscounted(message.get("svg_usage")):
        reading = reading._replace(cost_approximate=True)
    if not written:
        return reading
    if reading.usage is None:
        return reading._replace(model=author, usage=written)
    parts = (Part("image_generation", reading.model, reading.usage), Part("svg", author, written))
    return reading._replace(parts=parts, usage=sum((part.usage for part in parts), Usage()))


def content_length(message: Any) -> int:
    """Bytes of one partial image, base64 as it is; 1 for one so large that it was not parsed."""
    image = mapping(message).get("b64_json")
    return max(utf8_len(image), isinstance(image, str))


OPENAI_IMAGES = Format(
    name="openai_images",
    read=read_images,
    read_headers=read_cost_header,
    needles=(b'_tokens"', b'"error"', b'.completed"'),
    content=content_length,
    self_terminating=True,
    counts_tokens=False,  # DALL-E and most other providers' image models are billed by the image
)
