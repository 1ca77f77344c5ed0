/* The portal's own script. Every page works without it: what stops is only the updating.
   A page's parts listen for `tick` on the body, every 3 s; to look each 15 s they say "tick from:body throttle:14s":
   a throttle that ends with a tick would let it pass, and 3 s would be 6. */
(() => {
  "use strict";
  const doc = document, all = (what, where = doc) => where.querySelectorAll(what);
  const clock = doc.querySelector("[data-now]"), set = clock?.dataset ?? {};
  // Ages count from the server's clock: a device that is minutes off must not show an RPO that is minutes off.
  const began = performance.timeOrigin + (performance.getEntriesByType("navigation")[0]?.responseStart ?? 0);
  const skew = (Date.parse(set.now) || began) - began, now = () => Date.now() + skew;
  let fresh = now(), missed = 0, lost = 0;

  const span = ms => {
    const s = Math.max(0, Math.floor(ms / 1000)), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    const two = (n, unit, rest, small) => n + unit + (rest ? ` ${rest}${small}` : "");
    return d ? two(d, " d", h % 24, " h") : h ? two(h, " h", m % 60, " min") : m ? m + " min" : s + " s";
  };
  const parts = at => Object.fromEntries(new Intl.DateTimeFormat("en-GB", { timeZone: set.zone, weekday: "short", day: "numeric",
    month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).formatToParts(at).map(p => [p.type, p.value]));
  const put = (el, text) => { if (el && el.textContent !== text) el.textContent = text };

  const paint = () => {
    for (const el of all("time[data-ago], time[data-age]")) {
      const past = now() - Date.parse(el.dateTime);
      put(el, "age" in el.dataset ? span(past) : past < 0 ? "in " + span(-past) : span(past) + " ago");
    }
    if (set.zone) {
      const p = parts(now());
      put(clock.querySelector("time"), `${p.weekday} ${p.day} ${p.month}, ${p.hour}:${p.minute} ${set.letters}`);
      put(clock.querySelector("span"), new Date(now()).toISOString().slice(11, 16) + " UTC");
    }
    for (const el of all("[data-print]")) el.hidden = false;
    const state = !navigator.onLine ? "offline" : missed > 2 ? "stale" : "on";
    for (const el of all("[data-live]")) {
      const p = parts(fresh);
      el.dataset.live = state;
      put(el.firstElementChild, state === "on" ? `Live · updated ${span(now() - fresh)} ago`
        : `Not updating since ${p.hour}:${p.minute} ${set.letters ?? ""}`);
      el.lastElementChild.hidden = state === "on";
    }
  };
  const tick = () => {
    if (doc.visibilityState !== "visible") return;
    paint();
    if (navigator.onLine) doc.body.dispatchEvent(new CustomEvent("tick"));
  };
  setInterval(tick, 3000);
  doc.addEventListener("visibilitychange", tick);
  addEventListener("online", tick);
  addEventListener("offline", paint);

  const count = list => {
    const picks = [...all("[data-pick]", list)], n = picks.filter(p => p.checked).length;
    for (const box of all("[data-all]", list)) { box.checked = n > 0 && n === picks.length; box.indeterminate = n > 0 && n < picks.length }
    for (const el of all("[data-count]", list)) put(el, `${n} ${n === 1 && el.dataset.one || el.dataset.count}`);
  };
  doc.addEventListener("change", e => {
    const list = e.target.closest("[data-list]");
    if (!list) return;
    if (e.target.matches("[data-all]")) for (const p of all("[data-pick]", list)) p.checked = e.target.checked;
    count(list);
  });
  doc.addEventListener("keydown", e => {
    if (e.key === "Escape") for (const el of all("details.drop[open]")) { el.open = false; el.firstElementChild.focus() }
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select")) return;
    const search = doc.querySelector("[data-search]");
    if (search) { e.preventDefault(); search.focus() }
  });
  doc.addEventListener("click", e => { if (e.target.closest("[data-print]")) print() });
  doc.addEventListener("click", e => { for (const el of all("details.drop[open]")) if (!el.contains(e.target)) el.open = false });

  doc.addEventListener("htmx:afterRequest", e => {
    if (e.detail.requestConfig?.triggeringEvent?.type !== "tick") return;
    if ([401, 403, 404].includes(e.detail.xhr?.status)) location.reload();  // it isn't ours to see any more: the page says why
    if (e.detail.successful) { fresh = now(); missed = 0 }
    else if (now() - lost > 2000) { missed++; lost = now() }  // several parts that fail at one tick are one miss
    paint();
  });
  doc.addEventListener("htmx:afterSwap", () => {
    all("[data-list]").forEach(count);
    const title = doc.querySelector("[data-title]")?.dataset.title;
    if (title) doc.title = title;
    paint();
  });
  // A swap keeps what a person has ticked, typed or opened: idiomorph would put the server's copy over it.
  if (window.Idiomorph) Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, el) => !(name === "selected"
    || name === "open" && el.matches("details") || name === "checked" && el.checked !== el.defaultChecked
    || name === "value" && el.matches("input, textarea") && el.value !== el.defaultValue);

  if (window.Idiomorph) Idiomorph.defaults.callbacks.beforeNodeMorphed = el => !(el.matches?.("form[data-keep]"));

  all("[data-list]").forEach(count);
  paint();
})();
