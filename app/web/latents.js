// Latents beside a latent: a plane through it, spanned by two directions that a seed names.

/** Numbers from 0 up to 1 that a seed names: mulberry32. */
function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A latent of `dim` draws, as the latent's distribution has them; normal ones by Box and Muller. */
function direction(dim, distribution, next) {
  if (distribution === "uniform") return Array.from({ length: dim }, () => 2 * next() - 1);
  return Array.from({ length: dim }, () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
}

/**
 * The neighbour at (dx, dy), each from -2 to 2, whose outermost column is `radius` away. Normal latents turn by an
 * angle, z' = cos(r) z + sin(r) e, and so stay as long as they usually are; uniform ones are mixed and clamped.
 */
export function neighbour(z, distribution, { radius, plane, dx, dy }) {
  const length = Math.hypot(dx, dy);
  if (length === 0) return z;
  const next = uniform(plane);
  const across = direction(z.length, distribution, next);
  const down = direction(z.length, distribution, next);
  const e = across.map((value, index) => (dx * value + dy * down[index]) / length);
  const r = (radius * length) / 2;
  if (distribution === "uniform") return z.map((value, index) => Math.min(1, Math.max(-1, value + r * e[index])));
  return z.map((value, index) => Math.cos(r) * value + Math.sin(r) * e[index]);
}

/** Where `moves`, one after the other, lead from a latent. */
export function follow(z, distribution, moves) {
  return moves.reduce((at, move) => neighbour(at, distribution, move), z);
}
