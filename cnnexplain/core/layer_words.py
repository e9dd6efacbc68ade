"""How a row of the table of layers is written, on the terminal and on the page alike: from the record's plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnexplain.core.words import count

Row = Mapping[str, Any]
NOTHING = "–"


@dataclass(frozen=True)
class TableColumn:
    """One column: how a cell is written, and the number by which it is sorted where it has one."""

    key: str
    heading: str
    meaning: str
    text: Callable[[Row], str]
    value: Callable[[Row], float | None] | None = None


def scaled(number: float, unit: str = "") -> str:
    """Three digits and a power of a thousand: 4.09 G, 3.21 MB, 640 B."""
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if number >= 0.9995 * 10**power:
            return f"{_three_digits(number / 10**power)} {letter}{unit}"
    return f"{number:.0f} {unit}".rstrip()


def times(sides: Sequence[int | str]) -> str:
    """64×112×112."""
    return "×".join(map(str, sides)) or "one number"


def shape(row: Row) -> str:
    """What came out for one picture; of several tensors the first, and how many there are besides."""
    if not row["outputs"]:
        return ""
    first, *others = row["outputs"]
    sides = first[1:] if len(first) > 1 and first[0] == 1 else first
    return times(sides) + (f" +{len(others)}" if others else "")


def share(row: Row) -> str:
    """A share of all multiply-adds: 35.8%."""
    value = row["share"]
    if not value:
        return NOTHING if value is not None else ""
    return "<0.1%" if value < 0.0005 else f"{value:.1%}"


def default_of(row: Row) -> str:
    """Which commands show the layer when none is named."""
    return ", ".join(row["default_of"])


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _amount(key: str, write: Callable[[int], str]) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        value = row[key]
        return "" if value is None else write(value) if value else NOTHING

    return text


def _sides(value: Sequence[int | str] | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return str(value[0]) if len(set(value)) == 1 else times(value)


def _kernel(row: Row) -> str:
    window = row["window"]
    if window is None:
        return ""
    spread = window["dilation"]
    apart = f", {_sides(spread)} apart" if spread and set(spread) != {1} else ""
    return times(window["kernel"]) + apart


def _window(key: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        return _sides(row["window"][key]) if row["window"] else ""

    return text


def _groups(row: Row) -> str:
    groups = row["window"] and row["window"]["groups"]
    return str(groups) if groups and groups > 1 else ""


def _field(row: Row) -> str:
    field = row["receptive_field"]
    return "" if field is None else field_words(field)


def field_words(field: Sequence[int | None]) -> str:
    """427 for 427×427; whole where a direction is seen from end to end."""
    return _sides(["whole" if side is None else side for side in field])


def _stride(row: Row) -> str:
    strides = row["total_stride"]
    if strides is None or None in strides:
        return ""
    return _sides([f"{one:g}" for one in strides])


def _field_area(row: Row) -> float | None:
    field = row["receptive_field"]
    if field is None:
        return None
    return float("inf") if None in field else float(field[0] * field[1])


def _kind(row: Row) -> str:
    often = f" ×{row['runs']}" if (row["runs"] or 0) > 1 else ""
    return str(row["kind"]) + often + (" (not run)" if row["runs"] == 0 else "")


def _largest(key: str) -> Callable[[Row], float | None]:
    def value(row: Row) -> float | None:
        sides = row["window"] and row["window"][key]
        return None if not sides or isinstance(sides, str) else float(max(sides))

    return value


COLUMNS = (
    TableColumn("layer", "layer", "as --layer takes it", lambda row: row["name"]),
    TableColumn("kind", "kind", "the module's class; how often it ran, if not once", _kind),
    TableColumn(
        "output", "output", "shape of what came out for one picture", shape,
        lambda row: float(_product(row["outputs"][0])) if row["outputs"] else None,
    ),
    TableColumn("kernel", "kernel", "rows by columns", _kernel, _largest("kernel")),
    TableColumn("stride", "stride", "of its own", _window("stride"), _largest("stride")),
    TableColumn("padding", "pad", "padding on either side", _window("padding"), _largest("padding")),
    TableColumn("groups", "groups", "of channels that do not mix", _groups,
           lambda row: row["window"] and row["window"]["groups"]),
    TableColumn("parameters", "parameters", "all that it holds", _amount("parameters", "{:,}".format),
           lambda row: row["parameters"]),
    TableColumn("multiply_adds", "mult-adds", "of convolutions, linear layers and matrix products, for one picture",
           _amount("multiply_adds", scaled), lambda row: row["multiply_adds"]),
    TableColumn("share", "share", "share of all multiply-adds", share, lambda row: row["share"]),
    TableColumn("memory", "memory", "of the activations that it makes, at batch size 1",
           _amount("activation_bytes", lambda value: scaled(value, "B")), lambda row: row["activation_bytes"]),
    TableColumn("field", "sees", "receptive field of a cell of its map, in pixels of the input", _field, _field_area),
    TableColumn("total_stride", "every", "by how many pixels of the input its cells lie apart", _stride,
           lambda row: (row["total_stride"] or [None])[0]),
)  # fmt: skip


SHAPES = ("output", "kernel")  # are sorted by a number, and are none
NUMBERS = tuple(one.key for one in COLUMNS if one.value is not None and one.key not in SHAPES)


def stages(rows: Sequence[Row]) -> list[Row]:
    """The rows that stand for the stages of a model, one for every size of map, from the largest on."""
    mapped = [row for row in rows if row["map"] and row["receptive_field"] and "deconv" in row["default_of"]]
    return sorted(mapped, key=lambda row: -row["map"][1] * row["map"][2])


def layers_and_blocks(number: int) -> str:
    """How many rows there are: 1 layer, 12 layers and blocks."""
    return count(number, "layer", "layers and blocks")


def _product(sides: Sequence[int]) -> int:
    total = 1
    for side in sides:
        total *= side
    return total


def used(rows: Sequence[Row]) -> tuple[TableColumn, ...]:
    """The columns in which at least one row says something; the layer's name always."""
    return tuple(
        one
        for one in COLUMNS
        if one.key == "layer" or any(one.text(row) not in ("", NOTHING) for row in rows)
    )


