// The service behind the page: requests that carry the key, wait while it is away or busy, and fail as Problems.

const KEY = "ganserve.key";
const BUSY_ATTEMPTS = 6;
const PROBE_S = [1, 2, 2, 3, 5];

/** An answer that says no: the status, code and detail of its problem+json body. */
export class Problem extends Error {
  constructor(status, body) {
    const errors = (body.errors ?? []).map((error) => `${error.location}: ${error.message}`);
    super(errors.length ? errors.join("; ") : body.detail ?? body.title ?? `status ${status}`);
    this.status = status;
    this.code = body.code ?? "unknown";
  }
}

/** Was this thrown because its request is no longer wanted? */
export function isAborted(error) {
  return error.name === "AbortError";
}

/**
 * Asks routes. Fires `state` with {state: "up" | "down" | "busy", was, wait_s} as the service comes and goes, and
 * `key` with {refused} when it wants a key; `use` answers that.
 */
export class Service extends EventTarget {
  #back = null;
  #keyed = null;
  #probing = null;
  state = "up";

  get key() {
    return sessionStorage.getItem(KEY);
  }

  /** Go on with this key. */
  use(key) {
    sessionStorage.setItem(KEY, key);
    this.#keyed?.resolve();
    this.#keyed = null;
  }

  /** The JSON that a route answers to a body. */
  async post(path, body, { accept = "application/json", signal } = {}) {
    const form = body instanceof FormData;
    const response = await this.ask(path, {
      method: "POST",
      headers: form ? { accept } : { accept, "content-type": "application/json" },
      body: form ? body : JSON.stringify(body),
      signal,
    });
    return accept === "application/json" ? response.json() : response;
  }

  /**
   * A response that is not an error. While the service is away, busy or wants a key the promise waits, unless
   * `patient` is false. Throws Problem, or AbortError once the signal fires.
   */
  async ask(path, { patient = true, headers = {}, ...options } = {}) {
    for (let attempt = 1; ; attempt += 1) {
      const key = this.key;
      const sent = key === null ? headers : { ...headers, authorization: `Bearer ${key}` };
      let response;
      try {
        response = await fetch(path, { ...options, headers: sent });
      } catch (error) {
        if (isAborted(error)) throw error;
        this.#lost();
        if (!patient) throw error;
        await abortable(this.#back.promise, options.signal);
        continue;
      }
      if (response.ok) {
        if (this.state === "busy") this.#turn("up");
        return response;
      }
      const problem = new Problem(response.status, await response.json().catch(() => ({})));
      if (!patient) throw problem;
      if (problem.status === 401) {
        await abortable(this.#wantKey(key), options.signal);
      } else if ((problem.status === 503 || problem.status === 429) && attempt < BUSY_ATTEMPTS) {
        const wait_s = Math.min(Math.max(Number(response.headers.get("retry-after")) || 1, 1), 10);
        this.#turn("busy", wait_s);
        await abortable(pause(wait_s), options.signal);
      } else {
        if (this.state === "busy") this.#turn("up");
        throw problem;
      }
    }
  }

  /** Look now whether the service is back. */
  probe() {
    this.#probing?.now();
  }

  #wantKey(refused) {
    // Another request may have asked, and been given one, meanwhile.
    if (this.key !== refused) return Promise.resolve();
    if (this.#keyed === null) {
      this.#keyed = Promise.withResolvers();
      this.dispatchEvent(new CustomEvent("key", { detail: { refused: refused !== null } }));
    }
    return this.#keyed.promise;
  }

  #lost() {
    if (this.#back !== null) return;
    this.#back = Promise.withResolvers();
    this.#watch();
  }

  async #watch() {
    for (let attempt = 0; ; attempt += 1) {
      const wait_s = PROBE_S[Math.min(attempt, PROBE_S.length - 1)];
      this.#turn("down", wait_s);
      const hurry = Promise.withResolvers();
      this.#probing = { now: hurry.resolve };
      await Promise.race([pause(wait_s), hurry.promise]);
      try {
        if ((await fetch("readyz", { cache: "no-store" })).ok) break;
      } catch {
        // Still away.
      }
    }
    this.#probing = null;
    const back = this.#back;
    this.#back = null;
    this.#turn("up");
    back.resolve();
  }

  #turn(state, wait_s = 0) {
    const was = this.state;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, was, wait_s } }));
  }
}

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

async function abortable(promise, signal) {
  if (!signal) return promise;
  const aborted = Promise.withResolvers();
  const stop = () => aborted.reject(new DOMException("no longer wanted", "AbortError"));
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
