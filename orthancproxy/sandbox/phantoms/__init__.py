"""Synthetic images for the sample studies: a chest for CT, a head for MR, a beating heart for ultrasound.

They are made of ellipses, tubes and noise, and are the same every time: each random number comes from a fixed
seed. Nothing in them was measured on a person.
"""

from orthancproxy.sandbox.phantoms.chest import chest_radiograph, chest_slice
from orthancproxy.sandbox.phantoms.head import Contrast, head_slice
from orthancproxy.sandbox.phantoms.heart import heart_frame

__all__ = ["Contrast", "chest_radiograph", "chest_slice", "head_slice", "heart_frame"]
