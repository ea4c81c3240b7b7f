// The way back from somebody's own image: the latent whose image comes nearest to it.

import { announce } from "./announcer.js";
import { make } from "./dom.js";
import { pointOf } from "./points.js";

/** Finds files in latent space and shows what it found; `open` and `pick` hear points. */
export class Finding {
  #pickers = new Map();
  #picks = [];

  constructor(service, { open, pick }) {
    this.service = service;
    this.open = open;
    this.pick = pick;
  }

  /** Forget what was found. */
  clear() {
    this.#pickers.clear();
  }

  /** Say of what was found whether it is picked. */
  mark(picks) {
    this.#picks = picks;
    for (const [button, point] of this.#pickers) {
      const picked = picks.includes(point);
      button.setAttribute("aria-pressed", String(picked));
      button.textContent = picked ? "Unpick" : "Pick it";
    }
  }

  /** Look for a file, under the class that it is said to show if it is: {point, classId, image, error, before}. */
  async find(model, file, classId) {
    const form = new FormData();
    form.append("model", model.label);
    form.append("include", "image");
    if (classId !== null) form.append("class_id", classId);
    form.append("images", file);
    const { results: [result] } = await this.service.post("invert", form);
    announce(`Found, ${percent(result.error)} away.`);
    return {
      point: pointOf(result.latent, result.class_id),
      classId: result.class_id,
      image: `data:image/png;base64,${result.image}`,
      error: result.error,
      before: result.error_before,
    };
  }

  /** A figure of what was found, and what can be done with it. */
  figure(model, found) {
    const name = model.className(found.classId);
    const picker = make("button", { type: "button", on: { click: () => this.pick(found.point) } });
    this.#pickers.set(picker, found.point);
    this.mark(this.#picks);
    return make("div", { class: "score found" },
      make("img", { src: found.image, alt: `The nearest image that ${model.label} makes` }),
      make("div", {},
        make("p", {}, "The nearest that it makes", name === null ? "" : ", ", name === null ? "" : make("strong", {}, name)),
        make("p", { class: "hint" }, `Mean squared error ${percent(found.error)}, ${percent(found.before)} before the search.`),
        make("div", { class: "actions" },
          make("button", { type: "button", on: { click: () => this.open(found.point) } }, "Open it"), picker)));
  }
}

function percent(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 2 : 0)} %`;
}
