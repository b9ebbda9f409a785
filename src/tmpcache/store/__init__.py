"""Everything on disk: root · sessions · index · quota · partials · blobs, joined by `Store`.

This wing knows nothing of S3. It keeps copies of objects, says which there are, and makes room.
"""

from .store import Store

__all__ = ["Store"]
