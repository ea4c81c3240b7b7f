// The classes of a model, to choose one or any: chips, or a list where they are many.

import { byId, make } from "./dom.js";

const MANY = 24;

/** Chooses a class; `choose` hears its number, or null for any. */
export class ClassField {
  #model = null;

  constructor(choose) {
    this.fieldset = byId("classes");
    byId("chips").addEventListener("change", ({ target }) => choose(target.value === "" ? null : Number(target.value)));
  }

  /** Show a model's classes with one of them chosen; nothing where it has none. */
  show(model, classId) {
    this.fieldset.hidden = !model?.classes;
    if (!model?.classes) return;
    if (this.#model !== model.digest) {
      byId("chips").replaceChildren(...(model.classes.length > MANY ? [list(model.classes)] : chips(model.classes)));
      this.#model = model.digest;
    }
    const value = classId === null ? "" : String(classId);
    const select = this.fieldset.querySelector("select");
    if (select) select.value = value;
    else for (const radio of this.fieldset.querySelectorAll("input")) radio.checked = radio.value === value;
    const chosen = this.fieldset.querySelector("input:checked")?.parentElement;
    if (chosen) byId("chips").scrollLeft = chosen.offsetLeft - byId("chips").clientWidth / 2;
  }
}

function chips(classes) {
  return [["", "any"], ...classes.map((name, id) => [String(id), name])].map(([value, name]) =>
    make("label", { class: "chip" }, make("input", { type: "radio", name: "class", value }), make("span", {}, name)));
}

function list(classes) {
  return make("select", { "aria-label": "Class" }, make("option", { value: "" }, "any"),
    classes.map((name, id) => make("option", { value: String(id) }, name)));
}
