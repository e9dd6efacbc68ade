// Colour maps, as cnnexplain/render/kit/colormaps.py has them and says where they are from: a test compares both.

/** 33 colours each, evenly spaced. @type {Record<string, string>} */
const ANCHORS = {
  inferno: `000004 040312 0b0724 150b37 210c4a 2f0a5b 3d0965 4a0c6b 57106e 64156e 71196e
    7d1e6d 8a226a 972766 a32c61 b0315b bc3754 c63d4d d04545 da4e3c e35933 eb6429
    f1711f f67e14 f98c0a fb9b06 fcaa0f fbba1f f9c932 f5d949 f2e865 f3f586 fcffa4`,
  magma: `000004 030312 0a0822 130d34 1d1147 29115a 36106b 440f76 51127c 5d177f 6a1c81
    762181 832681 902a81 9c2e7f aa337d b73779 c23b75 cf4070 db476a e55064 ee5b5e
    f4695c f9785d fb8761 fd9668 fea571 feb47b fec287 fed194 fde0a1 fceeb0 fcfdbf`,
  viridis: `440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d
    2f6b8e 2c728e 297a8e 26828e 23898e 21918c 1f978b 1f9f88 21a685 27ad81 31b57b
    3dbc74 4cc26c 5cc863 6ece58 81d34d 95d840 aadc32 c0df25 d5e21a eae51a fde725`,
  cividis: `00224e 00285b 002e6a 053371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 535a6d
    5a5f6e 61656f 686a71 6f7073 767676 7d7c78 838179 8b8778 928d78 9a9376 a29975
    aaa073 b3a670 bbad6d c3b369 ccba64 d4c15f ddc858 e6d051 efd748 f8df3c fee838`,
  RdBu: `053061 00407b 004f91 125ea3 206db0 267bb7 358abc 4f98c4 6aa9cd 82b9d6 97c7de
    add4e5 c3deec d4e6f1 e2eef5 eef5f9 f7f7f7 fbf2ed fde9dd fdddcb fed1b7 fdc1a1
    f9af8c f39c7b eb8769 e07059 d65c4b ce4741 c43237 b51c2d 9f0726 850022 67001f`,
  PuOr: `4b1d68 54257e 603090 6d3da1 7a4ead 8265b3 8b7ab9 988cc2 a79dcd b5add8 c1bbe0
    ccc9e7 d5d6ec dfe1f1 e8ebf6 f1f4fa f7f7f7 faf3e8 fae9d1 f9deb6 f9d29c f7c37f
    f3b463 eca34a e3902e d77e0d c56e00 b15d00 9d4e00 8a4000 793600 672c00 572500`,
  ember: `a8e6ff 81daff 4dceff 00c1fb 00b2eb 00a4dc 0095cc 0087bd 007aad 006c9e 005f8e
    00527f 0b456c 1b3955 1e2d40 1d222b 181818 2b1f1b 3d261e 502e21 633722 763f23
    884923 9a5321 ac5e1e be6919 cf750f db8418 e79324 f3a230 feb23c ffc469 ffd698`,
};

export const SEQUENTIAL = ["inferno", "magma", "viridis", "cividis"];
export const DIVERGING = ["RdBu", "PuOr", "ember"];
const MIDDLE = 127; // the place of zero in a diverging map

/**
 * The place in the palette of a value, where colours end at `limit`.
 * @param {number} value
 * @param {number} limit
 * @param {boolean} signed
 */
export function placeOf(value, limit, signed) {
  const share = Math.min(1, Math.max(signed ? -1 : 0, value / limit));
  return Math.round(signed ? share * MIDDLE + MIDDLE : share * 255);
}

/**
 * Red, green and blue of 256 places. Of a diverging map the last stands twice.
 * @param {string} name
 * @returns {Uint8Array}
 */
export function palette(name) {
  const words = ANCHORS[name].split(/\s+/);
  const last = DIVERGING.includes(name) ? 2 * MIDDLE : 255;
  const table = new Uint8Array(3 * 256);
  for (let place = 0; place < 256; place++) {
    const stop = Math.min(place / last, 1) * (words.length - 1);
    const before = Math.min(Math.floor(stop), words.length - 2);
    for (let channel = 0; channel < 3; channel++) {
      const [low, high] = [words[before], words[before + 1]]
        .map(word => parseInt(word.slice(2 * channel, 2 * channel + 2), 16));
      table[3 * place + channel] = Math.round(low + (high - low) * (stop - before));
    }
  }
  return table;
}
