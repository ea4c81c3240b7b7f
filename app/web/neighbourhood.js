// What lies around an image: a map of five by five neighbours on a plane through its latent.

import { make, settled } from "./dom.js";
import { neighbour } from "./latents.js";
import { source } from "./orders.js";
import { rove } from "./roving.js";
import { isAborted } from "./service.js";

const STEPS = [-2, -1, 0, 1, 2];
const CELLS = STEPS.flatMap((dy) => STEPS.map((dx) => ({ dx, dy })));

/** Shows the map; `move` hears {dx, dy}, `change` hears {radius} or {plane}. */
export class Neighbourhood {
  #asking = null;

  constructor(service, { move, change, fail }) {
    this.service = service;
    this.fail = fail;
    this.cells = CELLS.map(({ dx, dy }) => {
      const here = dx === 0 && dy === 0;
      return make("button", {
        type: "button", class: here ? "cell here" : "cell", tabindex: here ? 0 : -1,
        "aria-label": here ? "This image" : `Move ${words(dx, "right", "left")}${dx && dy ? ", " : ""}${words(dy, "down", "up")}`,
        on: { click: () => here || move({ dx, dy }) },
      }, make("img", { alt: "" }));
    });
    this.grid = make("div", { class: "cells", role: "group", "aria-label": "Neighbours" }, this.cells);
    rove(this.grid, ".cell");
    this.radius = make("input", { type: "range", id: "radius", min: 0.1, max: 1.5, step: 0.1 });
    this.radiusValue = make("output", { for: "radius" });
    const pause = settled(() => change({ radius: Number(this.radius.value) }), 150);
    this.radius.addEventListener("input", () => {
      this.radiusValue.textContent = this.radius.value;
      pause();
    });
    this.element = make("section", { class: "explore", "aria-labelledby": "explore-title" },
      make("div", { class: "explore-head" },
        make("h3", { id: "explore-title" }, "Around it"),
        make("button", { type: "button", class: "quiet", id: "other-plane", on: { click: () => change({ plane: this.plane + 1 }) } }, "Other directions")),
      this.grid,
      make("label", { for: "radius", class: "slider" }, "Radius ", this.radiusValue),
      this.radius);
  }

  /** Draw the neighbours of a latent. */
  async show(model, { z, classId, truncation, radius, plane }) {
    this.plane = plane;
    this.radius.value = radius;
    this.radiusValue.textContent = String(radius);
    this.grid.classList.toggle("pixelated", model.pixelated);
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    const latents = CELLS.map(({ dx, dy }) => neighbour(z, model.latent.distribution, { radius, plane, dx, dy }));
    const body = {
      model: model.label, latents, format: model.format,
      ...(classId === null ? {} : { class_id: classId }),
      ...(model.truncation.supported ? { truncation } : {}),
    };
    try {
      const { images } = await this.service.post("generate", body, { signal: asking.signal });
      images.forEach((image, index) => { this.cells[index].firstChild.src = source(image); });
    } catch (error) {
      if (!isAborted(error)) this.fail(error);
    }
  }
}

function words(steps, forward, backward) {
  return steps === 0 ? "" : `${Math.abs(steps)} ${steps > 0 ? forward : backward}`;
}
