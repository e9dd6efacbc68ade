"""What another package adds: a command with a result and a reducer of its own, a formula, a check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from cnnexplain.commands import ImageCommand
from cnnexplain.core.explanation import Answer
from cnnexplain.core.params import Param
from cnnexplain.core.reduce import Reducer
from cnnexplain.core.results import Detail, Result
from cnnexplain.core.verdict import Measurement
from cnnexplain.formulas.cam import Cam

if TYPE_CHECKING:
    from torch import Tensor

    from cnnexplain.core.explanation import Batch
    from cnnexplain.engine.model import Model


@dataclass(frozen=True)
class Sky(Result):
    """How bright an image is above its middle."""

    kind: ClassVar[str] = "sky"
    method: ClassVar[str] = "weather"
    layer: ClassVar[str] = ""

    brightness: float
    detail: Detail = field(default_factory=Detail)

    def record(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "method": self.method,
            "layer": "",
            "target": None,
            "brightness": self.brightness,
        }

    @classmethod
    def summaries(cls, entries: Any) -> Iterator[str]:
        return (f"sky {entry['brightness']:.2f}" for entry in entries)

    def name_parts(self) -> dict[str, str]:
        return {}


@dataclass
class Clouds(Reducer):
    """The darkest sky of all."""

    key: ClassVar[str] = "clouds"
    word: ClassVar[str] = "clouds"

    darkest: float | None = None
    images: int = 0

    def update(self, record: Mapping[str, Any]) -> None:
        for entry in record["explanations"]:
            if entry["kind"] == "sky":
                self.merge(Clouds(entry["brightness"], 1))

    def merge(self, other: Clouds) -> None:
        known = [value for value in (self.darkest, other.darkest) if value is not None]
        self.darkest, self.images = min(known, default=None), self.images + other.images

    def state(self) -> dict[str, Any]:
        return {"darkest": self.darkest, "images": self.images}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Clouds:
        return cls(**state)

    def results(self) -> dict[str, Any]:
        return self.state() if self.images else {}

    def lines(self) -> Iterator[str]:
        if self.darkest is not None:
            yield f"the darkest of {self.images} has {self.darkest:.2f}"


@dataclass(frozen=True)
class Weather(ImageCommand):
    """How bright the sky is."""

    seeded: ClassVar[bool] = False
    reducers: ClassVar[tuple[type[Reducer], ...]] = (Clouds,)

    times: Annotated[float, Param("What brightness is multiplied by.", min=0)] = 1.0

    def bind(self, model: Model) -> tuple[Weather, tuple[()]]:
        return self, ()

    def explain(self, model: Model, batch: Batch) -> Answer:
        light = batch.inputs[:, :, : batch.inputs.shape[2] // 2].mean((1, 2, 3)) * self.times
        skies = tuple((Sky(round(float(value), 4)),) for value in light)
        return Answer(model.forward(batch.inputs).detach().cpu(), skies)


def sumcam(a: Tensor, g: Tensor) -> Tensor:
    """The sum of the maps."""
    return a.sum(1)


SUMCAM = Cam(sumcam)


@dataclass(frozen=True)
class Sunny:
    """The model is named after the sun."""

    level: ClassVar[str] = "warn"
    why: ClassVar[str] = "Somebody has to check it."
    needs: ClassVar[tuple[str, ...]] = ()

    def measure(self, subject: Any) -> Measurement:
        good = "sun" in subject.model.name
        return Measurement(good=good, says=f"the model is called {subject.model.name}", do="call it sun")
