"""`Indices`, where code written before 0.2 imports it from: `from reference import Indices` is its place."""

from .draw.specs import Indices as Indices
