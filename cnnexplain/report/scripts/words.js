// Numbers as the rest of the page writes them.

/**
 * Three digits with a true minus sign, as Python's `.3g` writes them: −0.0213.
 * @param {number} value
 * @returns {string}
 */
export function number(value) {
  if (value === 0) return "0";
  const [digits, exponent] = value.toExponential(2).split("e");
  const power = Number(exponent);
  const plain = power >= -4 && power < 3;
  const text = plain ? trimmed(value.toFixed(2 - power)) : `${trimmed(digits)}e${sign(power)}`;
  return text.replace("-", "−");
}

/** @param {string} digits */
function trimmed(digits) {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}

/** @param {number} power */
function sign(power) {
  return (power < 0 ? "-" : "+") + String(Math.abs(power)).padStart(2, "0");
}
