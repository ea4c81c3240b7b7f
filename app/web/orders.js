// What the page asks `POST /generate` and its kin for, and what comes back.

import { foundOf } from "./points.js";
import { isSeed } from "./seeds.js";

/** What every request body says, whatever it draws: the model, and the class and truncation of the view. */
export function orderOf(model, view) {
  return {
    model: model.label,
    ...(view.classId === null || !model.classes ? {} : { class_id: view.classId }),
    ...(model.truncation.supported ? { truncation: view.truncation } : {}),
  };
}

/** A request body for these seeds. */
export function orderOfSeeds(model, view, seeds) {
  return { ...orderOf(model, view), seeds };
}

/** A request body for one point. */
export function orderOfPoint(model, view, point) {
  const found = foundOf(point);
  const order = orderOf(model, view);
  if (found === null) return { ...order, seed: point };
  return { ...order, latents: [found.latent], ...(found.classId === null ? {} : { class_id: found.classId }) };
}

/** A request body for key frames: seeds where all are, and otherwise the latents of `images`, which they were drawn as. */
export function orderOfPoints(model, view, points, images) {
  if (points.every(isSeed)) return orderOfSeeds(model, view, points);
  return {
    ...orderOf(model, view),
    latents: images.map((image) => image.latent),
    ...(model.classes ? { class_id: images.map((image) => image.class_id) } : {}),
  };
}

/** Draw points, in order, each image with its latent. */
export async function drawPoints(service, model, view, points, { signal }) {
  const ask = async (body) => (await service.post("generate", { ...body, format: model.format, include: ["latents"] }, { signal })).images;
  const seeds = points.filter(isSeed);
  const others = points.filter((point) => !isSeed(point));
  const [ofSeeds, ...ofOthers] = await Promise.all([
    seeds.length ? ask(orderOfSeeds(model, view, seeds)) : [],
    ...others.map((point) => ask(orderOfPoint(model, view, point))),
  ]);
  const drawn = new Map([...seeds.map((seed, index) => [seed, ofSeeds[index]]), ...others.map((point, index) => [point, ofOthers[index][0]])]);
  return points.map((point) => drawn.get(point));
}

/** An image of an answer as an address for <img>. */
export function source(image) {
  return `data:image/${image.format};base64,${image.data}`;
}
