// What the page shows, as the fragment of its address: a link reproduces the view, and back and forward work.

import { parsePoint } from "./points.js";
import { isSeed, SEEDS } from "./seeds.js";

export const SHEET = 64;
const MAX_SHEETS = 16;
const MAX_PICKS = 12;

/**
 * The view of an address without a fragment. `model` is a label or null for the default; `classId` null is any;
 * `wall` is the first seed of the wall; `picks` and `open` are points; `moves` lead from the open one through its
 * neighbourhoods.
 */
const BLANK = Object.freeze({
  model: null, classId: null, truncation: 1, wall: 0, sheets: 1, picks: [], open: null, moves: [], radius: 0.6, plane: 1,
});

/** The seeds of a wall, in order; after the last seed comes 0. */
export function seedsOf({ wall, sheets }) {
  return Array.from({ length: SHEET * sheets }, (_, index) => (wall + index) % SEEDS);
}

/** A fresh wall: low numbers, since they get read out and typed. */
export function freshWall() {
  return SHEET * Math.floor(Math.random() * 15_625);
}

/** The view as a fragment; what is as it always is goes unsaid. */
export function format(view) {
  const said = new URLSearchParams();
  if (view.model !== null) said.set("model", view.model);
  if (view.classId !== null) said.set("class", view.classId);
  if (view.truncation !== 1) said.set("truncation", view.truncation);
  said.set("wall", view.wall);
  if (view.sheets !== 1) said.set("sheets", view.sheets);
  if (view.picks.length) said.set("picks", view.picks.join("."));
  if (view.open !== null) {
    said.set("open", view.open);
    if (view.moves.length) said.set("moves", view.moves.map((move) => [move.radius, move.plane, move.dx, move.dy].join("_")).join("~"));
    if (view.radius !== BLANK.radius) said.set("radius", view.radius);
    if (view.plane !== BLANK.plane) said.set("plane", view.plane);
  }
  return `#${said.toString().replaceAll("%40", "@")}`;
}

/** The view of a fragment; what makes no sense in it is as if it were not there. */
export function parse(fragment) {
  const said = new URLSearchParams(fragment.replace(/^#/, ""));
  const number = (name, allowed, otherwise) => {
    const value = said.has(name) && said.get(name) !== "" ? Number(said.get(name)) : NaN;
    return allowed(value) ? value : otherwise;
  };
  const picks = (said.get("picks") ?? "").split(".").map(parsePoint).filter((point) => point !== null);
  return {
    model: said.get("model") || null,
    classId: number("class", (value) => Number.isInteger(value) && value >= 0, null),
    truncation: number("truncation", (value) => value >= 0 && value <= 1, 1),
    wall: number("wall", isSeed, freshWall()),
    sheets: number("sheets", (value) => Number.isInteger(value) && value >= 1 && value <= MAX_SHEETS, 1),
    picks: [...new Set(picks)].slice(0, MAX_PICKS),
    open: parsePoint(said.get("open") ?? ""),
    moves: parseMoves(said.get("moves") ?? ""),
    radius: number("radius", (value) => value > 0 && value <= 1.5, BLANK.radius),
    plane: number("plane", isSeed, BLANK.plane),
  };
}

function parseMoves(text) {
  const moves = text.split("~").filter(Boolean).map((part) => {
    const [radius, plane, dx, dy] = part.split("_").map(Number);
    return { radius, plane, dx, dy };
  });
  const near = (step) => Number.isInteger(step) && Math.abs(step) <= 2;
  const sound = (move) => move.radius > 0 && move.radius <= 1.5 && isSeed(move.plane) && near(move.dx) && near(move.dy);
  return moves.every(sound) ? moves : [];
}

/** Holds the view. Fires `change` with {view, was} after every step, the browser's own included. */
export class History extends EventTarget {
  constructor() {
    super();
    this.view = parse(location.hash);
    history.replaceState(null, "", format(this.view));
    addEventListener("popstate", () => this.#become(parse(location.hash)));
  }

  /** Go on to a changed view; `quietly`, it takes the place of the one before in the browser's history. */
  go(changes, { quietly = false } = {}) {
    const view = { ...this.view, ...changes };
    const fragment = format(view);
    if (fragment !== location.hash) history[quietly ? "replaceState" : "pushState"](null, "", fragment);
    this.#become(view);
  }

  /** Pick a point, or put it back; false when there is no room. */
  toggle(point) {
    const { picks } = this.view;
    if (!picks.includes(point) && picks.length === MAX_PICKS) return false;
    this.go({ picks: picks.includes(point) ? picks.filter((pick) => pick !== point) : [...picks, point] }, { quietly: true });
    return true;
  }

  #become(view) {
    const was = this.view;
    this.view = view;
    this.dispatchEvent(new CustomEvent("change", { detail: { view, was } }));
  }
}
