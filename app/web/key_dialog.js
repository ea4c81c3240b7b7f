// Asks for an API key once the service has asked for one.

import { byId } from "./dom.js";

/** Show the dialog whenever the service wants a key, and hand over what is typed. */
export function answerForKeys(service) {
  const dialog = byId("key-dialog");
  const field = byId("key");
  service.addEventListener("key", ({ detail: { refused } }) => {
    byId("key-error").textContent = refused ? "The service does not know that key." : "";
    field.value = "";
    dialog.showModal();
    field.focus();
  });
  // Without a key there is nothing behind the dialog to go back to.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const key = field.value.trim();
    if (!/^[\x21-\x7e]+$/.test(key)) {
      byId("key-error").textContent = "A key is printable ASCII, without spaces.";
      return;
    }
    dialog.close();
    service.use(key);
  });
}
