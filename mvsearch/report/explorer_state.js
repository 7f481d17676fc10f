"use strict";
// What is chosen: kept in the address (`#...`), so that a page that reloads itself, or a link, shows the same.
(() => {
  const anyFeasible = mv.trials.some((i) => mv.feasible(i) && mv.roles[i] !== "failed");
  const defaults = { x: "latency", y: "top1", colour: "", tab: "network", sort: "lower", down: "1", history: "trials" };
  mv.defaults = defaults;

  // Families of the field beyond the main ones are off at first: for them `hide` means that they were asked for.
  const off = new Set((mv.raw.off || []).map((family) => `field:${family}`));
  mv.shows = (group) => off.has(group) === state.hide.has(group);

  const fresh = () => ({
    ...defaults,
    hide: new Set(),
    filters: new Map(),
    without: new Set(),
    find: "",
    over: !anyFeasible,
    pin: null,
    reference: "",
    axes: null,
    zoom: null,
    paused: false,
  });
  const state = fresh();
  mv.state = state;

  function read() {
    let asked;
    try {
      asked = new URLSearchParams(location.hash.slice(1));
    } catch {
      return;
    }
    for (const key of ["x", "y"]) if (mv.columns.has(asked.get(key))) state[key] = asked.get(key);
    const colour = asked.get("colour");
    if (colour === "blocks" || mv.columns.has(colour)) state.colour = colour;
    if (["network", "costs", "differs", "sources", "take"].includes(asked.get("tab"))) state.tab = asked.get("tab");
    if (mv.columns.has(asked.get("sort")) || ["name", "role", "blocks", "origin"].includes(asked.get("sort")))
      state.sort = asked.get("sort");
    if (["0", "1"].includes(asked.get("down"))) state.down = asked.get("down");
    if (["trials", "seconds"].includes(asked.get("history"))) state.history = asked.get("history");
    if (asked.has("over")) state.over = asked.get("over") === "1";
    if (mv.rowOf.has(asked.get("pin"))) state.pin = mv.rowOf.get(asked.get("pin"));
    if (mv.rowOf.has(asked.get("reference"))) state.reference = asked.get("reference");
    state.find = asked.get("find") || "";
    state.paused = asked.get("paused") === "1";
    state.at = asked.get("at") || "";
    for (const name of asked.getAll("hide")) state.hide.add(name);
    for (const name of asked.getAll("without")) state.without.add(name);
    const axes = (asked.get("axes") || "").split(",").filter((k) => mv.columns.has(k));
    if (axes.length > 1) state.axes = axes;
    const zoom = (asked.get("zoom") || "").split(",").map(Number);
    if (zoom.length === 4 && zoom.every(Number.isFinite) && zoom[0] < zoom[1] && zoom[2] < zoom[3]) state.zoom = zoom;
    for (const text of asked.getAll("f")) {
      const [key, low, high] = text.split("~");
      if (mv.columns.has(key) && Number.isFinite(Number(low)) && Number.isFinite(Number(high)))
        state.filters.set(key, [Number(low), Number(high)]);
    }
  }

  function write() {
    const said = new URLSearchParams();
    for (const [key, value] of Object.entries(defaults)) if (state[key] !== value) said.set(key, state[key]);
    if (state.over === anyFeasible) said.set("over", state.over ? "1" : "0");
    if (state.pin !== null) said.set("pin", mv.names[state.pin]);
    if (state.reference) said.set("reference", state.reference);
    if (state.find) said.set("find", state.find);
    if (state.paused) said.set("paused", "1");
    if (state.at) said.set("at", state.at);
    for (const name of state.hide) said.append("hide", name);
    for (const name of state.without) said.append("without", name);
    if (state.axes) said.set("axes", state.axes.join(","));
    if (state.zoom) said.set("zoom", state.zoom.map((v) => Number(v.toPrecision(6))).join(","));
    for (const [key, [low, high]] of state.filters)
      said.append("f", `${key}~${Number(low.toPrecision(8))}~${Number(high.toPrecision(8))}`);
    history.replaceState(null, "", `#${said}`);
  }

  // Views are told what changed: axes, filter, focus, key, size, theme, sort, tab.
  const views = [];
  mv.view = (update) => views.push(update);
  let saving = 0;
  mv.changed = (...what) => {
    const told = new Set(what);
    if (told.has("filter")) select();
    for (const update of views) update(told);
    clearTimeout(saving);
    saving = setTimeout(write, 120);
  };
  mv.save = () => {
    clearTimeout(saving);
    write();
  };

  // What the filters keep. A network that lacks a number fails its filter; of the field only what is known counts.
  mv.kept = new Uint8Array(mv.count);
  function select() {
    const find = state.find.trim().toLowerCase();
    const filters = [...state.filters].map(([key, range]) => [mv.columns.get(key).values, range]);
    const withoutBlock = new Set([...state.without].filter((w) => w.startsWith("block:")).map((w) => w.slice(6)));
    const withoutOrigin = new Set([...state.without].filter((w) => w.startsWith("origin:")).map((w) => w.slice(7)));
    let found = 0;
    for (let i = 0; i < mv.count; i++) {
      const trial = mv.isTrial(i),
        role = mv.roles[i];
      let keep = role !== "failed" && (!trial || mv.feasible(i) || state.over);
      for (const [values, [low, high]] of filters) {
        if (!keep) break;
        const v = values[i];
        keep = Number.isNaN(v) ? role === "field" : v >= low && v <= high;
      }
      if (keep && withoutBlock.size && i < mv.own) keep = !mv.blocksOf[i].some((b) => withoutBlock.has(b));
      if (keep && withoutOrigin.size && trial) keep = !withoutOrigin.has(mv.origin(i));
      if (keep && find) keep = mv.names[i].toLowerCase().includes(find);
      mv.kept[i] = keep ? 1 : 0;
      if (keep && trial) found++;
    }
    mv.keptTrials = found;
  }
  mv.blocksOf = mv.all.map((i) => (i < mv.own ? mv.blocks(i) : []));
  mv.filtered = () => state.filters.size > 0 || state.without.size > 0 || state.find !== "" || state.over === anyFeasible;
  mv.clear = () => {
    state.filters.clear();
    state.without.clear();
    state.find = "";
    state.over = !anyFeasible;
    mv.changed("filter");
  };
  mv.setFilter = (key, range) => {
    const column = mv.columns.get(key),
      [low, high] = mv.extent(column);
    if (range === null || (range[0] <= low && range[1] >= high)) state.filters.delete(key);
    else state.filters.set(key, range);
    mv.changed("filter");
  };
  const extents = new Map();
  // Smallest and largest value among the trials.
  mv.extent = (column) => {
    if (!extents.has(column.key)) {
      let low = Infinity,
        high = -Infinity;
      for (const i of mv.trials) {
        const v = column.values[i];
        if (v < low) low = v;
        if (v > high) high = v;
      }
      extents.set(column.key, [low, high]);
    }
    return extents.get(column.key);
  };

  // The network that is looked at: what is pointed at, else what is pinned, else the winner or who stands for it.
  let pointed = null;
  const first = mv.rowOf.get(mv.raw.first) ?? (mv.count ? 0 : null);
  mv.focus = () => (state.pin !== null ? state.pin : (pointed ?? first));
  mv.pointed = () => pointed;
  mv.point = (i) => {
    if (i !== pointed) {
      pointed = i;
      mv.changed("focus");
    }
  };
  mv.pin = (i) => {
    state.pin = i;
    if (i !== null) pointed = i;
    mv.changed("focus");
  };
  mv.toggle = (i) => mv.pin(state.pin === i ? null : i);

  read();
  select();
  addEventListener("hashchange", () => {
    Object.assign(state, fresh());
    read();
    mv.changed("axes", "filter", "focus", "key", "sort", "tab");
  });
})();
