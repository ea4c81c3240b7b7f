// Images from elsewhere: scored by the discriminator beside the wall, and found in latent space by the encoder.

import { announce } from "./announcer.js";
import { byId, make } from "./dom.js";
import { gauge } from "./gauge.js";
import { histogram, reference, shareBelow } from "./histogram.js";
import { Intake } from "./intake.js";
import { seedsOf } from "./view.js";

/** Takes files; `images` gives the wall's images by seed, `finding` finds files in latent space. */
export class Scoring {
  #model = null;
  #results = [];
  #wall = null;
  #wallOf = "";
  #failure = "";

  constructor(service, { images, finding }) {
    this.service = service;
    this.images = images;
    this.finding = finding;
    this.card = byId("scoring");
    this.intake = new Intake({
      ready: () => this.#scores || this.#finds,
      take: (files, came) => {
        this.#failure = came > 0 && files.length === 0 ? "That is no PNG, JPEG or WebP." : "";
        if (files.length) this.#score(files);
        else this.#render();
      },
    });
  }

  /** Be about this model and this wall. */
  show(model, view) {
    this.finding.mark(view.picks);
    const wallOf = model ? JSON.stringify([model.digest, view.classId, view.truncation, view.wall, view.sheets]) : "";
    if (model?.digest === this.#model?.digest && wallOf === this.#wallOf) return;
    const another = model?.digest !== this.#model?.digest;
    this.#model = model;
    this.view = view;
    this.#wallOf = wallOf;
    this.#wall = null;
    if (another) {
      this.#keep([]);
      this.#failure = "";
      this.#build();
    }
    this.#render();
  }

  get #scores() {
    return this.#model?.discriminator === true;
  }

  get #finds() {
    return this.#model?.encoder === true;
  }

  #build() {
    if (!this.#model) {
      this.card.replaceChildren();
      return;
    }
    const title = make("h2", { id: "scoring-title" }, "Your own image");
    const without = this.#scores ? "" : make("p", { class: "blank", id: "no-discriminator" },
      `${this.#model.label} is served without a discriminator, so nobody here can say how real an image looks. `
      + "A bundle may have none, and GANSERVE_DISCRIMINATOR=off takes it away.");
    if (!this.#scores && !this.#finds) {
      this.card.replaceChildren(title, without);
      return;
    }
    const { classes } = this.#model;
    const does = [this.#scores ? "compares with this model’s own images alone" : null, this.#finds ? "can be walked from once it is found" : null];
    this.shows = classes && make("select", { id: "shows", on: { change: () => this.#again() } },
      make("option", { value: "" }, "not stated"), classes.map((name, id) => make("option", { value: String(id) }, name)));
    this.output = make("div", { class: "scores", id: "scores" });
    this.card.replaceChildren(title, without, this.intake.field("scoring-hint"),
      make("p", { class: "hint", id: "scoring-hint" }, `PNG, JPEG or WebP. It is made to fit, ${does.filter(Boolean).join(", and ")}.`),
      this.shows ? make("p", { class: "shows" }, make("label", { for: "shows" }, "It shows "), this.shows) : "",
      this.output);
  }

  get #stated() {
    return this.shows?.value ? Number(this.shows.value) : null;
  }

  #again() {
    this.#wall = null;
    if (this.#results.length) this.#score(this.#results.map((result) => result.file));
    else this.#render();
  }

  async #score(files) {
    const model = this.#model;
    try {
      const scored = this.#scores ? await this.#ask(files) : files.map(() => ({}));
      if (model !== this.#model) return;
      this.#keep(scored.map((result, index) => ({ ...result, file: files[index], url: URL.createObjectURL(files[index]), found: null })));
      if (this.#scores) announce(scored.map((result) => `Realness ${result.realness.toFixed(2)}`).join(", "));
      this.#render();
      if (this.#scores) await this.#compare();
    } catch (error) {
      this.#failure = error.message;
      this.#render();
    }
  }

  /** Have these results in place of the ones before. */
  #keep(results) {
    for (const { url } of this.#results) URL.revokeObjectURL(url);
    this.finding.clear();
    this.#results = results;
  }

  async #ask(files) {
    const form = new FormData();
    form.append("model", this.#model.label);
    if (this.#stated !== null) form.append("class_id", this.#stated);
    for (const file of files) form.append("images", file);
    return (await this.service.post("discriminate", form)).results;
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

  async #find(result) {
    const model = this.#model;
    result.searching = true;
    this.#render();
    try {
      result.found = this.finding.figure(model, await this.finding.find(model, result.file, this.#stated));
    } catch (error) {
      this.#failure = error.message;
    }
    result.searching = false;
    if (model === this.#model) this.#render();
  }

  #render() {
    if (!this.#scores && !this.#finds) return;
    const marks = this.#results.map((result) => result.realness);
    // The held-out images were scored without stating what they show.
    const known = this.#stated === null ? this.#model.calibration?.scores : null;
    const compare = make("button", { type: "button", class: "quiet", id: "compare", on: { click: () => this.#compare() } }, "Score this wall");
    this.output.replaceChildren(
      this.#failure ? make("p", { class: "error", role: "alert" }, this.#failure) : "",
      this.#results.length ? make("ul", { class: "results" }, this.#results.map((result) => make("li", {}, this.#row(result), result.found ?? ""))) : "",
      this.#scores && known ? reference(known, marks) : "",
      this.#scores ? (this.#wall ? histogram(this.#wall, marks) : compare) : "");
  }

  #row(result) {
    const of = this.#wall ? `, above ${Math.round(100 * shareBelow(this.#wall, result.realness))} % of this wall` : "";
    return make("div", { class: "score" },
      make("img", { src: result.url, alt: result.file.name || "The pasted image" }),
      make("div", {},
        this.#scores ? make("p", {}, "Realness ", make("strong", {}, result.realness.toFixed(2)), of) : "",
        this.#scores ? gauge(result.realness) : "",
        result.changes?.length ? make("p", { class: "hint" }, `To make it fit: ${result.changes.join(", ")}.`) : "",
        this.#finds && !result.found ? make("button", { type: "button", disabled: result.searching === true, on: { click: () => this.#find(result) } },
          result.searching ? "Looking…" : "Find it in latent space") : ""));
  }
}
