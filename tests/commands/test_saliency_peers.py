"""Pixel maps against Captum's, on real architectures."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from architectures import architecture, size_of
from captum import attr
from networks import as_model, explained, settle
from PIL import Image
from torch import Tensor, fx, nn

import cnnexplain
from cnnexplain.commands._pixel_maps import MAPS
from cnnexplain.commands.saliency import Saliency
from cnnexplain.engine import streams
from cnnexplain.engine.model import Model
from cnnexplain.formulas import standard_normal

pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not", "ignore:Setting backward hooks")

TOLERANCE = 1e-4  # of the peer's range
STEPS = 8
SAMPLES = 3
NOISY = ("smoothgrad", "vargrad")
ARCHITECTURES = (
    "tv:resnet18@64",
    "tv:resnet50@64",
    "tv:vgg16@64",
    "tv:alexnet@64",
    "tv:squeezenet1_1@64",
    "tv:densenet121@64",
    "tv:mobilenet_v2@64",  # its ReLU6, which Captum passes over, are ReLU here, on both sides
)


def with_modules(module: nn.Module) -> nn.Module:
    """The same computation with a module of its own for every rectifier, none in place: what Captum can see.

    Captum hooks modules of nn.ReLU, and knows nothing of `F.relu` at the end of DenseNet.
    """
    graph = fx.symbolic_trace(copy.deepcopy(module))
    for number, node in enumerate(graph.graph.nodes):
        is_module = node.op == "call_module" and isinstance(graph.get_submodule(node.target), nn.ReLU)
        if is_module or (node.op == "call_function" and node.target is F.relu):
            graph.add_submodule(f"rectifier{number}", nn.ReLU())
            with graph.graph.inserting_before(node):
                node.replace_all_uses_with(graph.graph.call_module(f"rectifier{number}", node.args[:1]))
            graph.graph.erase_node(node)
    graph.recompile()
    return graph.eval()


def not_in_place(module: nn.Module) -> nn.Module:
    """Where tracing fails, and every rectifier is a module of its own already."""
    module = copy.deepcopy(module)
    for child in module.modules():
        if isinstance(child, nn.ReLU):
            child.inplace = False
    return module


def twin_of(model: Model, layer: str, twin: nn.Module, inputs: Tensor) -> nn.Module:
    """The last module of the twin that returns the layer's very map."""
    found: list[nn.Module] = []

    def compare(child: nn.Module, _given: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.shape == wanted.shape and torch.equal(output, wanted):
            found.append(child)

    with model.borrowed(), model.capture(layer) as maps:
        model.forward(inputs)
    wanted = maps[layer]
    handles = [child.register_forward_hook(compare) for child in twin.modules()]
    with torch.no_grad():
        twin(inputs)
    for handle in handles:
        handle.remove()
    return found[-1]


def relu_for_relu6(module: nn.Module) -> nn.Module:
    for child in list(module.modules()):
        for name, grandchild in child.named_children():
            if isinstance(grandchild, nn.ReLU6):
                setattr(child, name, nn.ReLU(inplace=True))
    return module


class Peers:
    """What Captum makes of the same pictures and classes, reduced to one value a pixel as ours are."""

    def __init__(self, module: nn.Module, inputs: Tensor, targets: Tensor, layer: nn.Module | None) -> None:
        self.module, self.inputs, self.targets, self.layer = module, inputs, targets, layer

    def attribute(self, name: str) -> Tensor:
        work: Callable[[], Tensor] = getattr(self, name.replace("-", "_"))
        return MAPS[name].reduce(work().detach())

    def ask(self, peer: Any, **options: Any) -> Tensor:
        found: Tensor = peer.attribute(self.inputs.clone(), target=self.targets, **options)
        return found

    def gradient(self) -> Tensor:
        return self.ask(attr.Saliency(self.module), abs=False)

    def input_x_gradient(self) -> Tensor:
        return self.ask(attr.InputXGradient(self.module))

    def integrated_gradients(self, baseline: Tensor | float = 0) -> Tensor:
        peer = attr.IntegratedGradients(self.module)
        return self.ask(peer, method="gausslegendre", n_steps=STEPS, baselines=baseline)

    def guided_backprop(self) -> Tensor:
        return self.ask(attr.GuidedBackprop(self.module))

    def deconvnet(self) -> Tensor:
        return self.ask(attr.Deconvolution(self.module))

    def guided_gradcam(self) -> Tensor:
        return self.ask(attr.GuidedGradCam(self.module, self.layer), interpolate_mode="bilinear")

    def smoothgrad(self) -> Tensor:
        return self.tunnel("smoothgrad")

    def vargrad(self) -> Tensor:
        return self.tunnel("vargrad")

    def tunnel(self, kind: str) -> Tensor:
        """Captum's noise is one draw for all pictures with one deviation; here it gets ours, picture by picture."""
        found = []
        for one, target in zip(self.inputs, self.targets, strict=True):
            noise = torch.stack([standard_normal(0, sample, one[None]) for sample in range(SAMPLES)])
            deviation = float(Saliency.noise * (one.max() - one.min()))
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(torch, "normal", lambda mean, std, noise=noise: mean + std * noise)
                peer = attr.NoiseTunnel(attr.Saliency(self.module))
                found.append(
                    peer.attribute(
                        one[None],
                        target=target,
                        nt_type=kind,
                        nt_samples=SAMPLES,
                        stdevs=deviation,
                        abs=False,
                    )
                )
        return torch.cat(found)


class Case:
    """One model with pictures: our maps, all from one call, and the peer."""

    def __init__(self, model: Model, inputs: Tensor, methods: tuple[str, ...], twin: nn.Module) -> None:
        options = {"quadrature": "gauss-legendre", "steps": STEPS, "samples": SAMPLES, "baseline": "mean"}
        noisy = [name for name in methods if name in NOISY]
        others = [name for name in methods if name not in NOISY]
        self.model, self.ours = model, {}
        # Rows that share a forward pass are rounded alike. Where they do not, steps fall on the other side of a
        # rectifier's corner, which moves a map by a few thousandths of its range; in float64 both agree to 1e-7.
        for asked in (noisy, others):
            answer = explained(Saliency(method=tuple(asked), **options), model, inputs)
            self.ours |= {one.method: one for one in answer.maps}
        with torch.no_grad():
            assert torch.equal(twin(inputs), answer.logits), "the peer must be asked the same"
        targets = self.ours["gradient"].index
        cam = self.ours.get("guided-gradcam")
        self.peers = Peers(twin, inputs, targets, twin_of(model, cam.layer, twin, inputs) if cam else None)

    def deviation(self, method: str) -> float:
        return deviation(self.ours[method].values, self.peers.attribute(method))


def deviation(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference as a share of the peer's range, over all pictures."""
    assert ours.shape == theirs.shape
    ranges = theirs.flatten(1).amax(1) - theirs.flatten(1).amin(1)
    assert (ranges > 0).all(), "a constant map shows nothing"
    return float(((ours - theirs).abs().flatten(1).amax(1) / ranges).max())


@pytest.fixture(scope="module", autouse=True)
def rounded_alike() -> Iterator[None]:
    """One thread for us and for the peer, and all rows in one forward pass, as the peer has them."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(streams, "split", lambda rows, *_: [range(rows)])
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def case(request: pytest.FixtureRequest) -> Case:
    size = size_of(request.param)
    module = settle(relu_for_relu6(architecture(request.param)), size)
    torch.manual_seed(1)
    return Case(as_model(module, size), torch.randn(2, 3, *size), tuple(MAPS), with_modules(module))


@pytest.fixture(scope="module")
def bundled() -> Case:
    """The trained model that ships with cnnexplain, on two photographs; but for rules, as its rectifiers are ReLU6."""
    import skimage.data

    model = cnnexplain.load("bundled:efficientnet_lite0", input_size="128").model
    photographs = [Image.fromarray(skimage.data.chelsea()), Image.fromarray(skimage.data.coffee())]
    inputs = model.inputs([model.preprocess.apply(picture)[0] for picture in photographs])
    methods = tuple(name for name in MAPS if MAPS[name].rule == "gradient")
    return Case(model, inputs.contiguous(), methods, copy.deepcopy(model.module))


@pytest.fixture(scope="module")
def bundled_with_relu() -> Case:
    """The bundled weights with ReLU for ReLU6."""
    model = cnnexplain.load("bundled:efficientnet_lite0", input_size="128").model
    module = settle(relu_for_relu6(model.module), (128, 128))
    torch.manual_seed(1)
    inputs = torch.randn(2, 3, 128, 128)
    return Case(as_model(module, (128, 128)), inputs, tuple(MAPS), not_in_place(module))


@pytest.mark.parametrize("method", MAPS)
def test_map_is_captums(case: Case, method: str) -> None:
    assert case.deviation(method) < TOLERANCE


@pytest.mark.parametrize("method", [name for name in MAPS if MAPS[name].rule == "gradient"])
def test_map_of_the_bundled_model_is_captums(bundled: Case, method: str) -> None:
    assert bundled.deviation(method) < TOLERANCE


@pytest.mark.parametrize("method", [name for name in MAPS if MAPS[name].rule != "gradient"])
def test_rules_in_the_bundled_model_with_relu_are_captums(bundled_with_relu: Case, method: str) -> None:
    assert bundled_with_relu.deviation(method) < TOLERANCE


def test_integral_from_black_is_captums(bundled: Case) -> None:
    """The photographs as they are normalised, from what a black pixel becomes."""
    inputs = bundled.peers.inputs
    chosen = bundled.model.preprocess
    black = [-mean / std for mean, std in zip(chosen.mean, chosen.std, strict=True)]
    start = torch.tensor(black)[None, :, None, None].expand_as(inputs)
    theirs = MAPS["integrated-gradients"].reduce(bundled.peers.integrated_gradients(start).detach())
    asked = Saliency(
        method=("integrated-gradients",), quadrature="gauss-legendre", steps=STEPS, baseline="black"
    )
    ours = explained(asked, bundled.model, inputs).maps[0].values
    assert deviation(ours, theirs) < TOLERANCE


def test_peers_differ_from_each_other(case: Case) -> None:
    """The comparison must be able to fail: no peer's map is another's."""
    maps = [case.peers.attribute(name) for name in ("gradient", "guided-backprop", "deconvnet")]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert deviation(maps[one], maps[other]) > 0.01
