"""The one place that imports audioop: in the standard library up to 3.12, then audioop-lts."""

import sys
import warnings

with warnings.catch_warnings():
    # The deprecation is answered: audioop-lts is the declared dependency from 3.13 on.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

if sys.byteorder != "little":
    raise ImportError("audiocodecs works on little-endian machines only: audioop is native-endian")

__all__ = ["audioop"]
