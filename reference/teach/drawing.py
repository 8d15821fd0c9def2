"""Where everything of the 2-2-1 network stands in its figure: lying for a screen, upright for a phone."""

from dataclasses import dataclass
from typing import Any

Place = tuple[float, float]
ENDS = {"W11": "X1 h1", "W12": "X1 h2", "W21": "X2 h1", "W22": "X2 h2", "W31": "h1 o1", "W41": "h2 o1"}


@dataclass(frozen=True)
class Layout:
    """id: of the figure on the page; shares: how far along its edge each weight is written."""

    id: str
    size: Place
    nodes: dict[str, Place]
    shares: dict[str, float]
    biases: dict[str, Place]

    def drawing(self) -> dict[str, Any]:
        edges = []
        for name, ends in ENDS.items():
            (x1, y1), (x2, y2) = (self.nodes[n] for n in ends.split())
            share = self.shares[name]
            at = {"x": x1 + share * (x2 - x1), "y": y1 + share * (y2 - y1) - 4}
            edges.append({"name": name, "x1": x1, "y1": y1, "x2": x2, "y2": y2} | at)
        (x1, y1), (x2, y2) = self.nodes["o1"], self.nodes["L"]
        return {
            "id": self.id, "width": self.size[0], "height": self.size[1], "edges": edges,
            "end": {"x1": x1, "y1": y1, "x2": x2, "y2": y2},
            "nodes": [{"name": n, "x": x, "y": y} for n, (x, y) in self.nodes.items()],
            "biases": [{"name": n, "x": x, "y": y} for n, (x, y) in self.biases.items()],
        }  # fmt: skip


LYING = Layout(
    "net", (790, 370),
    {"X1": (52, 100), "X2": (52, 280), "h1": (330, 100), "h2": (330, 280), "o1": (592, 190), "L": (742, 190)},
    {"W11": 0.5, "W12": 0.3, "W21": 0.3, "W22": 0.5, "W31": 0.48, "W41": 0.48},
    {"B1": (330, 33), "B2": (330, 342), "B3": (592, 123)},
)  # fmt: skip
UPRIGHT = Layout(
    "net-upright", (440, 605),
    {"X1": (110, 55), "X2": (330, 55), "h1": (110, 235), "h2": (330, 235), "o1": (220, 430), "L": (220, 560)},
    {"W11": 0.5, "W12": 0.32, "W21": 0.68, "W22": 0.5, "W31": 0.45, "W41": 0.62},
    {"B1": (58, 297), "B2": (382, 297), "B3": (110, 440)},
)  # fmt: skip
