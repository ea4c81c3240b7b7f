// Points of latent space: a seed, or a latent that no seed leads to, such as that of somebody's own image.

import { isSeed } from "./seeds.js";

const FOUND = /^z(\d*)-([A-Za-z0-9_-]+)$/;
const LIMIT = 1000;

/** A latent and its class as a point: `z7-` and its float32 numbers, in base64 that an address can hold. */
export function pointOf(latent, classId) {
  const bytes = new Uint8Array(Float32Array.from(latent).buffer);
  const text = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `z${classId ?? ""}-${text}`;
}

/** What such a point says: {latent, classId}; null for a seed and for what is no point. */
export function foundOf(point) {
  const [, classId, text] = (typeof point === "string" && point.match(FOUND)) || [];
  if (!text) return null;
  let bytes;
  try {
    bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
  if (bytes.length === 0 || bytes.length % 4) return null;
  const latent = [...new Float32Array(bytes.buffer)];
  if (!latent.every((value) => Number.isFinite(value) && Math.abs(value) <= LIMIT)) return null;
  return { latent, classId: classId === "" ? null : Number(classId) };
}

/** The point that an address names, null where it names none. */
export function parsePoint(text) {
  if (/^\d+$/.test(text)) return isSeed(Number(text)) ? Number(text) : null;
  return foundOf(text) && text;
}

/** Can the model make something of this point? */
export function suits(model, point) {
  const found = foundOf(point);
  if (found === null) return isSeed(point);
  const classes = model.classes?.length ?? 0;
  return found.latent.length === model.latent.dim && (classes ? found.classId !== null && found.classId < classes : found.classId === null);
}

/** What a point is called in a sentence. */
export function nameOf(point) {
  return isSeed(point) ? `seed ${point}` : "your image";
}

/** What it is called where a sentence begins, or stands alone. */
export function titleOf(point) {
  const name = nameOf(point);
  return name[0].toUpperCase() + name.slice(1);
}