def totals(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is said below the table: a name and a sentence each. `table` is what the record holds."""
    total = table["totals"]
    frozen = total["parameters"] - total["trainable"]
    trainable = "all trainable" if not frozen else f"{total['trainable']:,} of them trainable"
    weights = scaled(total["parameter_bytes"], "B")
    yield (
        "parameters",
        f"{total['parameters']:,}" + (f", {trainable}, {weights}" if total["parameters"] else ""),
    )
    picture = times(table["input"][1:])
    if total["multiply_adds"] is not None:
        exact, short = total["multiply_adds"], scaled(total["multiply_adds"])
        yield (
            "mult-adds",
            f"{exact:,}" + (f" ({short})" if exact >= 1000 else "") + f" for one picture of {picture}",
        )
        yield "activations", f"{scaled(total['activation_bytes'], 'B')} for one picture"
    whole = table["rows"][0]
    own = [count(whole["own_parameters"], "parameter")] if whole["own_parameters"] else []
    own += [f"{scaled(whole['own_multiply_adds'])} mult-adds"] if whole["own_multiply_adds"] else []
    if own:
        yield "in no layer", " and ".join(own) + " belong to the model itself"
    if table["classes"] is not None:
        names = "; ".join(table["first_classes"])
        more = "; …" if table["classes"] > len(table["first_classes"]) else ""
        yield "classes", f"{table['classes']:,}: {names}{more}"
    yield "input", table["preprocessing"]
    if table["source"]:
        yield "source", table["source"]
    yield "weights", f"SHA-256 {table['weights_sha256']}"
    for commands, layers in default_layers(table).items():
        yield "default of", f"{commands}: {layers}"
    if table["problem"]:
        yield "not run", table["problem"]
    for remark in table["remarks"]:
        yield "note", remark


def default_layers(table: Mapping[str, Any]) -> dict[str, str]:
    """The default layers by the commands that have the same."""
    by_layers: dict[str, list[str]] = {}
    for command, layers in table["default_layers"].items():
        by_layers.setdefault(", ".join(layers), []).append(command)
    return {", ".join(commands): layers for layers, commands in by_layers.items()}
