// Where files come in: chosen, dropped anywhere on the page, or pasted.

import { byId, make } from "./dom.js";

const MAX_FILES = 8;
const KINDS = ["image/png", "image/jpeg", "image/webp"];

/** Hands files over: `ready` tells whether any are wanted, `take` hears those that are images, and how many came. */
export class Intake {
  constructor({ ready, take }) {
    this.ready = ready;
    this.take = take;
    this.#listen();
  }

  /** A place to choose files in or drop them on, described by the element with this id. */
  field(describedBy) {
    const file = make("input", { type: "file", id: "file", class: "file", accept: KINDS.join(","), multiple: true, "aria-describedby": describedBy,
      on: { change: () => { this.#take([...file.files]); file.value = ""; } } });
    return make("div", { class: "drop" }, file,
      make("label", { for: "file" }, make("strong", {}, "Choose an image"), make("span", {}, " or drop or paste one")));
  }

  #listen() {
    const veil = byId("drop-veil");
    const carries = (event) => this.ready() && [...(event.dataTransfer?.types ?? [])].includes("Files");
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
      this.#take([...event.dataTransfer.files]);
    });
    addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (this.ready() && files.length) this.#take(files);
    });
  }

  #take(files) {
    this.take(files.filter((file) => KINDS.includes(file.type)).slice(0, MAX_FILES), files.length);
  }
}
