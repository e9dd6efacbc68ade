// Data in style sheets beside the page: a page from disk may read no other file, and they cannot run anything.

/** Files may set the same property, so they are read in turn. @type {Promise<unknown>} */
let turn = Promise.resolve();

/**
 * What zlib has packed into a property of a style sheet.
 * @param {string} href
 * @param {string} property
 */
export async function sheetBytes(href, property) {
  const text = turn.then(() => propertyOf(href, property));
  turn = text.catch(() => undefined);
  const packed = Uint8Array.from(atob(await text), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * @param {string} href
 * @param {string} property
 * @returns {Promise<string>}
 */
function propertyOf(href, property) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = href;
  return new Promise((resolve, reject) => {
    link.addEventListener("load", () => {
      const value = getComputedStyle(document.documentElement).getPropertyValue(property);
      link.remove();
      resolve(value.trim().slice(1, -1));
    });
    link.addEventListener("error", () => {
      link.remove();
      reject(new Error(`${href} cannot be read`));
    });
    document.head.append(link);
  });
}
