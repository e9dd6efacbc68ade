"""How numbers and lists are written for people, in the terminal, in pictures and on pages alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

JOINERS = "\u200c\u200d"  # invisible, but part of how some languages are written
LONGEST_NAME = 300  # letters of a class or a layer; those of ImageNet's classes have up to 121


def capped(text: str, longest: int = LONGEST_NAME) -> str:
    """A text of at most `longest` letters: a longer one is cut, and carries a fingerprint that tells it from others."""
    if len(text) <= longest:
        return text
    fingerprint = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    end = f"… ({len(text):,} letters, {fingerprint})"
    return text[: longest - len(end)] + end


def percent(share: float) -> str:
    """A probability: 39.0%. Never a certainty, or an impossibility, that is none."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:.1%}"


def likelihood(entry: Mapping[str, Any]) -> str:
    """How likely a recorded class is: 39.0%; or its score where scores are no probabilities."""
    chance = entry["probability"]
    return f"score {number(entry['logit'])}" if chance is None else percent(chance)


def named(index: int, label: str) -> str:
    """A class by its number and name, 285 Egyptian cat; by its name alone where that is its number."""
    return label if label == class_name(index) else f"{index} {label}"


def class_name(index: int) -> str:
    """What a class is called that nobody named."""
    return f"class {index}"


def number(value: float) -> str:
    """Three digits, with a true minus sign: −0.0213."""
    return f"{value + 0:.3g}".replace("-", "−")


def listed(names: Sequence[str]) -> str:
    """deconv, guided and gradient."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def abbreviated(names: Iterable[object], limit: int) -> str:
    """The first few, and how many more there are: 3, 7 and 12 more."""
    texts = list(map(str, names))
    return ", ".join(texts[:limit]) + (f" and {len(texts) - limit} more" if len(texts) > limit else "")


def count(number_of: int, noun: str, plural: str | None = None) -> str:
    """1 image, 12 images, 100,000 images."""
    return f"{number_of:,} {noun if number_of == 1 else plural or noun + 's'}"


def unit_name(place: int, label: str, units: int) -> str:
    """A unit's number, with its class where it is one; a single score, which has no number, by its class alone."""
    return label if label and units == 1 else named(place, label).strip()


def run_name(layer: str, run: int) -> str:
    """What one run of a layer is called: the first by the layer's name alone, the others `layer4 #2` and so on."""
    return layer if run == 1 else f"{layer} #{run}"


def reached(entry: Mapping[str, Any]) -> str:
    """Which channel of a recorded layer has the largest value of all, where that one is drawn: 12 reaches 3.1."""
    channels, largest = entry["channels"], number(entry["max"])
    for channel in channels["shown"]:
        if channel["activation"] == entry["max"]:
            return f"{unit_name(channel['channel'], channel.get('label', ''), channels['count'])} reaches {largest}"
    return f"one that is not drawn reaches {largest}"


def never_fired(layer: str, layer_entry: Mapping[str, Any], limit: int = 20) -> str:
    """Which channels of a layer fired in no picture: blocks.2: 2 of 40 channels in none of 8 images: 3, 7."""
    channels = layer_entry["channels"]
    share = f"{len(channels)} of {count(layer_entry['count'], 'channel')}"
    images = count(layer_entry["images"], "image")
    return f"{layer}: {share} fired in none of {images}: {abbreviated(channels, limit)}"


def printable(text: str) -> str:
    """`text` on one line, without control characters."""
    text = text.strip()
    if text.isprintable():
        return text
    return "".join(char for char in " ".join(text.split()) if char.isprintable() or char in JOINERS).strip()
