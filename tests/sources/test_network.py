"""Without a network: within seconds, in two lines, and from the cache where it can be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch

from cnnexplain.core.loading import ModelOptions
from cnnexplain.errors import ModelError
from cnnexplain.sources import _network, load

CLOSED = "http://127.0.0.1:9"  # nobody listens on discard
OFFLINE_HINTS = ("bundled:efficientnet_lite0", "--weights FILE", "--no-pretrained")


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """A hub that is not there, empty caches, no proxy."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def cache(folder: Path, name: str, files: dict[str, bytes]) -> None:
    """Files as the hub's client keeps them."""
    root = folder / "hub" / f"models--{name.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (root / "snapshots" / commit).mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    for file, content in files.items():
        (root / "snapshots" / commit / file).write_bytes(content)


@pytest.mark.parametrize(
    ("reference", "what"),
    [
        ("timm:resnet50.a1_in1k", "the weights of timm:resnet50.a1_in1k"),
        ("resnet18", "the weights of timm:resnet18"),
        ("hf-hub:timm/resnet18.a1_in1k", "hf-hub:timm/resnet18.a1_in1k"),
        ("torchvision:alexnet", "the weights of torchvision:alexnet.IMAGENET1K_V1"),
    ],
)
def test_what_cannot_be_downloaded_is_said_at_once(reference, what, monkeypatch, capfd):
    reach = _network.unreachable
    monkeypatch.setattr(_network, "unreachable", lambda url: reach(CLOSED))
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(ModelError) as caught:
        load(reference, ModelOptions())
    assert sum(waits) < 5
    assert caught.value.problem.startswith(
        f"{what} could not be downloaded: 127.0.0.1 cannot be reached (Conn"
    )
    # A model on the hub needs the hub even without weights.
    hints = [part for part in OFFLINE_HINTS if not (reference.startswith("hf-hub:") and "pretrained" in part)]
    assert all(part in caught.value.hint for part in hints)
    assert "\n" not in caught.value.problem
    assert capfd.readouterr() == ("", "")
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_a_network_that_swallows_everything(monkeypatch):
    released = threading.Event()

    def hang(*args, **kwargs):
        released.wait(60)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", hang)
    monkeypatch.setattr(_network, "PATIENCE", 0.2)
    start = time.monotonic()
    assert _network.unreachable("https://huggingface.co") == "huggingface.co does not answer"
    assert time.monotonic() - start < 50  # and not as long as it hangs
    released.set()


def test_a_name_that_does_not_resolve():
    assert "cannot be reached" in _network.unreachable("https://nowhere.invalid")


@pytest.mark.parametrize("url", ["http://host:port", "http://", "nonsense", "http://" + "a" * 300])
def test_an_endpoint_that_cannot_be(url):
    assert "cannot be reached" in _network.unreachable(url)


def test_a_server_that_answers_and_a_proxy_that_must():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert _network.unreachable(f"http://127.0.0.1:{server.getsockname()[1]}") is None


def test_behind_a_proxy_nothing_is_probed(monkeypatch):
    monkeypatch.setenv("https_proxy", CLOSED)
    assert _network.unreachable("https://nowhere.invalid") is None


def test_cached_weights_need_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(_network, "unreachable", lambda url: pytest.fail("looks for the network"))
    state = timm.create_model("test_resnet").state_dict()
    state["conv1.0.weight" if "conv1.0.weight" in state else next(iter(state))] += 3
    cache(tmp_path, "timm/test_resnet.r160_in1k", {"model.safetensors": safetensors.torch.save(state)})
    loaded = load("test_resnet", ModelOptions())
    assert all(
        torch.equal(have, want)
        for have, want in zip(loaded.module.state_dict().values(), state.values(), strict=True)
    )
    assert loaded.source == "timm test_resnet.r160_in1k, weights from the Hugging Face hub"
    assert [(choice.setting, choice.value) for choice in loaded.choices] == [
        ("model source", "timm:test_resnet"),
        ("weights", "timm:test_resnet.r160_in1k"),
    ]


