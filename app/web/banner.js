// The line above everything: when the service is away or busy, until it is back, and what it refused, until it is read.

import { announce } from "./announcer.js";
import { byId } from "./dom.js";

const ACTIONS = { down: "Try now", failed: "Dismiss" };

/** Show the service's comings and goings. */
export function watchService(service) {
  byId("banner-retry").addEventListener("click", () => {
    if (byId("banner").dataset.state === "failed") show("up", "");
    else service.probe();
  });
  service.addEventListener("state", ({ detail: { state, was, wait_s } }) => {
    if (state === "down") show(state, `The service does not answer. Trying again in ${wait_s} s.`);
    else if (state === "busy") show(state, `The service has its hands full. Going on in ${Math.ceil(wait_s)} s.`);
    else show(state, "");
    if (state === "up" && was === "down") announce("The service is back.");
  });
}

/** Say that something did not work, and why. */
export function report(error) {
  show("failed", `That did not work: ${error.message}`);
}

function show(state, text) {
  const banner = byId("banner");
  banner.dataset.state = state;
  banner.hidden = state === "up";
  byId("banner-text").textContent = text;
  byId("banner-retry").hidden = !(state in ACTIONS);
  byId("banner-retry").textContent = ACTIONS[state] ?? "";
}
