// What happened, said to those who cannot see it.

import { byId } from "./dom.js";

/** Have a screen reader say this when it is next idle. */
export function announce(text) {
  byId("announcer").textContent = text;
}
