// Seeds: whole numbers from 0 to 4294967295, of which the service makes latents.

export const SEEDS = 2 ** 32;

/** Is this a seed? */
export function isSeed(value) {
  return Number.isInteger(value) && value >= 0 && value < SEEDS;
}
