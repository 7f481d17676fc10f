"use strict";
// The panel of the network that is looked at: its numbers, drawing and configuration, and the tabs for the rest.
(() => {
  const { state, el } = mv;
  const panel = mv.byId("network");
  if (!panel) return;
  const TABS = [
    ["network", "Network"],
    ["costs", "Costs"],
    ["differs", "Compare"],
    ["sources", "Sources"],
    ["take", "Take it"],
  ];
  const head = el("div", { class: "who" }),
    list = el("div", { class: "tabs", role: "tablist", "aria-label": "About this network" });
  const body = el("div", { class: "tabpanel", role: "tabpanel", id: "tabpanel", tabindex: "0" });
  for (const [key, name] of TABS) {
    list.append(
      el("button", {
        type: "button",
        role: "tab",
        id: `tab-${key}`,
        "aria-controls": "tabpanel",
        "data-tab": key,
        text: name,
        onclick: () => choose(key),
      }),
    );
  }
  panel.append(head, list, body);
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const keys = TABS.map(([k]) => k),
      next = keys[(keys.indexOf(state.tab) + step + keys.length) % keys.length];
    choose(next);
    mv.byId(`tab-${next}`).focus();
    event.preventDefault();
  });
  function choose(key) {
    state.tab = key;
    mv.changed("tab");
  }

  const reliable = (i) =>
    `${mv.roleText(i)}${mv.isTrial(i) ? `, trial ${mv.columns.get("trial").values[i]}${mv.origin(i) ? `, ${mv.origin(i)}` : ""}` : ""}`;

  function header(i) {
    const pinned = state.pin === i;
    head.replaceChildren(
      el("h3", {}, el("code", { text: mv.names[i] }), " ", el("span", { class: "role", text: reliable(i) })),
      el("button", {
        type: "button",
        class: "pin",
        "aria-pressed": pinned ? "true" : "false",
        text: pinned ? "let go" : "pin",
        title: pinned ? "Escape" : "Enter, or a click on its mark",
        onclick: () => mv.toggle(i),
      }),
    );
  }

  const SHOWN = [
    "top1",
    "lower",
    "latency",
    "in_budget",
    "on_front",
    "params",
    "macs",
    "activations",
    "peak_memory",
    "weight_bytes",
    "distance",
  ];
  function numbers(i) {
    const list = el("dl", { class: "numbers" }),
      field = mv.fieldOf(i);
    const said = mv.said(i);
    if (said !== null && said !== undefined)
      list.append(el("dt", { text: "authors report" }), el("dd", { text: `${said.toFixed(1)}\u00a0%, published` }));
    for (const key of SHOWN) {
      const c = mv.columns.get(key);
      if (!c || Number.isNaN(c.values[i])) continue;
      const source = c.source(i),
        interval = mv.interval(c, i),
        kind = field ? "published" : source ? source.kind : "";
      const about = [
        kind,
        interval && `${Math.round((source && source.level ? source.level : 0.9) * 100)}\u00a0%: ${interval}`,
        key === "lower" ? `${Math.round(mv.raw.confidence * 100)}\u00a0% sure` : "",
      ]
        .filter(Boolean)
        .join(", ");
      list.append(
        el("dt", { text: c.key === "lower" ? "at least" : c.key === "top1" ? "top-1" : c.name, title: c.about || null }),
        el(
          "dd",
          {},
          el("b", { text: key === "params" || key === "macs" ? mv.exact(c, c.values[i]) : mv.text(c, c.values[i]) }),
          about ? el("span", { class: "muted", text: ` ${about}` }) : null,
        ),
      );
    }
    return list;
  }

  function network(i) {
    const field = mv.fieldOf(i);
    if (field) return [numbers(i), ...mv.fieldNotes(field)];
    const room = Math.max(260, body.clientWidth - 4);
    const notes = [
      mv.nearest(i) && mv.nearest(i) !== mv.names[i] ? `Nearest published network: ${mv.nearest(i)}.` : "",
      mv.raw.failures[i] ? `Failed: ${mv.raw.failures[i]}` : "",
      ...mv.flags(i).map((f) => `${f}.`),
    ].filter(Boolean);
    const scroll = el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Configuration" },
      mv.configuration(i),
    );
    return [
      numbers(i),
      mv.drawing(i, room),
      scroll,
      notes.length
        ? el(
            "ul",
            { class: "notes" },
            notes.map((n) => el("li", { text: n })),
          )
        : null,
    ];
  }
  // What stands beside the pointer: the axes' numbers; the configuration too where the panel shows another network, or is far.
  mv.tipLines = (i) => {
    const line = (c) =>
      c.knob
        ? `${c.name} ${mv.bare(c, c.values[i])}`
        : `${c.key === "lower" ? "at least" : c.key === "top1" ? "top-1" : c.name} ${mv.text(c, c.values[i])}${mv.interval(c, i) ? ` (${mv.interval(c, i)})` : ""}`;
    const keys = [...new Set([state.y, state.x, "top1", "latency", "params", "macs"])]
      .map((k) => mv.columns.get(k))
      .filter((c) => c && !Number.isNaN(c.values[i]));
    return [
      el("b", {}, el("code", { text: mv.names[i] }), ` ${mv.roleText(i)}`),
      ...keys.map((c) => el("div", { text: line(c) })),
      i >= mv.own
        ? el("div", { class: "muted", text: "as published" })
        : mv.focus() !== i || innerWidth <= 1080
          ? mv.configuration(i)
          : null,
    ].filter(Boolean);
  };

  const live = mv.byId("said");
  let told = null;
  function announce(i) {
    if (i === told || document.activeElement !== mv.byId("scatter")) return;
    told = i;
    const say = ["top1", "latency", "params"]
      .map((k) => mv.columns.get(k))
      .filter((c) => c && !Number.isNaN(c.values[i]))
      .map((c) => `${c.name} ${mv.text(c, c.values[i])}`);
    live.textContent = `${mv.names[i]}, ${mv.roleText(i)}, ${say.join(", ")}${state.pin === i ? ", pinned" : ""}`;
  }

  const CONTENT = { network, costs: mv.costTables, ...mv.about };
  let drawn = "";
  const draw = mv.frame(() => {
    const i = mv.focus();
    if (i === null) return;
    const now = `${i} ${state.tab} ${state.pin} ${state.reference} ${body.clientWidth}`;
    if (now === drawn) return;
    drawn = now;
    header(i);
    for (const button of list.children) {
      const on = button.dataset.tab === state.tab;
      button.setAttribute("aria-selected", on ? "true" : "false");
      button.tabIndex = on ? 0 : -1;
    }
    body.setAttribute("aria-labelledby", `tab-${state.tab}`);
    body.replaceChildren(...CONTENT[state.tab](i).flat().filter(Boolean));
    announce(i);
  });
  mv.view((what) => {
    if (["focus", "tab", "size"].some((w) => what.has(w))) draw();
  });
})();