def test_trained_weights_for_grey_pictures(tmp_path):
    state = timm.create_model("test_resnet").state_dict()
    cache(tmp_path, "timm/test_resnet.r160_in1k", {"model.safetensors": safetensors.torch.save(state)})
    loaded = load("timm:test_resnet", ModelOptions(input_size="1x64x64"))
    assert loaded.module(torch.zeros(1, 1, 64, 64)).shape == (1, 1000)


CONFIG = (
    b'{"architecture": "test_resnet", "num_classes": 2, "label_names": ["cat", "d\\u001b[31mog"],'
    b' "pretrained_cfg": {"input_size": [3, 64, 64], "crop_pct": 1.0, "interpolation": "bilinear",'
    b' "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "first_conv": "conv1.0", "classifier": "fc", "num_classes": 2}}'
)


def test_a_cached_model_of_the_hub(tmp_path):
    state = timm.create_model("test_resnet", num_classes=2).state_dict()
    cache(tmp_path, "me/mine", {"config.json": CONFIG, "model.safetensors": safetensors.torch.save(state)})
    loaded = load("hf-hub:me/mine", ModelOptions())
    assert loaded.module(torch.zeros(1, 3, 64, 64)).shape == (1, 2)
    assert loaded.labels == ("cat", "d[31mog")  # what a terminal would obey is gone
    assert loaded.preprocess.input_size == (64, 64)
    assert loaded.source == "timm model hf-hub:me/mine, weights from the Hugging Face hub"
    random = load("hf-hub:me/mine", ModelOptions(pretrained=False))
    assert random.source.endswith("random weights (seed 0)")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (b'{"model_type": "vit"}', "is not a timm model"),
        (b"not json", "could not be loaded: JSONDecodeError"),
        (CONFIG.replace(b"test_resnet", b"no_such_net"), "could not be loaded: RuntimeError: Unknown model"),
        (CONFIG.replace(b"bilinear", b"magic"), "could not be loaded: ValueError: unknown interpolation"),
        (CONFIG.replace(b"[3, 64, 64]", b"7"), "could not be loaded"),
    ],
)
def test_repositories_that_hold_something_else(tmp_path, config, problem):
    state = timm.create_model("test_resnet", num_classes=2).state_dict()
    cache(tmp_path, "me/mine", {"config.json": config, "model.safetensors": safetensors.torch.save(state)})
    with pytest.raises(ModelError) as caught:
        load("hf-hub:me/mine", ModelOptions())
    assert problem in caught.value.problem


def test_pickles_of_the_hub_are_weights_only(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "pwned"),))

    torch.save({"a": Evil()}, tmp_path / "evil.bin")
    cache(
        tmp_path,
        "me/mine",
        {"config.json": CONFIG, "pytorch_model.bin": (tmp_path / "evil.bin").read_bytes()},
    )
    with pytest.raises(ModelError):
        load("hf-hub:me/mine", ModelOptions())
    assert not (tmp_path / "pwned").exists()


def test_torchvisions_pickles_are_weights_only(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "pwned"),))

    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save({"a": Evil()}, checkpoints / "squeezenet1_1-b8a52dc0.pth")
    with pytest.raises(ModelError, match="could not be loaded"):
        load("torchvision:squeezenet1_1", ModelOptions())
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["justname", "a/b/c", "owner/", "../etc", "a b/c"])
def test_names_that_are_no_repository(name):
    with pytest.raises(ModelError, match="names no repository"):
        load(f"hf-hub:{name}", ModelOptions())


def test_a_fresh_process_does_not_wait_for_what_is_not_there_and_keeps_stdout_clean(tmp_path):
    """The hub's own retries alone would wait for 46 s."""
    code = (
        "import time\nwaits = []\ntime.sleep = waits.append\n"
        "from cnnexplain.sources import load\nfrom cnnexplain.core.loading import ModelOptions\n"
        "import sys\nassert 'torch' not in sys.modules\n"
        "try:\n    load('resnet50', ModelOptions())\nexcept Exception as error:\n    print(error, file=sys.stderr)\n"
        "assert sum(waits) < 10, waits\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True
    )
    assert done.stdout == ""
    assert done.stderr.startswith("the weights of timm:resnet50 could not be downloaded: 127.0.0.1")
    assert len(done.stderr.splitlines()) == 1
