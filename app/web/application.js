// The wiring: what is chosen changes the view, and every part shows the view.

import { announce } from "./announcer.js";
import { report, watchService } from "./banner.js";
import { ClassField } from "./chips.js";
import { Details } from "./details.js";
import { byId, make, settled } from "./dom.js";
import { Finding } from "./finding.js";
import { answerForKeys } from "./key_dialog.js";
import { listModels, ModelField } from "./models.js";
import { suits, titleOf } from "./points.js";
import { Scoring } from "./scoring.js";
import { isSeed } from "./seeds.js";
import { Service } from "./service.js";
import { Sheet } from "./sheet.js";
import { watchMetrics } from "./strip.js";
import { freshWall, History } from "./view.js";
import { Walk } from "./walk.js";

const NARROW = matchMedia("(max-width: 60rem)");

const service = new Service();
const visited = new History();
const go = (changes, options) => visited.go(changes, options);
let served = { models: new Map(), standard: null };

watchService(service);
answerForKeys(service);

const sheet = new Sheet(service, { open: (seed) => go({ open: seed, moves: [] }), pick });
const details = new Details(service, { close, pick, go, fail: report });
const walk = new Walk(service, { unpick: pick, clear: () => go({ picks: [] }, { quietly: true }), fail: report });
// What was found was found without truncation, and looks like its image there alone.
const finding = new Finding(service, { open: (point) => go({ open: point, moves: [], truncation: 1 }), pick });
const scoring = new Scoring(service, { images: (seed) => sheet.image(seed), finding });
const modelField = new ModelField((model) => go({ model, classId: null, open: null, moves: [] }));
const classField = new ClassField((classId) => go({ classId }));

visited.addEventListener("change", ({ detail: { view, was } }) => show(view, was));
service.addEventListener("state", ({ detail: { state, was } }) => {
  // Other models may be served now.
  if (state === "up" && was === "down" && served.models.size) load();
});

const truncation = byId("truncation");
const truncate = settled(() => go({ truncation: Number(truncation.value) }), 120);
truncation.addEventListener("input", () => {
  sayTruncation(Number(truncation.value));
  truncate();
});
byId("new-wall").addEventListener("click", () => go({ wall: freshWall(), sheets: 1, open: null, moves: [] }));
byId("more").addEventListener("click", () => go({ sheets: visited.view.sheets + 1 }));
byId("skip").addEventListener("click", (event) => {
  // The fragment is the view's.
  event.preventDefault();
  byId("sheet").querySelector(".frame[tabindex='0']")?.focus();
});
byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("find-seed").value.trim();
  const seed = /^\d+$/.test(text) ? Number(text) : NaN;
  byId("find-error").textContent = isSeed(seed) ? "" : "A seed is a whole number from 0 to 4294967295.";
  if (isSeed(seed)) go({ open: seed, moves: [] });
});

// The images come first.
load().finally(() => watchMetrics(service));

/** Learn what is served, and show it. */
async function load() {
  try {
    served = await listModels(service);
  } catch (error) {
    fail(error);
    return;
  }
  modelField.offer(served.models);
  await show(visited.view, null);
}

function modelOf(view) {
  const wanted = view.model ?? served.standard;
  // Versions are listed from the newest on.
  const newest = [...served.models.values()].find((model) => model.name === wanted?.split("@")[0]);
  return served.models.get(wanted) ?? newest ?? served.models.get(served.standard) ?? null;
}

/** Have every part show the view; done once the sheet has all its images. */
async function show(view, was) {
  let drawn = null;
  const model = modelOf(view);
  modelField.show(model, view.model);
  byId("wall-foot").hidden = byId("new-wall").disabled = model === null;
  if (model === null) {
    sheet.clear();
    explain("No model is served yet", "Train one with gantrain fit and export it, or put a bundle into the models folder. This page looks again when you ask it to.");
  } else {
    byId("empty").hidden = true;
    const safe = fitting(model, view);
    classField.show(model, safe.classId);
    byId("truncation-field").hidden = !model.truncation.supported;
    truncation.value = safe.truncation;
    sayTruncation(safe.truncation);
    drawn = sheet.show(model, safe).catch(fail);
    view = safe;
  }
  details.show(model, view);
  walk.show(model, view);
  scoring.show(model, view);
  const opened = view.open !== null && was !== null && was.open === null;
  if (opened && NARROW.matches) byId("details").focus();
  await drawn;
}

/** The view without what it holds of another model: a class or latents that this one has no use for. */
function fitting(model, view) {
  const classId = view.classId !== null && view.classId < (model.classes?.length ?? 0) ? view.classId : null;
  const picks = view.picks.filter((point) => suits(model, point));
  const open = view.open !== null && suits(model, view.open) ? view.open : null;
  return { ...view, classId, picks, open };
}

function pick(point) {
  if (!visited.toggle(point)) {
    announce("Twelve picks are as many as a walk takes.");
    return;
  }
  announce(`${titleOf(point)} ${visited.view.picks.includes(point) ? "picked" : "put back"}.`);
}

function close() {
  const point = visited.view.open;
  go({ open: null, moves: [] });
  byId("sheet").querySelector(`[data-seed="${point}"] .frame`)?.focus();
}

function sayTruncation(value) {
  byId("truncation-value").textContent = value.toFixed(2);
}

function fail(error) {
  explain("That did not work", error.message);
}

function explain(title, text) {
  byId("empty").hidden = false;
  byId("empty").replaceChildren(make("h3", {}, title), make("p", {}, text),
    make("button", { type: "button", id: "again", on: { click: load } }, "Try again"));
}
