"""Values that overflow on the way: where, how many, in which precision; on networks whose right values are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import digits
import pytest
import torch
from networks import bare
from torch import Tensor, nn

from cnnexplain.checks import check
from cnnexplain.checks.suite.subject import Subject
from cnnexplain.core.verdict import Verdict
from cnnexplain.engine.overflow import cast
from cnnexplain.runner.checking.thresholds import Chosen
from cnnexplain.runner.checking.verdicts import verdict_of

LARGEST = 65504.0  # of float16


class Net(nn.Module):
    """A convolution of one weight a channel, something behind it, and a head that reads the mean of each channel."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, len(weights), 1, bias=False)
        self.conv.weight.data[:, 0, 0, 0] = torch.tensor(weights)
        self.act, self.head = nn.ReLU6(), nn.Linear(len(weights), 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.conv(x)).mean((2, 3)))


def subject(module: nn.Module, precision: str = "fp16", count: int = 8) -> Subject:
    made = digits.subject(module.eval(), count=count)
    return replace(made, model=replace(made.model, precision=precision))


def finite(module: nn.Module, precision: str = "fp16", count: int = 8, **limits: float) -> Verdict:
    asked = subject(module, precision, count)
    with asked.model.borrowed():
        return verdict_of(Chosen("finite", check("finite")(**limits), "error", True), asked)


def test_a_layer_that_a_relu6_hides_is_named_with_its_share() -> None:
    module = Net([60000.0, 60000.0, 1.0, -60000.0])
    with torch.no_grad():
        exact = module.conv(subject(module).inputs()).abs()
    share = float((exact > LARGEST).float().mean())
    assert 0.05 < share < 0.5
    found = finite(module)
    assert found.status == "fail"
    assert f"first at conv, where {share:.1%} of the values are infinite in 8 of 8 pictures" in found.says
    assert found.table is not None
    assert [row[0] for row in found.table.rows] == ["conv"], "the ReLU6 is finite again"
    assert int(found.table.rows[0][1]) == int((exact > LARGEST).sum())
    assert finite(module, "fp32").status == finite(module, "bf16", changed=1.0).status == "pass"


class Product(Net):
    """Overflows in a function between two layers."""

    def __init__(self) -> None:
        super().__init__([1.0, 2.0])

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.conv(x) * 60000).clamp(0, 6).mean((2, 3)))


