// Images from elsewhere before the discriminator: dropped, chosen or pasted, and compared with the wall.

import { announce } from "./announcer.js";
import { byId, make } from "./dom.js";
import { gauge } from "./gauge.js";
import { histogram, shareBelow } from "./histogram.js";
import { seedsOf } from "./view.js";

const MAX_FILES = 8;
const KINDS = ["image/png", "image/jpeg", "image/webp"];

/** Scores files; `images` gives the wall's images by seed. */
export class Scoring {
  #model = null;
  #results = [];
  #wall = null;
  #wallOf = "";
  #failure = "";

  constructor(service, { images }) {
    this.service = service;
    this.images = images;
    this.card = byId("scoring");
    this.#listen();
  }

  /** Be about this model and this wall. */
  show(model, view) {
    const wallOf = model ? JSON.stringify([model.digest, view.classId, view.truncation, view.wall, view.sheets]) : "";
    if (model?.digest === this.#model?.digest && wallOf === this.#wallOf) return;
    const another = model?.digest !== this.#model?.digest;
    this.#model = model;
    this.view = view;
    this.#wallOf = wallOf;
    this.#wall = null;
    if (another) {
      this.#results = [];
      this.#failure = "";
      this.#build();
    }
    this.#render();
  }

  get #ready() {
    return this.#model?.discriminator === true;
  }

  #build() {
    const title = make("h2", { id: "scoring-title" }, "Score an image");
    if (!this.#model) {
      this.card.replaceChildren();
      return;
    }
    if (!this.#ready) {
      this.card.replaceChildren(title, make("p", { class: "blank", id: "no-discriminator" },
        `${this.#model.label} is served without a discriminator, so nobody here can say how real an image looks. `
        + "A bundle may have none, and GANSERVE_DISCRIMINATOR=off takes it away."));
      return;
    }
    const { classes } = this.#model;
    this.file = make("input", { type: "file", id: "file", class: "file", accept: KINDS.join(","), multiple: true, "aria-describedby": "scoring-hint",
      on: { change: () => { this.#score([...this.file.files]); this.file.value = ""; } } });
    this.shows = classes && make("select", { id: "shows", on: { change: () => this.#again() } },
      make("option", { value: "" }, "not stated"), classes.map((name, id) => make("option", { value: String(id) }, name)));
    this.output = make("div", { class: "scores", id: "scores" });
    this.card.replaceChildren(title,
      make("div", { class: "drop" }, this.file, make("label", { for: "file" }, make("strong", {}, "Choose an image"), make("span", {}, " or drop or paste one"))),
      make("p", { class: "hint", id: "scoring-hint" }, "PNG, JPEG or WebP. It is made to fit, and compares with this model’s own images alone."),
      this.shows ? make("p", { class: "shows" }, make("label", { for: "shows" }, "It shows "), this.shows) : "",
      this.output);
  }

  #listen() {
    const veil = byId("drop-veil");
    const carries = (event) => this.#ready && [...(event.dataTransfer?.types ?? [])].includes("Files");
    addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      veil.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) veil.hidden = true;
    });
    addEventListener("drop", (event) => {
      veil.hidden = true;
      if (!carries(event)) return;
      event.preventDefault();
      this.#score([...event.dataTransfer.files]);
    });
    addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (this.#ready && files.length) this.#score(files);
    });
  }

  get #stated() {
    return this.shows?.value ? Number(this.shows.value) : null;
  }

  #again() {
    this.#wall = null;
    this.#score(this.#results.map((result) => result.file));
  }

  async #score(files) {
    const taken = files.filter((file) => KINDS.includes(file.type)).slice(0, MAX_FILES);
    this.#failure = files.length > 0 && taken.length === 0 ? "That is no PNG, JPEG or WebP." : "";
    if (taken.length === 0) return this.#render();
    const model = this.#model;
    const form = new FormData();
    form.append("model", model.label);
    if (this.#stated !== null) form.append("class_id", this.#stated);
    for (const file of taken) form.append("images", file);
    try {
      const { results } = await this.service.post("discriminate", form);
      if (model !== this.#model) return undefined;
      for (const { url } of this.#results) URL.revokeObjectURL(url);
      this.#results = results.map((result, index) => ({ ...result, file: taken[index], url: URL.createObjectURL(taken[index]) }));
      announce(results.map((result) => `Realness ${result.realness.toFixed(2)}`).join(", "));
      this.#render();
      await this.#compare();
    } catch (error) {
      this.#failure = error.message;
      this.#render();
    }
    return undefined;
  }

  /** Score the wall as the files were scored: what it shows is stated for both or for neither. */
  async #compare() {
    const wallOf = this.#wallOf;
    const images = seedsOf(this.view).map((seed) => this.images(seed)).filter(Boolean);
    const scores = [];
    try {
      for (let from = 0; from < images.length; from += 64) {
        const part = images.slice(from, from + 64);
        const stated = this.#stated !== null && part.every((image) => image.class_id !== null);
        const { results } = await this.service.post("discriminate", {
          model: this.#model.label, images: part.map((image) => image.data),
          ...(stated ? { class_id: part.map((image) => image.class_id) } : {}),
        });
        scores.push(...results.map((result) => result.realness));
      }
    } catch (error) {
      this.#failure = error.message;
    }
    if (wallOf !== this.#wallOf) return;
    this.#wall = scores.length ? scores : null;
    this.#render();
  }

  #render() {
    if (!this.#ready) return;
    const results = this.#results.map((result) => make("li", { class: "score" },
      make("img", { src: result.url, alt: result.file.name || "The pasted image" }),
      make("div", {},
        make("p", {}, "Realness ", make("strong", {}, result.realness.toFixed(2)),
          this.#wall ? `, above ${Math.round(100 * shareBelow(this.#wall, result.realness))} % of this wall` : ""),
        gauge(result.realness),
        result.changes.length ? make("p", { class: "hint" }, `To make it fit: ${result.changes.join(", ")}.`) : null)));
    const compare = make("button", { type: "button", class: "quiet", id: "compare", on: { click: () => this.#compare() } }, "Score this wall");
    this.output.replaceChildren(
      this.#failure ? make("p", { class: "error", role: "alert" }, this.#failure) : "",
      results.length ? make("ul", { class: "results" }, results) : "",
      this.#wall ? histogram(this.#wall, this.#results.map((result) => result.realness)) : compare);
  }
}
