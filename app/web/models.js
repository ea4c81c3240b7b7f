// The models being served: which there are, and what each can do.

import { byId, make } from "./dom.js";

/** Small images keep their pixels when they are shown large. */
const SMALL = 96;

/** A model version, as `GET /models` describes it. */
export class Model {
  constructor(described) {
    Object.assign(this, described);
    this.label = `${described.name}@${described.version}`;
  }

  get pixelated() {
    return this.image.width <= SMALL;
  }

  /** The files in answers: small ones without loss, larger ones small. */
  get format() {
    return this.image.width * this.image.height <= SMALL * SMALL ? "png" : "webp";
  }

  /** What a class is called; its number where it has no other name. */
  className(id) {
    return id === null || id === undefined ? null : this.classes?.[id] ?? String(id);
  }

  /** A few words on it. */
  get facts() {
    const { height, width, channels } = this.image;
    const fid = this.metrics?.fid?.value;
    return [
      `${width} × ${height} ${channels === 1 ? "grey" : "colour"}`,
      `z: ${this.latent.dim} ${this.latent.distribution}`,
      fid === undefined ? null : `FID ${fid.toFixed(2)}`,
      this.discriminator ? null : "no discriminator",
      this.provider.replace("ExecutionProvider", ""),
    ].filter(Boolean).join(" · ");
  }
}

/** Ask what is served: {models by label, label of the default}. */
export async function listModels(service) {
  const listed = await (await service.ask("models")).json();
  const models = new Map(listed.models.map((described) => [`${described.name}@${described.version}`, new Model(described)]));
  return { models, standard: listed.default };
}

/** The select that chooses among them; `choose` hears the label. */
export class ModelField {
  constructor(choose) {
    this.field = byId("model");
    this.field.addEventListener("change", () => choose(this.field.value));
  }

  /** Offer these. */
  offer(models) {
    this.field.replaceChildren(...[...models.values()].map((model) => make("option", { value: model.label }, model.label)));
    this.field.disabled = models.size === 0;
  }

  /** Show which one it is, null where there is none, and what was `wanted` if that is another. */
  show(model, wanted) {
    if (model) this.field.value = model.label;
    const missing = model && wanted && wanted !== model.label && wanted !== model.name ? `${wanted} is not served. ` : "";
    byId("facts").textContent = model ? missing + model.facts : "";
  }
}
