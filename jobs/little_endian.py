"""Byte order: arrays as they lie in payloads."""

import sys
from array import array
from typing import TypeVar

Number = TypeVar("Number", int, float)


def little_endian(items: "array[Number]") -> "array[Number]":
    """From the machine's byte order to little-endian, or back. Changes `items`, and returns it."""
    if sys.byteorder == "big":
        items.byteswap()
    return items
