// Where everything of a graph's drawing stands, as cnnexplain/core/graph/place.py has it: the same sums, once more,
// because a block may be opened where there is no Python.

/** @typedef {{kind: string, item: number, source: number}} Element */
/** @typedef {{elements: Element[], rows: number[][], lines: number[][]}} Arrangement */
/** @typedef {{layer: number[], function: number[], line: number, across: number, down: number, padding: number,
 *   header: number, gutter: number, tall: number, aspect: number, lower: number, sweeps: number}} Sizes */
/** @typedef {{arrangement: Arrangement, sizes: number[][], x: number[], y: number[], rowOf: number[], tops: number[],
 *   heights: number[], columns: number[], gutters: number[], width: number, height: number}} Block */
/** @typedef {{item: number, x: number, y: number, width: number, height: number, open: boolean}} Box */
/** @typedef {{points: number[][], arrow: boolean}} Way */

/** @param {number[]} values */
const sum = values => values.reduce((before, value) => before + value, 0);

/**
 * Place boxes and lines for the blocks that are open.
 * @param {{functions: boolean[], blocks: Map<number, Arrangement>, sizes: Sizes}} graph
 * @param {Set<number>} opened
 */
export function placedGraph(graph, opened) {
  const S = graph.sizes;
  /** @type {Map<number, Block>} */
  const blocks = new Map();

  /** @param {number} width */
  const weight = width => (width === S.line ? 1 : 4);

  /** How far from the middle of an element a line leaves or enters it.
   * @param {Arrangement} arrangement @param {number[][]} sizes @param {number} at @param {number} source
   * @param {string} kind */
  const port = (arrangement, sizes, at, source, kind) => {
    const inner = blocks.get(arrangement.elements[at].item);
    if (!inner) return 0;
    const place = inner.arrangement.elements.findIndex(other => other.kind === kind && other.source === source);
    return S.padding + inner.x[place] - sizes[at][0] / 2;
  };

  /** @param {number[]} row @param {number[]} widths @param {number[]} wanted @param {number[]} x */
  const spread = (row, widths, wanted, x) => {
    const offsets = [0];
    for (let at = 1; at < row.length; at++) {
      offsets.push(offsets[at - 1] + (widths[row[at - 1]] + widths[row[at]]) / 2 + S.across);
    }
    /** @type {number[][]} */
    const pools = [];
    row.forEach((place, at) => {
      pools.push([wanted[place] - offsets[at], weight(widths[place]), 1]);
      while (pools.length > 1 && pools[pools.length - 2][0] > pools[pools.length - 1][0]) {
        const [mean, heavy, count] = /** @type {number[]} */ (pools.pop());
        const last = pools[pools.length - 1];
        last[0] = (last[0] * last[1] + mean * heavy) / (last[1] + heavy);
        last[1] += heavy;
        last[2] += count;
      }
    });
    let at = 0;
    for (const [mean, , count] of pools) {
      for (let nth = 0; nth < count; nth++, at++) x[row[at]] = mean + offsets[at];
    }
  };

  /** @param {number[][]} rows @param {number[]} widths @param {number[][]} lines */
  const across = (rows, widths, lines) => {
    /** @type {number[][][]} */
    const above = widths.map(() => []);
    /** @type {number[][][]} */
    const below = widths.map(() => []);
    for (const [start, end, shift] of lines) {
      above[end].push([start, shift]);
      below[start].push([end, -shift]);
    }
    const x = widths.map(() => 0);
    for (const row of rows) spread(row, widths, x, x);
    for (let sweep = 0; sweep < S.sweeps; sweep++) {
      const joined = sweep % 2 ? below : above;
      for (const row of sweep % 2 ? [...rows].reverse() : rows) {
        const wanted = [...x];
        for (const place of row) {
          const heavy = sum(joined[place].map(([other]) => weight(widths[other])));
          if (heavy) {
            wanted[place] = sum(joined[place].map(([other, shift]) => weight(widths[other]) * (x[other] + shift))) / heavy;
          }
        }
        spread(row, widths, wanted, x);
      }
    }
    return x;
  };

  /** @param {number[]} heights @param {number[]} gaps @param {boolean[]} single @param {number} limit */
  const filled = (heights, gaps, single, limit) => {
    const columns = [0];
    let height = heights[0], highest = 0;
    for (let at = 1; at < heights.length;) {
      let end = at + 1;
      while (end < heights.length && !(single[end] && heights[end])) end++;
      const part = sum(heights.slice(at, end)) + sum(gaps.slice(at, end));
      const fresh = single[at] && heights[at] > 0 && height > 0 && height > limit - part;
      const column = columns[columns.length - 1] + (fresh ? 1 : 0);
      for (; at < end; at++) columns.push(column);
      height = fresh ? part : height + part;
      highest = Math.max(highest, height);
    }
    return {columns, highest};
  };

  /** @param {number[]} heights @param {number[]} gaps @param {boolean[]} single @param {number} width */
  const inColumns = (heights, gaps, single, width) => {
    const all = sum(heights) + sum(gaps);
    const even = Math.sqrt(S.aspect * all / Math.max(width, S.layer[0]));
    const wanted = all > S.tall ? Math.round(even) : 1;
    for (let limit = all / wanted; ; limit *= 1.05) {
      const {columns, highest} = filled(heights, gaps, single, limit);
      if (highest > S.lower * all) return heights.map(() => 0);
      if (columns[columns.length - 1] < wanted) return columns;
    }
  };

  /** @param {Arrangement} arrangement @returns {Block} */
  const measured = arrangement => {
    const {elements, rows, lines} = arrangement;
    const sizes = elements.map(element => {
      if (element.kind !== "item") return [S.line, 0];
      const block = blocks.get(element.item);
      if (block) return [block.width + 2 * S.padding, block.height + S.header + S.padding];
      return graph.functions[element.item] ? S.function : S.layer;
    });
    const ports = lines.map(([start, end, source]) => [start, end,
      port(arrangement, sizes, start, source, "leaves") - port(arrangement, sizes, end, source, "enters")]);
    const middles = across(rows, sizes.map(size => size[0]), ports);
    const heights = rows.map(row => Math.max(...row.map(place => sizes[place][1])));
    /** @type {number[]} */
    const rowOf = [];
    rows.forEach((row, at) => row.forEach(place => (rowOf[place] = at)));
    const widest = rows.map(() => 0);
    /** @type {Set<string>[]} */
    const crossing = rows.map(() => new Set());
    for (const [start, end, shift] of ports) {
      const lower = rowOf[end];
      widest[lower] = Math.max(widest[lower], Math.abs(middles[start] + shift - middles[end]));
      crossing[lower].add(`${start} ${end}`);
    }
    const gaps = widest.map((wide, row) => (row ? S.down + Math.min(40, wide / 10) : 0));
    const left = rows.map(row => Math.min(...row.map(place => middles[place] - sizes[place][0] / 2)));
    const right = rows.map(row => Math.max(...row.map(place => middles[place] + sizes[place][0] / 2)));
    const columns = inColumns(heights, gaps, crossing.map(ends => ends.size === 1), Math.max(...right) - Math.min(...left));
    const [tops, shifts, gutters] = /** @type {number[][]} */ ([[], [], []]);
    let edge = 0, height = 0, down = 0, move = 0;
    const several = columns[columns.length - 1] > 0;
    columns.forEach((column, row) => {
      if (row === 0 || column !== columns[row - 1]) {
        const ofColumn = columns.flatMap((other, at) => (other === column ? [at] : []));
        const first = Math.min(...ofColumn.map(at => left[at]));
        const begin = column ? edge + S.gutter : 0;
        edge = begin + Math.max(...ofColumn.map(at => right[at])) - first;
        gutters.push(edge);
        move = begin - first;
        down = several ? S.down : 0;
      } else {
        down += gaps[row];
      }
      tops.push(down);
      shifts.push(move);
      down += heights[row];
      height = Math.max(height, down);
    });
    return {
      arrangement, sizes, rowOf, tops, heights, columns, gutters, width: edge, height: height + (several ? S.down : 0),
      x: middles.map((middle, place) => middle + shifts[rowOf[place]]),
      y: sizes.map((size, place) => tops[rowOf[place]] + (heights[rowOf[place]] - size[1]) / 2),
    };
  };

  /** @type {Box[]} */
  const boxes = [];
  /** @type {Way[]} */
  const ways = [];
  /** @param {number} at @param {number} left @param {number} top */
  const draw = (at, left, top) => {
    const block = /** @type {Block} */ (blocks.get(at));
    const {arrangement, sizes, x, y, rowOf, tops, heights, columns} = block;
    arrangement.elements.forEach((element, place) => {
      if (element.kind !== "item") return;
      const [width, height] = sizes[place];
      const open = blocks.has(element.item);
      const corner = [left + x[place] - width / 2, top + y[place]];
      boxes.push({item: element.item, x: corner[0], y: corner[1], width, height, open});
      if (open) draw(element.item, corner[0] + S.padding, corner[1] + S.header);
    });
    for (const [start, end, source] of arrangement.lines) {
      const [from, to] = [arrangement.elements[start].kind, arrangement.elements[end].kind];
      const x0 = x[start] + port(arrangement, sizes, start, source, "leaves");
      const x1 = x[end] + port(arrangement, sizes, end, source, "enters");
      const [above, below] = [rowOf[start], rowOf[end]];
      const begin = from === "enters" ? 0 : from === "passes" ? tops[above] : y[start] + sizes[start][1];
      const finish = to === "leaves" ? block.height + S.padding : to === "passes" ? tops[below] : y[end];
      let points = [[x0, begin], [x0, tops[above] + heights[above]], [x1, tops[below]], [x1, finish]];
      if (columns[above] !== columns[below]) {
        const gutter = block.gutters[columns[above]] + S.gutter / 2;
        points = [[x0, begin], [x0, block.height], [gutter, block.height], [gutter, 0], [x1, 0], [x1, finish]];
      }
      ways.push({points: points.map(([px, py]) => [left + px, top + py]), arrow: to === "item"});
    }
  };

  // Inner blocks come later than those around them.
  for (const item of [...opened].sort((a, b) => b - a)) {
    blocks.set(item, measured(/** @type {Arrangement} */ (graph.blocks.get(item))));
  }
  draw(0, 0, 0);
  const whole = /** @type {Block} */ (blocks.get(0));
  return {width: whole.width, height: whole.height, boxes, ways};
}
