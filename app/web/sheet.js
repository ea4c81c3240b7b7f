// The contact sheet: strips of frames, one per seed, developed as the service hands them over.

import { announce } from "./announcer.js";
import { byId, draw, make } from "./dom.js";
import { orderOf, orderOfSeeds, source } from "./orders.js";
import { rove } from "./roving.js";
import { isAborted } from "./service.js";
import { seedsOf } from "./view.js";

const BATCH = 16;

/** Shows the wall; `open` and `pick` hear seeds. */
export class Sheet {
  #drawn = "";
  #tiles = new Map();
  #fetching = null;

  constructor(service, { open, pick }) {
    this.service = service;
    this.list = byId("sheet");
    this.list.addEventListener("click", (event) => {
      const tile = event.target.closest("li");
      if (!tile) return;
      const seed = Number(tile.dataset.seed);
      if (event.target.closest(".pick") || event.shiftKey || event.ctrlKey || event.metaKey) pick(seed);
      else if (event.target.closest(".frame")) open(seed);
    });
    this.list.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "p" || event.ctrlKey || event.metaKey || event.altKey) return;
      const tile = event.target.closest("li");
      if (tile) pick(Number(tile.dataset.seed));
    });
    // The mark of the frame that has the tab stop comes right after it.
    this.settle = rove(this.list, ".frame", (frame) => {
      for (const mark of this.list.querySelectorAll(".pick[tabindex='0']")) mark.tabIndex = -1;
      frame.nextElementSibling.tabIndex = 0;
    });
  }

  /** The image of a seed, if it is here: {seed, class_id, format, data}. */
  image(seed) {
    return this.#tiles.get(seed)?.image ?? null;
  }

  /** Draw the view's wall. What is there already stays until its successor has come. */
  async show(model, view) {
    this.mark(view);
    const seeds = seedsOf(view);
    byId("range").textContent = `seeds ${seeds[0]} – ${seeds.at(-1)}`;
    const drawn = JSON.stringify(orderOf(model, view));
    const same = drawn === this.#drawn;
    this.#drawn = drawn;
    this.#lay(seeds, model);
    this.mark(view);
    const missing = same ? seeds.filter((seed) => this.image(seed) === null) : seeds;
    if (!same) for (const tile of this.#tiles.values()) tile.image = null;
    if (same && missing.length === 0) return;
    this.#fetching?.abort();
    const fetching = new AbortController();
    this.#fetching = fetching;
    this.list.setAttribute("aria-busy", "true");
    const batches = [];
    for (let from = 0; from < missing.length; from += BATCH) batches.push(missing.slice(from, from + BATCH));
    try {
      await Promise.all(batches.map((batch) => this.#develop(model, view, batch, fetching.signal)));
      announce(`${missing.length} images drawn.`);
    } catch (error) {
      if (isAborted(error)) return;
      fetching.abort();
      throw error;
    }
    this.list.removeAttribute("aria-busy");
  }

  /** Ring the picked frames and outline the open one. */
  mark(view) {
    for (const [seed, { item }] of this.#tiles) {
      const picked = view.picks.includes(seed);
      item.classList.toggle("picked", picked);
      item.querySelector(".pick").setAttribute("aria-pressed", String(picked));
      const open = view.open === seed && view.moves.length === 0;
      if (open) item.querySelector(".frame").setAttribute("aria-current", "true");
      else item.querySelector(".frame").removeAttribute("aria-current");
    }
  }

  /** Take everything off the table. */
  clear() {
    this.#fetching?.abort();
    this.#tiles.clear();
    this.#drawn = "";
    this.list.replaceChildren();
    byId("range").textContent = "";
  }

  #lay(seeds, model) {
    const wanted = new Set(seeds);
    for (const [seed, { item }] of this.#tiles) {
      if (wanted.has(seed)) continue;
      item.remove();
      this.#tiles.delete(seed);
    }
    this.list.classList.toggle("pixelated", model.pixelated);
    seeds.forEach((seed, index) => {
      if (!this.#tiles.has(seed)) this.#tiles.set(seed, { item: blank(seed), image: null });
      const { item } = this.#tiles.get(seed);
      item.querySelector("img").width = model.image.width;
      item.querySelector("img").height = model.image.height;
      // An element that is moved loses the focus.
      if (this.list.children[index] !== item) this.list.insertBefore(item, this.list.children[index] ?? null);
    });
    this.settle();
  }

  async #develop(model, view, seeds, signal) {
    const { images } = await this.service.post("generate", { ...orderOfSeeds(model, view, seeds), format: model.format }, { signal });
    for (const image of images) {
      const tile = this.#tiles.get(image.seed);
      if (!tile || signal.aborted) continue;
      tile.image = image;
      const name = model.className(image.class_id);
      const picture = tile.item.querySelector("img");
      picture.src = source(image);
      picture.alt = name === null ? `Seed ${image.seed}` : `Seed ${image.seed}, ${name}`;
      tile.item.querySelector(".kind").textContent = name ?? "";
      tile.item.classList.add("developed");
    }
  }
}

function blank(seed) {
  return make("li", { class: "tile", "data-seed": seed },
    make("button", { type: "button", class: "frame", tabindex: -1 }, make("img", { alt: `Seed ${seed}, not here yet` })),
    make("button", { type: "button", class: "pick", tabindex: -1, "aria-pressed": "false", "aria-label": `Pick seed ${seed}` }),
    make("p", { class: "edge" }, make("span", { class: "number" }, String(seed)), make("span", { class: "kind" })),
    ring());
}

/** A ring as a grease pencil draws it, not quite closed. */
function ring() {
  return draw("svg", { class: "ring", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("path", { d: "M22 13C45 1 84 6 93 34c8 27-10 58-42 61C21 98 2 76 6 46 9 24 26 8 55 7c9 0 18 2 24 7", pathLength: 100 }));
}
