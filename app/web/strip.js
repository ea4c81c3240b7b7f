// The service, live: what /metrics says, every two seconds while somebody looks.

import { byId } from "./dom.js";

const EVERY_MS = 2000;
// The latency is that of so many looks together, so that a quiet page still has one.
const LOOKS = 5;

/** Samples of a Prometheus text by series name: [{labels, value}]. */
export function parseMetrics(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = line.match(/^(\w+)(?:\{(.*)\})? (\S+)/);
    if (!found) continue;
    const [, name, labels = "", value] = found;
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: Number(value) });
  }
  return samples;
}

/** The median in seconds of what two looks at a histogram's buckets have between them; null for nothing. */
export function median(before, after) {
  const counts = after.map((bucket, index) => bucket.value - (before[index]?.value ?? 0));
  const all = counts.at(-1) ?? 0;
  if (all <= 0) return null;
  const limit = (bucket) => Number(bucket.labels.match(/le="([^"]+)"/)[1].replace("+Inf", "Infinity"));
  const at = counts.findIndex((count) => count >= all / 2);
  const low = at === 0 ? 0 : limit(after[at - 1]);
  const high = limit(after[at]);
  if (high === Infinity) return low;
  const under = at === 0 ? 0 : counts[at - 1];
  return low + ((high - low) * (all / 2 - under)) / (counts[at] - under);
}

/** Keep the strip up to date. Where metrics have a port of their own there is none. */
export function watchMetrics(service) {
  const looks = [];
  let timer = 0;
  const look = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const response = await service.ask("metrics", { patient: false, cache: "no-store" });
      looks.push({ at: performance.now(), samples: parseMetrics(await response.text()) });
      if (looks.length > LOOKS + 1) looks.shift();
      show(looks);
    } catch (error) {
      if (error.status === 404) return;
    }
    timer = setTimeout(look, EVERY_MS);
  };
  document.addEventListener("visibilitychange", look);
  look();
}

function show(looks) {
  const now = looks.at(-1);
  const before = looks.at(-2);
  byId("strip").hidden = false;
  byId("strip-queue").textContent = String(total(now, "gan_queue_depth"));
  if (!before) return;
  const seconds = (now.at - before.at) / 1000;
  const made = total(now, "gan_images_total") - total(before, "gan_images_total");
  byId("strip-images").textContent = made <= 0 ? "0" : (made / seconds).toFixed(made / seconds < 10 ? 1 : 0);
  const buckets = (look) => look.samples.get("gan_request_seconds_bucket") ?? [];
  const middle_s = median(buckets(looks[0]), buckets(now));
  byId("strip-latency").textContent = middle_s === null ? "–" : `${(middle_s * 1000).toFixed(middle_s < 0.01 ? 1 : 0)} ms`;
}

function total(look, name) {
  return (look.samples.get(name) ?? []).reduce((sum, sample) => sum + sample.value, 0);
}