class Inside(nn.Module):
    """The same in the code of a layer that has layers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Product()

    def forward(self, x: Tensor) -> Tensor:
        return self.stage(x)


class Logarithm(Net):
    def __init__(self) -> None:
        super().__init__([1.0])

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((0 * x).log().clamp(-1, 1) + x)


@pytest.mark.parametrize(
    ("module", "precision", "where"),
    [
        (Product(), "fp16", "first at mul in its own code, where"),
        (Inside(), "fp16", "first at mul in stage, where"),
        (
            Logarithm(),
            "fp32",
            "first at log in its own code, where 100.0% of the values are infinite in 8 of 8",
        ),
    ],
)
def test_a_function_in_a_models_code_is_named(module: nn.Module, precision: str, where: str) -> None:
    found = finite(module, precision)
    assert found.status == "fail"
    assert where in found.says


class Small(Net):
    """Divides by the squares of numbers that are too small for float16, as `way` says."""

    def __init__(self, way: str) -> None:
        super().__init__([1e-5, 2e-5])
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        a = self.conv(x)
        if self.way == "0 / 0":
            return self.head((a * 1e-4 / (a * 1e-4)).nan_to_num().mean((2, 3)))
        if self.way == "in place":
            return self.head((a * 1e-4).div_(a * 1e-4).nan_to_num().mean((2, 3)))
        if self.way == "log":
            return self.head((a.square().to(a.dtype)).log().clamp(-9, 9).mean((2, 3)))
        if self.way == "epsilon":
            return self.head(nn.functional.normalize(0 * a, dim=1).nan_to_num().mean((2, 3)))
        if self.way == "exp":
            return self.head((1e5 * a * 1e5).exp().clamp(max=1).mean((2, 3)))
        return self.head((a / 1e-10).clamp(max=1).mean((2, 3)))


@pytest.mark.parametrize(
    ("way", "says", "do"),
    [
        (
            "0 / 0",
            "not all values on the way are (a division by zero): first at div in its own",
            "a larger epsilon",
        ),
        (
            "in place",
            "not all values on the way are (a division by zero): first at div in its",
            "a larger epsilon",
        ),
        (
            "log",
            "not all values on the way are (a logarithm of zero or less): first at log",
            "a larger epsilon",
        ),
        ("epsilon", "(no room for what it computes within): first at normalize", "a larger epsilon"),
        ("exp", "values overflow on the way: first at", "scale down the weights"),
        ("quotient", "values overflow on the way: first at div", "scale down the weights"),
    ],
)
def test_what_is_too_small_is_told_from_what_is_too_large(way: str, says: str, do: str) -> None:
    """Of float16 the smallest number is 6e-8 and the largest 65504, where only `exp` and the last divide go beyond."""
    found = finite(Small(way), "fp16")
    assert found.status == "fail"
    assert says in found.says, found.says
    assert do in (found.do or "")
    assert ("overflow" in found.says) == ("scale down" in found.do)


class Undefined(Net):
    def __init__(self, function: str) -> None:
        super().__init__([1.0])
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.head(
            getattr(torch, self.function)(self.conv(x) * 0 - float(self.function == "sqrt")).mean((2, 3))
        )


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("reciprocal", "(a division by zero): first at reciprocal"),
        ("rsqrt", "(a division by zero): first at rsqrt"),
        ("log2", "(a logarithm of zero or less): first at log2"),
        ("sqrt", "(a result that is no number): first at sqrt"),
    ],
)
def test_in_float32_no_other_precision_is_the_remedy(function: str, says: str) -> None:
    found = finite(Undefined(function), "fp32")
    assert says in found.says
    assert "precision" not in found.do


def test_values_too_large_for_float32_are_told_so() -> None:
    class Squared(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.head((self.conv(x) * 1e30).square().clamp(max=1).mean((2, 3)))

    found = finite(Squared([1.0]), "fp32")
    assert "values overflow on the way: first at square in its own code" in found.says
    assert "too large" in found.do


class Masked(Net):
    """Attention's way: infinities that are put in on purpose, and that a softmax takes out again."""

    def __init__(self) -> None:
        super().__init__([1.0, 2.0])

    def forward(self, x: Tensor) -> Tensor:
        scores = self.conv(x).flatten(2)
        masked = scores.masked_fill(scores < 0, float("-inf"))
        mask = torch.zeros(64).index_fill(0, torch.arange(8), float("-inf"))
        shares = (masked + mask).add_(mask).softmax(2).nan_to_num(0)
        return self.head((shares * scores).sum(2))


def test_infinities_on_purpose_are_no_fault() -> None:
    for precision in ("fp32", "fp16"):
        assert finite(Masked(), precision).status == "pass", precision


class Scaled(Net):
    """Up and down again: float32 has room for it, and autocast leaves products in float32."""

    def __init__(self) -> None:
        super().__init__([1.0, 2.0])

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * 3e4 * 3e4 / 9e8)


class WideStatistics(Net):
    """A batch norm whose variance no float16 can hold."""

    def __init__(self) -> None:
        super().__init__([300.0, 500.0])
        self.norm = nn.BatchNorm2d(2)
        self.norm.running_var.fill_(1e5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (
            Scaled(),
            "with module.half(): weights are finite, but values overflow on the way: first at mul in its own",
        ),
        (WideStatistics(), "module.half() makes 'norm.running_var' infinite"),
    ],
)
def test_weights_that_are_cast_are_tried_beside_autocast(module: nn.Module, says: str) -> None:
    found = finite(module)
    assert found.status == "fail"
    assert says in found.says
    assert "autocast against float32: another class for 0 of 8" in found.says
    assert finite(module, cast=False).status == "pass"
    assert finite(module, "bf16", changed=1.0).status == "pass"


