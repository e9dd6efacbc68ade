"""Class activation maps by their names, what each needs, and what is said of it."""

from __future__ import annotations

import math

from cnnexplain.commands._channel_scores import SCORED
from cnnexplain.core.results import Detail
from cnnexplain.core.words import percent
from cnnexplain.formulas.cam import SIGN_IS_ARBITRARY, Cam, cams, gradcam

FINER = "finercam"  # Grad-CAM of what sets a class apart
CAMS = {**cams(), FINER: Cam(gradcam)}
CLASS_FREE = frozenset(name for name, cam in CAMS.items() if not cam.of_class)
GRADIENT_FREE = CLASS_FREE.union(SCORED)


def is_component(method: str) -> bool:
    """Whether a map has the two sides of a component, whose sign is arbitrary."""
    return method in CAMS and CAMS[method].component


def cam_detail(run_detail: Detail, method: str, share: float | None, goal: str) -> Detail:
    """What is to be known of a map, beside what is of every map of its run: its share among parallel branches."""
    facts, remarks = dict(run_detail.facts), run_detail.remarks
    if share is not None and math.isnan(share):
        remarks = (f"One of several branches; in none of them does anything count for {goal}.", *remarks)
    elif share is not None:
        facts["share"] = round(share, 4)
        remarks = (
            f"One of several branches: {percent(share)} of what counts for {goal} (|gradient x map|) is here.",
            *remarks,
        )
    if is_component(method):
        remarks = (*remarks, SIGN_IS_ARBITRARY)
    return Detail(facts, remarks)
