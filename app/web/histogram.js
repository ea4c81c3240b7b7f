// How the realness of generated images is spread, and where others stand among them.

import { draw, make } from "./dom.js";

const BINS = 20;
const WIDTH = 320;
const HEIGHT = 96;

/** What share of `scores` is below `score`. */
export function shareBelow(scores, score) {
  return scores.filter((other) => other < score).length / scores.length;
}

/** A histogram of `scores` from 0 to 1 with a line for each of `marks`. */
export function histogram(scores, marks) {
  const counts = new Array(BINS).fill(0);
  for (const score of scores) counts[Math.min(BINS - 1, Math.floor(score * BINS))] += 1;
  const most = Math.max(...counts);
  const step = WIDTH / BINS;
  const bars = counts.map((count, bin) => {
    const height = count === 0 ? 0 : Math.max(2, (count / most) * (HEIGHT - 12));
    return draw("rect", { x: bin * step + 1, y: HEIGHT - height, width: step - 2, height, rx: 1, class: "bar" });
  });
  const lines = marks.map((mark) => draw("line", { x1: mark * WIDTH, x2: mark * WIDTH, y1: 0, y2: HEIGHT, class: "mark" }));
  const median = [...scores].sort((a, b) => a - b)[Math.floor(scores.length / 2)];
  const told = `Realness of ${scores.length} generated images, half of them below ${median.toFixed(2)}`;
  return make("figure", { class: "histogram" },
    draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": told },
      draw("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, class: "scale" }), bars, lines),
    make("p", { class: "ends" }, make("span", {}, "0"), make("span", {}, "realness"), make("span", {}, "1")),
    make("figcaption", {}, `${told}.`));
}
