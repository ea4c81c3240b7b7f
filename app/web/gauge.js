// A realness, as a mark on a line from generated to real.

import { draw, make } from "./dom.js";

/** The gauge of a realness from 0 to 1. */
export function gauge(realness) {
  const at = 4 + 192 * realness;
  return make("div", { class: "gauge" },
    draw("svg", { viewBox: "0 0 200 14", role: "img", "aria-label": `Realness ${realness.toFixed(2)} of 1` },
      draw("line", { x1: 4, x2: 196, y1: 7, y2: 7, class: "scale" }),
      [0.25, 0.5, 0.75].map((tick) => draw("line", { x1: 4 + 192 * tick, x2: 4 + 192 * tick, y1: 4, y2: 10, class: "scale" })),
      draw("circle", { cx: at, cy: 7, r: 5, class: "mark" })),
    make("p", { class: "ends" }, make("span", {}, "looks generated"), make("span", {}, "looks real")));
}
