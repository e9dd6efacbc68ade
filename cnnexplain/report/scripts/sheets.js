// Data in style sheets beside the page: a page from disk may read no other file, and they cannot run anything.

/** Files may set the same property, so they are read in turn. @type {Promise<unknown>} */
let turn = Promise.resolve();

/**
 * What zlib has packed into a property of a style sheet, in base64.
 * @param {string} href
 * @param {string} property
 */
export async function sheetBytes(href, property) {
  const [text] = await sheetTexts(href, property);
  return inflated(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)));
}

/**
 * What zlib has packed.
 * @param {Uint8Array<ArrayBuffer>} packed
 */
export async function inflated(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * The texts in a property of a style sheet; where its name ends in a hyphen, in all that are numbered from 0.
 * @param {string} href
 * @param {string} property
 * @returns {Promise<string[]>}
 */
export function sheetTexts(href, property) {
  const texts = turn.then(() => loaded(href, property));
  turn = texts.catch(() => undefined);
  return texts;
}

/**
 * @param {string} href
 * @param {string} property
 * @returns {Promise<string[]>}
 */
function loaded(href, property) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = href;
  return new Promise((resolve, reject) => {
    link.addEventListener("load", () => {
      const texts = [...textsOf(property)];
      link.remove();
      resolve(texts);
    });
    link.addEventListener("error", () => {
      link.remove();
      reject(new Error(`${href} cannot be read`));
    });
    document.head.append(link);
  });
}

/**
 * @param {string} property
 * @returns {Generator<string, void>}
 */
function* textsOf(property) {
  const style = getComputedStyle(document.documentElement);
  const several = property.endsWith("-");
  for (let number = 0; ; number++) {
    const text = style.getPropertyValue(several ? property + number : property).trim();
    if (text) yield text.slice(1, -1);
    if (!text || !several) return;
  }
}
