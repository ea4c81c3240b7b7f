// One image, large: what it was made from, how real it looks, how to make it again, what lies around it.

import { announce } from "./announcer.js";
import { byId, make, save } from "./dom.js";
import { gauge } from "./gauge.js";
import { follow } from "./latents.js";
import { Neighbourhood } from "./neighbourhood.js";
import { orderOf, orderOfPoint, source } from "./orders.js";
import { nameOf, titleOf } from "./points.js";
import { curlOf, pythonOf } from "./recipe.js";
import { isSeed } from "./seeds.js";
import { isAborted } from "./service.js";

/** Shows the open image; `close`, `pick`, `go` are told what is wanted. */
export class Details {
  #asking = null;
  #shown = "";

  constructor(service, { close, pick, go, fail }) {
    this.service = service;
    this.fail = fail;
    this.card = byId("details");
    this.card.append(this.#build({ close, pick, go }));
    this.card.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
    });
    this.show(null, { open: null });
  }

  #build({ close, pick, go }) {
    const part = (name, tag, attributes = {}, ...children) => (this[name] = make(tag, attributes, ...children));
    this.neighbourhood = new Neighbourhood(this.service, {
      move: ({ dx, dy }) => go({ moves: [...this.view.moves, { radius: this.view.radius, plane: this.view.plane, dx, dy }] }),
      change: (changes) => go(changes, { quietly: true }),
      fail: this.fail,
    });
    return make("div", {},
      make("div", { class: "card-head" },
        part("title", "h2", { id: "details-title" }),
        part("closer", "button", { type: "button", class: "quiet close", "aria-label": "Close the image", on: { click: close } }, "Close")),
      part("blank", "p", { class: "blank" }, "Open a frame to see its seed, how real it looks, and what lies around it."),
      part("body", "div", { class: "details-body" },
        make("div", { class: "mount" }, part("picture", "img", { alt: "" })),
        part("terms", "dl", { class: "terms" }),
        part("realness", "div", { class: "realness" }),
        make("div", { class: "actions" },
          part("picker", "button", { type: "button", id: "details-pick", on: { click: () => pick(this.view.open) } }, "Pick"),
          make("button", { type: "button", id: "download", on: { click: () => this.#download() } }, "Download PNG"),
          part("home", "button", { type: "button", on: { click: () => go({ moves: [] }) } }, "Back to the start")),
        this.neighbourhood.element,
        make("details", { class: "recipe" }, make("summary", {}, "Make it again"),
          snippet("curl", part("curl", "pre", { tabindex: 0, "aria-label": "curl command" })),
          snippet("Python", part("python", "pre", { tabindex: 0, "aria-label": "Python program" })))));
  }

  /** Show the open image of the view; without one, say what there would be to see. */
  async show(model, view) {
    this.view = view;
    const filled = view.open !== null && model !== null;
    this.card.classList.toggle("filled", filled);
    this.blank.hidden = filled;
    this.body.hidden = this.closer.hidden = !filled;
    if (!filled) {
      this.#asking?.abort();
      this.#shown = "";
      this.title.textContent = "No image open";
      return;
    }
    const picked = view.picks.includes(view.open);
    this.picker.textContent = picked ? "Unpick" : "Pick";
    this.picker.setAttribute("aria-pressed", String(picked));
    this.picker.hidden = view.moves.length > 0;
    this.home.hidden = view.moves.length === 0;
    const shown = JSON.stringify([orderOf(model, view), view.open, view.moves, view.radius, view.plane]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    try {
      await this.#draw(model, view, asking.signal);
    } catch (error) {
      if (isAborted(error)) return;
      this.#shown = "";
      this.fail(error);
    }
  }

  async #draw(model, view, signal) {
    const ask = async (body) => {
      const include = model.discriminator ? ["latents", "realness"] : ["latents"];
      return (await this.service.post("generate", { ...body, include }, { signal })).images[0];
    };
    let body = orderOfPoint(model, view, view.open);
    let image = await ask(body);
    const classId = image.class_id;
    let z = image.latent;
    if (view.moves.length) {
      z = follow(z, model.latent.distribution, view.moves);
      const { seed: _, ...order } = body;
      body = { ...order, latents: [z], ...(classId === null ? {} : { class_id: classId }) };
      image = await ask(body);
    }
    const found = isSeed(view.open) ? view.open : "found";
    this.made = { body, name: view.moves.length ? `${model.name}-near-${found}.png` : `${model.name}-${found}.png` };
    const name = model.className(classId);
    const steps = view.moves.length;
    this.title.textContent = steps ? `${steps} ${steps === 1 ? "step" : "steps"} from ${nameOf(view.open)}` : titleOf(view.open);
    this.picture.src = source(image);
    this.picture.alt = name === null ? this.title.textContent : `${this.title.textContent}, ${name}`;
    this.picture.width = model.image.width;
    this.picture.height = model.image.height;
    this.picture.classList.toggle("pixelated", model.pixelated);
    const terms = { Model: model.label, Class: name, Truncation: model.truncation.supported ? String(view.truncation) : null };
    this.terms.replaceChildren(...Object.entries(terms).filter(([, value]) => value !== null)
      .map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value))));
    this.realness.replaceChildren(...("realness" in image ? [
      make("p", {}, "Realness ", make("strong", {}, image.realness.toFixed(2))), gauge(image.realness),
    ] : [make("p", { class: "blank" }, "No realness: this model is served without a discriminator.")]));
    this.curl.textContent = curlOf(body, this.made.name, this.service.key !== null);
    this.python.textContent = pythonOf(body, this.made.name, this.service.key !== null);
    announce(`${this.picture.alt} is open.`);
    await this.neighbourhood.show(model, { z, classId, truncation: view.truncation, radius: view.radius, plane: view.plane });
  }

  async #download() {
    try {
      const response = await this.service.post("generate", this.made.body, { accept: "image/png" });
      save(await response.blob(), this.made.name);
    } catch (error) {
      this.fail(error);
    }
  }
}

function snippet(name, pre) {
  const button = make("button", { type: "button", class: "quiet", "aria-label": `Copy the ${name} lines`, on: { click: () => copy(pre) } }, "Copy");
  return make("div", { class: "snippet" }, make("div", { class: "snippet-head" }, make("span", {}, name), button), pre);
}

async function copy(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    announce("Copied.");
  } catch {
    // No clipboard without HTTPS: marked text is one key press away.
    getSelection().selectAllChildren(pre);
    announce("Marked: press Control C to copy.");
  }
}