def test_without_pictures_weights_are_cast_all_the_same() -> None:
    asked = replace(subject(WideStatistics()), examples=())
    with asked.model.borrowed():
        found = verdict_of(Chosen("finite", check("finite")(), "error", True), asked)
    assert (found.status, "norm.running_var" in found.says) == ("fail", True)


class Level(nn.Module):
    """Scores of about 4096, where float16 goes in steps of 4: what decides between them is lost."""

    def __init__(self, apart: float) -> None:
        super().__init__()
        self.head = nn.Linear(64, 2)
        nn.init.zeros_(self.head.weight)
        self.head.bias.data = torch.tensor([4096.0, 4096.0 + apart])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


def test_answers_that_change_are_held_against_float32() -> None:
    found = finite(Level(1.0))
    assert found.status == "fail"
    assert found.value == 1
    assert "autocast against float32: another class for 8 of 8" in found.says
    assert found.table is not None
    assert found.table.rows[0][1:4] == ("class 1", "0.731", "class 0")
    assert finite(Level(0.05)).status == "pass", "two classes at 0.4875 and 0.5125 are as good as equal"
    assert finite(Level(1.0), changed=1.0).status == "pass"
    assert finite(Level(8.0)).status == "pass"
    assert finite(Level(1.0), "fp32").status == "pass"


class Own(Net):
    """Makes a matrix of float32 of its own, which no cast of its weights reaches."""

    def __init__(self) -> None:
        super().__init__([1.0, 2.0])

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) @ torch.eye(3)


def test_a_model_that_cannot_be_cast_says_so_and_passes() -> None:
    found = finite(Own())
    assert found.status == "pass"
    assert "with module.half() it could not be tried" in found.says


@pytest.mark.parametrize(
    "module", [WideStatistics(), Own(), Net([60000.0])], ids=lambda one: type(one).__name__
)
def test_a_model_comes_back_as_it_was(module: nn.Module) -> None:
    module.register_buffer("counts", torch.arange(3))
    module.register_parameter("shared", module.head.weight)
    kept = {
        name: (one, one.data_ptr(), one.clone()) for name, one in module.state_dict(keep_vars=True).items()
    }
    finite(module)
    for name, one in module.state_dict(keep_vars=True).items():
        before, place, values = kept[name]
        assert one is before
        assert (one.data_ptr(), one.dtype) == (place, values.dtype)
        assert torch.equal(one, values)
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in module.modules())


def test_an_error_within_gives_the_weights_back() -> None:
    module = WideStatistics()
    with pytest.raises(KeyboardInterrupt), cast(bare(module), torch.float16):  # noqa: PT012
        assert module.head.weight.dtype == module.norm.running_mean.dtype == torch.float16
        assert module.norm.num_batches_tracked.dtype == torch.int64
        raise KeyboardInterrupt
    assert module.head.weight.dtype == module.norm.running_mean.dtype == torch.float32
    assert float(module.norm.running_var[0]) == 1e5


def test_from_the_shell_half_precision_fails_where_a_layer_overflows(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "hot.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef net():\n    torch.manual_seed(0)\n"
        "    made = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.AdaptiveAvgPool2d(1),\n"
        "                         nn.Flatten(), nn.Linear(8, 2))\n"
        "    nn.init.constant_(made[0].bias, 7e4)\n    return made\n"
    )
    photos = Path(__file__).parents[2] / "docs" / "photos"
    call = (
        sys.executable,
        "-m",
        "cnnexplain",
        "check",
        f"{tmp_path}/hot.py:net",
        str(photos),
        "--only",
        "finite",
    )
    done = subprocess.run(
        (*call, "--input-size", "32", "--precision", "fp16"), capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, "first at 0, where 100.0%" in done.stdout) == (1, True), (
        done.stderr + done.stdout
    )
    assert "Traceback" not in done.stderr
