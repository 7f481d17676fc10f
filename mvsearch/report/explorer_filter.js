"use strict";
// The filters: a histogram with two handles per number or knob, kinds of blocks, origins.
(() => {
  const { state, el } = mv;
  const box = mv.byId("filters");
  if (!box) return;
  const STEPS = 400,
    BINS = 32;
  const base = ["lower", "top1", "latency", "params", "macs", "peak_memory", "distance", "in_budget"].filter(
    (k) => mv.columns.has(k) && mv.extent(mv.columns.get(k))[0] < mv.extent(mv.columns.get(k))[1],
  );
  let rows = [];

  function control(key) {
    const c = mv.columns.get(key),
      [low, high] = mv.extent(c),
      discrete = c.knob;
    const places = discrete ? (c.format === "choice" ? c.choices.map((_, k) => k) : c.choices) : null;
    const last = places ? places.length - 1 : STEPS;
    const scale = places ? null : mv.scale(low, high, 0, STEPS, c.log && low > 0);
    const value = (s) => (places ? places[Math.round(s)] : s <= 0 ? low : s >= STEPS ? high : scale.invert(s));
    const step = (v) =>
      places
        ? Math.max(
            0,
            places.findIndex((p) => p >= v),
          )
        : Math.round(scale(v));
    const bins = places ? places.length : BINS,
      bin = (v) => (places ? places.indexOf(v) : Math.min(BINS - 1, Math.floor((scale(v) / STEPS) * BINS)));
    const whole = new Float64Array(bins),
      binOf = Int16Array.from(mv.trials, (i) => (Number.isNaN(c.values[i]) ? -1 : bin(c.values[i])));
    for (const k of binOf) if (k >= 0) whole[k]++;
    const most = Math.max(...whole, 1);
    const canvas = el("canvas", { "aria-hidden": "true" });
    const handle = (side) =>
      el("input", { type: "range", min: 0, max: last, step: 1, "aria-label": `${c.name}, ${side}`, "data-side": side });
    const from = handle("least"),
      to = handle("most"),
      said = el("output", {});
    const apply = (event) => {
      let a = Number(from.value),
        b = Number(to.value);
      if (a > b) {
        if (event.target === from) a = b;
        else b = a;
      }
      mv.setFilter(key, a <= 0 && b >= last ? null : [value(a), value(b)]);
    };
    from.addEventListener("input", apply);
    to.addEventListener("input", apply);
    const extra = !base.includes(key);
    const node = el(
      "div",
      { class: "filter", role: "group", "aria-label": c.name, "data-key": key },
      el(
        "div",
        { class: "top" },
        el("span", { class: "name", text: c.name }),
        said,
        extra
          ? el("button", {
              type: "button",
              class: "bare",
              "aria-label": `remove the filter of ${c.name}`,
              text: "×",
              onclick: () => {
                added.delete(key);
                state.filters.delete(key);
                mv.changed("filter");
                build();
              },
            })
          : null,
      ),
      canvas,
      el("div", { class: "two" }, from, to),
    );
    function draw() {
      const range = state.filters.get(key) || [low, high],
        a = Math.max(0, step(range[0])),
        b = state.filters.has(key)
          ? Math.min(
              last,
              places ? places.reduce((k, p, j) => (p <= range[1] ? j : k), 0) : Math.round(scale(Math.min(high, range[1]))),
            )
          : last;
      from.value = a;
      to.value = b;
      for (const [input, v] of [
        [from, value(a)],
        [to, value(b)],
      ])
        input.setAttribute("aria-valuetext", mv.text(c, v));
      said.textContent = state.filters.has(key)
        ? `${mv.bare(c, value(a))} to ${mv.text(c, value(b))}`
        : mv.units[c.format] || "";
      node.classList.toggle("active", state.filters.has(key));
      const width = canvas.parentNode.clientWidth || 220,
        height = 34,
        context = mv.sheet(canvas, width, height);
      const kept = new Float64Array(bins);
      mv.trials.forEach((i, j) => {
        if (mv.kept[i] && binOf[j] >= 0) kept[binOf[j]]++;
      });
      const w = width / bins,
        tall = (n) => (n ? Math.max(1.5, Math.sqrt(n / most) * (height - 2)) : 0);
      context.fillStyle = mv.colour("rule");
      for (let k = 0; k < bins; k++) context.fillRect(k * w, height - tall(whole[k]), Math.max(1, w - 1), tall(whole[k]));
      context.fillStyle = mv.colour("front");
      for (let k = 0; k < bins; k++) context.fillRect(k * w, height - tall(kept[k]), Math.max(1, w - 1), tall(kept[k]));
    }
    return { node, draw };
  }

  const added = new Set([...state.filters.keys()].filter((k) => !base.includes(k)));
  const grid = el("div", { class: "filtergrid" }),
    kinds = el("div", { class: "kinds" });
  box.append(grid, kinds);
  function build() {
    for (const key of state.filters.keys()) if (!base.includes(key)) added.add(key);
    rows = [...base, ...added].map(control);
    const free = [...mv.columns.values()].filter(
      (c) => (c.knob ? c.varies : mv.extent(c)[0] < mv.extent(c)[1]) && !base.includes(c.key) && !added.has(c.key),
    );
    const more = el(
      "select",
      {
        id: "more",
        onchange: (event) => {
          if (event.target.value) {
            added.add(event.target.value);
            build();
            mv.changed("size");
          }
        },
      },
      el("option", { value: "", text: "another number or knob …" }),
      free.map((c) => el("option", { value: c.key, text: c.name })),
    );
    grid.replaceChildren(
      ...rows.map((r) => r.node),
      el("div", { class: "filter add" }, el("label", { for: "more", text: "filter by" }), more),
    );
    for (const r of rows) r.draw();
  }

  const used = [...new Set(mv.trials.flatMap((i) => mv.blocksOf[i]))].sort(),
    origins = [...new Set(mv.trials.map(mv.origin))].filter(Boolean);
  const tick = (group, value, label) =>
    el(
      "label",
      { class: "tick" },
      el("input", {
        type: "checkbox",
        checked: !state.without.has(`${group}:${value}`),
        "data-tick": `${group}:${value}`,
        onchange: (event) => {
          if (event.target.checked) state.without.delete(`${group}:${value}`);
          else state.without.add(`${group}:${value}`);
          mv.changed("filter");
        },
      }),
      el("span", { text: label }),
    );
  const set = (name, children) => (children.length > 1 ? el("fieldset", {}, el("legend", { text: name }), children) : null);
  const numOver = mv.trials.filter((i) => !mv.feasible(i) && mv.roles[i] !== "failed").length;
  const over = numOver
    ? el(
        "fieldset",
        {},
        el("legend", { text: "budget" }),
        el(
          "label",
          { class: "tick" },
          el("input", {
            type: "checkbox",
            id: "over",
            onchange: (event) => {
              state.over = event.target.checked;
              mv.changed("filter");
            },
          }),
          el("span", { text: `${numOver.toLocaleString("en")} that do not keep it (×)` }),
        ),
      )
    : null;
  kinds.append(
    ...[
      set(
        "blocks",
        used.map((b) => tick("block", b, b)),
      ),
      set(
        "origin",
        origins.map((o) => tick("origin", o, o)),
      ),
      over,
    ].filter(Boolean),
  );

  const draw = mv.frame(() => {
    for (const input of kinds.querySelectorAll("[data-tick]")) input.checked = !state.without.has(input.dataset.tick);
    const switched = mv.byId("over");
    if (switched) switched.checked = state.over;
    if ([...state.filters.keys()].some((k) => !base.includes(k) && !added.has(k))) build();
    else for (const r of rows) r.draw();
  });
  build();
  mv.view((what) => {
    if (["filter", "size", "theme"].some((w) => what.has(w))) draw();
  });

  mv.clearFilters = () => {
    added.clear();
    mv.clear();
    build();
  };
})();
