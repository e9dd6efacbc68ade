// Pointers over a stage: one reads or moves the picture, two enlarge it; with the control key the wheel does.

/** @typedef {import("./stage.js").Stage} Stage */
/**
 * @typedef {object} Deeds shares are those of the window, from 0 to 1
 * @property {(across: number, down: number) => void} read
 * @property {() => void} leave
 * @property {(across: number, down: number) => void} move by so much
 * @property {(times: number, across: number, down: number) => void} zoom about a point
 * @property {() => boolean} zoomed
 */

/**
 * @param {Stage} stage
 * @param {Deeds} deeds
 */
export function follow(stage, deeds) {
  /** @type {Map<number, [number, number]>} */
  const down = new Map();
  const { window } = stage;
  window.addEventListener("pointerdown", event => {
    down.set(event.pointerId, stage.shareOf(event));
    if (deeds.zoomed() || down.size > 1) window.setPointerCapture(event.pointerId);
    deeds.read(...stage.shareOf(event));
  });
  window.addEventListener("pointermove", event => {
    const share = stage.shareOf(event);
    const before = down.get(event.pointerId);
    if (before && down.size === 2) pinch(down, event.pointerId, share, deeds);
    else if (before && deeds.zoomed()) deeds.move(before[0] - share[0], before[1] - share[1]);
    if (before) down.set(event.pointerId, share);
    if (down.size < 2) deeds.read(...share);
  });
  for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
    window.addEventListener(name, event => down.delete(event.pointerId));
  }
  window.addEventListener("pointerleave", event => {
    down.delete(event.pointerId);
    if (event.pointerType === "mouse") deeds.leave();
  });
  window.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    deeds.zoom(event.deltaY < 0 ? 1.25 : 0.8, ...stage.shareOf(event));
  }, { passive: false });
  window.addEventListener("dblclick", event => deeds.zoom(2, ...stage.shareOf(event)));
}

/**
 * @param {Map<number, [number, number]>} down
 * @param {number} moved
 * @param {[number, number]} share
 * @param {Deeds} deeds
 */
function pinch(down, moved, share, deeds) {
  const before = /** @type {[number, number]} */ (down.get(moved));
  const [other] = [...down].filter(([pointer]) => pointer !== moved).map(([, place]) => place);
  const apart = Math.hypot(before[0] - other[0], before[1] - other[1]);
  const now = Math.hypot(share[0] - other[0], share[1] - other[1]);
  if (apart > 0.01 && now > 0.01) deeds.zoom(now / apart, (share[0] + other[0]) / 2, (share[1] + other[1]) / 2);
}
