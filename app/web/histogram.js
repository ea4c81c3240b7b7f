// How realness is spread, and where an image stands in it.

import { draw, make } from "./dom.js";

const BINS = 20;
const WIDTH = 320;
const HEIGHT = 96;
const STEP = WIDTH / BINS;

/** What share of `scores` is below `score`. */
export function shareBelow(scores, score) {
  return scores.filter((other) => other < score).length / scores.length;
}

/** A histogram of the wall's `scores` from 0 to 1 with a line for each of `marks`. */
export function histogram(scores, marks) {
  const counts = new Array(BINS).fill(0);
  for (const score of scores) counts[Math.min(BINS - 1, Math.floor(score * BINS))] += 1;
  const median = [...scores].sort((a, b) => a - b)[Math.floor(scores.length / 2)];
  const told = `Realness of this wall’s ${scores.length} images, half of them below ${median.toFixed(2)}`;
  return figure(told, bars(counts, Math.max(...counts)), marks);
}

/** The spread of real and of generated images that were held out, {real, generated, n}, with the same lines. */
export function reference({ real, generated, n }, marks) {
  const most = Math.max(...real, ...generated);
  const middle = (shares) => {
    let sum = 0;
    return ((shares.findIndex((share) => (sum += share) >= 0.5) + 0.5) / BINS).toFixed(2);
  };
  const told = `Realness of ${n.toLocaleString("en")} held-out real images, half of them below ${middle(real)}, and of as many generated ones, half below ${middle(generated)}`;
  const steps = real.map((share, bin) => `H${bin * STEP}V${HEIGHT - (share / most) * (HEIGHT - 12)}H${(bin + 1) * STEP}`).join("");
  return figure(told, [...bars(generated, most), draw("path", { d: `M0 ${HEIGHT}${steps}V${HEIGHT}`, class: "outline" })], marks,
    make("p", { class: "legend" }, make("span", { class: "of-real" }, "real"), make("span", { class: "of-generated" }, "generated")));
}

function bars(heights, most) {
  return heights.map((value, bin) => {
    const height = value === 0 ? 0 : Math.max(2, (value / most) * (HEIGHT - 12));
    return draw("rect", { x: bin * STEP + 1, y: HEIGHT - height, width: STEP - 2, height, rx: 1, class: "bar" });
  });
}

function figure(told, shapes, marks, key = "") {
  const lines = marks.map((mark) => draw("line", { x1: mark * WIDTH, x2: mark * WIDTH, y1: 0, y2: HEIGHT, class: "mark" }));
  return make("figure", { class: "histogram" }, key,
    draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": told },
      draw("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, class: "scale" }), shapes, lines),
    make("p", { class: "ends" }, make("span", {}, "0"), make("span", {}, "realness"), make("span", {}, "1")),
    make("figcaption", {}, `${told}.`));
}
