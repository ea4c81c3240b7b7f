// A walk from pick to pick: frames to scrub through, and the same walk as a file.

import { announce } from "./announcer.js";
import { byId, make, save, settled } from "./dom.js";
import { Film, parseNpy } from "./frames.js";
import { drawPoints, orderOf, orderOfPoints, source } from "./orders.js";
import { nameOf } from "./points.js";
import { isAborted } from "./service.js";

const STEPS = 30;
const FPS = 30;
// What a service takes unless it is set otherwise.
const MAX_FRAMES = 512;
const MAX_PIXELS = 32 * 2 ** 20;
const EXPORT_SIDE = 256;

/** Shows the picks and the walk past them; `unpick` hears a point, `clear` nothing, `fail` an error. */
export class Walk {
  #asking = null;
  #shown = "";
  #points = [];
  #drawn = [];
  #film = null;
  #playing = 0;

  constructor(service, { unpick, clear, fail }) {
    this.service = service;
    this.unpick = unpick;
    this.fail = fail;
    this.element = byId("walk");
    this.element.append(this.#build(clear));
    this.refresh = settled(() => this.#load(), 120);
  }

  #build(clear) {
    const part = (name, tag, attributes = {}, ...children) => (this[name] = make(tag, attributes, ...children));
    const again = { change: () => this.#load() };
    return make("div", { class: "walk-body" },
      make("div", { class: "walk-picks" },
        make("h2", { id: "walk-title" }, "Walk"),
        part("thumbs", "ol", { class: "thumbs", "aria-label": "Picks, in order" }),
        make("button", { type: "button", class: "quiet", id: "clear-picks", on: { click: clear } }, "Clear")),
      part("hint", "p", { class: "hint" }, "Pick another frame to walk between them."),
      part("stage", "div", { class: "stage", hidden: true },
        part("canvas", "canvas", { class: "screen", role: "img", "aria-label": "The frame of the walk under the slider" }),
        make("div", { class: "transport" },
          make("div", { class: "scrub" },
            part("player", "button", { type: "button", class: "primary play", id: "play", on: { click: () => this.#toggle() } }, "Play"),
            part("scrubber", "input", { type: "range", id: "scrub", min: 0, max: 1, value: 0, "aria-label": "Position in the walk",
              on: { input: () => { this.#stop(); this.#draw(); } } }),
            part("counter", "output", { for: "scrub" })),
          make("div", { class: "options" },
            make("label", { class: "check" }, part("loop", "input", { type: "checkbox", id: "loop", on: again }), "Back to the start"),
            make("label", { class: "check" }, part("smooth", "input", { type: "checkbox", id: "smooth", on: again }), "Linger at picks"),
            make("span", { class: "export" },
              make("label", { for: "format" }, "Export"),
              part("format", "select", { id: "format" }, ["webp", "gif", "apng"].map((name) => make("option", { value: name }, name))),
              part("exporter", "button", { type: "button", id: "export", on: { click: () => this.#export() } }, "Save"))))));
  }

  /** Show the picks of the view, and load their walk once they have settled. */
  show(model, view) {
    this.model = model;
    this.view = view;
    const any = view.picks.length > 0 && model !== null;
    this.element.hidden = !any;
    document.body.classList.toggle("walking", any);
    const shown = any ? JSON.stringify([orderOf(model, view), view.picks]) : "";
    if (shown === this.#shown) return;
    this.#shown = shown;
    if (any) this.refresh();
    else this.#stop();
  }

  #order() {
    const points = this.#points;
    const { width, height } = this.model.image;
    const segments = this.loop.checked ? points.length : points.length - 1;
    const frames = Math.min(MAX_FRAMES, Math.floor(MAX_PIXELS / (width * height)));
    return {
      ...orderOfPoints(this.model, this.view, points, this.#drawn),
      steps: Math.max(1, Math.min(STEPS, Math.floor((frames - 1) / segments))),
      loop: this.loop.checked,
      easing: this.smooth.checked ? "smooth" : "linear",
    };
  }

  async #load() {
    const { model, view } = this;
    if (!this.#shown) return;
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    const { signal } = asking;
    const walkable = view.picks.length > 1;
    this.hint.hidden = walkable;
    if (!walkable) {
      this.#stop();
      this.stage.hidden = true;
    }
    try {
      this.#drawn = await drawPoints(this.service, model, view, view.picks, { signal });
      this.#points = view.picks;
      this.#line();
      if (!walkable) return;
      const film = await this.service.post("interpolate", this.#order(), { accept: "application/x-npy", signal });
      this.#film = new Film(parseNpy(await film.arrayBuffer()));
      this.scrubber.max = this.#film.count - 1;
      this.canvas.classList.toggle("pixelated", model.pixelated);
      this.stage.hidden = false;
      this.#draw();
      announce(`A walk of ${this.#film.count} frames past ${view.picks.length} picks.`);
    } catch (error) {
      if (isAborted(error)) return;
      asking.abort();
      this.fail(error);
    }
  }

  #line() {
    this.thumbs.replaceChildren(...this.#points.map((point, index) =>
      make("li", {}, make("button", { type: "button", "aria-label": `Unpick ${nameOf(point)}`, title: `Unpick ${nameOf(point)}`, on: { click: () => this.unpick(point) } },
        make("img", { src: source(this.#drawn[index]), alt: "", class: this.model.pixelated ? "pixelated" : null })))));
  }

  #draw() {
    const frame = Number(this.scrubber.value);
    this.#film.show(this.canvas, frame);
    this.counter.textContent = `${frame + 1} / ${this.#film.count}`;
    this.scrubber.setAttribute("aria-valuetext", `frame ${frame + 1} of ${this.#film.count}`);
  }

  #toggle() {
    if (this.#playing) this.#stop();
    else this.#play();
  }

  #play() {
    this.player.textContent = "Pause";
    const last = this.#film.count - 1;
    let direction = 1;
    let began = performance.now();
    const advance = (now) => {
      this.#playing = requestAnimationFrame(advance);
      if (now - began < 1000 / FPS) return;
      began = now;
      let frame = Number(this.scrubber.value) + direction;
      if (this.loop.checked) frame %= this.#film.count;
      else if (frame > Number(this.scrubber.max) || frame < 0) {
        direction = -direction;
        frame = Number(this.scrubber.value) + direction;
      }
      this.scrubber.value = frame;
      this.#draw();
    };
    if (last > 0) this.#playing = requestAnimationFrame(advance);
  }

  #stop() {
    cancelAnimationFrame(this.#playing);
    this.#playing = 0;
    this.player.textContent = "Play";
  }

  async #export() {
    const order = this.#order();
    const { width, height } = this.model.image;
    const frames = order.steps * this.#points.length + 1;
    const most = Math.floor(Math.sqrt(MAX_PIXELS / (frames * width * height)));
    const scale = Math.max(1, Math.min(Math.round(EXPORT_SIDE / width), most, 16));
    const format = this.format.value;
    this.exporter.disabled = true;
    try {
      const response = await this.service.post("interpolate", { ...order, fps: FPS, scale, format }, { accept: `image/${format}` });
      save(await response.blob(), `${this.model.name}-walk.${format === "apng" ? "png" : format}`);
      announce("The walk is saved.");
    } catch (error) {
      this.fail(error);
    } finally {
      this.exporter.disabled = false;
    }
  }
}
