"use strict";
// One network whole: numbers, drawing, configuration; its costs; how it differs from another; what the numbers rest on; how to take it.
(() => {
  const { state, el } = mv;
  const panel = mv.byId("network");
  if (!panel) return;
  const TABS = [["network", "Network"], ["costs", "Costs"], ["differs", "Compare"], ["sources", "Sources"], ["take", "Take it"]];
  const head = el("div", { class: "who" }), list = el("div", { class: "tabs", role: "tablist", "aria-label": "About this network" });
  const body = el("div", { class: "tabpanel", role: "tabpanel", id: "tabpanel", tabindex: "0" });
  for (const [key, name] of TABS) {
    list.append(el("button", { type: "button", role: "tab", id: `tab-${key}`, "aria-controls": "tabpanel", "data-tab": key, text: name, onclick: () => choose(key) }));
  }
  panel.append(head, list, body);
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const keys = TABS.map(([k]) => k), next = keys[(keys.indexOf(state.tab) + step + keys.length) % keys.length];
    choose(next);
    mv.byId(`tab-${next}`).focus();
    event.preventDefault();
  });
  function choose(key) { state.tab = key; mv.changed("tab"); }

  const reliable = (i) => `${mv.roleText(i)}${mv.isTrial(i) ? `, trial ${mv.columns.get("trial").values[i]}${mv.origin(i) ? `, ${mv.origin(i)}` : ""}` : ""}`;

  function header(i) {
    const pinned = state.pin === i;
    head.replaceChildren(
      el("h3", {}, el("code", { text: mv.names[i] }), " ", el("span", { class: "role", text: reliable(i) })),
      el("button", { type: "button", class: "pin", "aria-pressed": pinned ? "true" : "false", text: pinned ? "let go" : "pin", title: pinned ? "Escape" : "Enter, or a click on its mark", onclick: () => mv.toggle(i) }));
  }

  const SHOWN = ["top1", "lower", "latency", "in_budget", "on_front", "params", "macs", "activations", "peak_memory", "weight_bytes", "distance"];
  function numbers(i) {
    const list = el("dl", { class: "numbers" }), field = mv.fieldOf(i);
    const said = mv.said(i);
    if (said !== null && said !== undefined) list.append(el("dt", { text: "authors report" }), el("dd", { text: `${said.toFixed(1)}\u00a0%, published` }));
    for (const key of SHOWN) {
      const c = mv.columns.get(key);
      if (!c || Number.isNaN(c.values[i])) continue;
      const source = c.source(i), interval = mv.interval(c, i), kind = field ? "published" : source ? source.kind : "";
      const about = [kind, interval && `${Math.round((source && source.level ? source.level : 0.9) * 100)}\u00a0%: ${interval}`, key === "lower" ? `${Math.round(mv.raw.confidence * 100)}\u00a0% sure` : ""].filter(Boolean).join(", ");
      list.append(el("dt", { text: c.key === "lower" ? "at least" : c.key === "top1" ? "top-1" : c.name, title: c.about || null }), el("dd", {}, el("b", { text: key === "params" || key === "macs" ? mv.exact(c, c.values[i]) : mv.text(c, c.values[i]) }), about ? el("span", { class: "muted", text: ` ${about}` }) : null));
    }
    return list;
  }

  function network(i) {
    const field = mv.fieldOf(i);
    if (field) return [numbers(i), ...fieldNotes(field)];
    const room = Math.max(260, body.clientWidth - 4);
    const notes = [mv.nearest(i) && mv.nearest(i) !== mv.names[i] ? `Nearest published network: ${mv.nearest(i)}.` : "", mv.raw.failures[i] ? `Failed: ${mv.raw.failures[i]}` : "", ...mv.flags(i).map((f) => `${f}.`)].filter(Boolean);
    const scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Configuration" }, mv.configuration(i));
    return [numbers(i), mv.drawing(i, room), scroll, notes.length ? el("ul", { class: "notes" }, notes.map((n) => el("li", { text: n }))) : null];
  }
  const fieldNotes = (f) => [
    el("p", { class: "small", text: `${f.family}. Every number as published: not estimated by this run's models, not measured here.` }),
    el("dl", { class: "numbers" }, f.facts.map(([k, v]) => [el("dt", { text: k }), el("dd", { text: v })])),
  ];

  // Knob by knob against another network: the nearest published one unless another is chosen.
  function reference(i) {
    const asked = state.reference && mv.rowOf.get(state.reference);
    if (asked !== undefined && asked !== "" && asked !== i) return asked;
    const near = mv.rowOf.get(mv.nearest(i));
    return near !== undefined && near !== i ? near : mv.all.find((k) => mv.roles[k] === "published" && k !== i);
  }
  function differs(i) {
    const other = reference(i);
    const options = mv.all.filter((k) => k < mv.own && k !== i && (mv.roles[k] === "published" || mv.roles[k] === "winner" || mv.roles[k] === "tied" || mv.names[k] === state.reference));
    const select = el("select", { id: "reference", onchange: (event) => { state.reference = event.target.value; mv.changed("tab"); } },
      el("option", { value: "", text: `nearest published${mv.nearest(i) ? `: ${mv.nearest(i)}` : ""}` }), options.map((k) => el("option", { value: mv.names[k], selected: mv.names[k] === state.reference, text: mv.names[k] + (mv.roles[k] === "published" ? "" : ` (${mv.roles[k]})`) })));
    const chooser = el("p", { class: "against" }, el("label", { for: "reference", text: "against " }), select);
    if (other === undefined || mv.fieldOf(i)) return [chooser, el("p", { class: "muted", text: "Nothing to compare with." })];
    const rows = [], same = [];
    for (const c of mv.columns.values()) {
      if (!c.knob) continue;
      const a = c.text(i), b = c.text(other);
      if (a === b) { if (a !== null) same.push(c.name); continue; }
      const ratio = typeof a === "number" && typeof b === "number" && b ? `×${Number((a / b).toPrecision(3))}` : "";
      rows.push([c.name, a ?? "none", b ?? "none", ratio]);
    }
    const metrics = ["top1", "lower", "latency", "params", "macs", "activations", "peak_memory"].map((k) => mv.columns.get(k)).filter((c) => c && !Number.isNaN(c.values[i] + c.values[other]));
    const change = (c) => {
      const a = c.values[i], b = c.values[other];
      return c.format === "percent" ? `${a >= b ? "+" : "−"}${Math.abs(a - b).toFixed(1)} points` : `×${(a / b).toFixed(2)}`;
    };
    const table = (caption, heads, lines) => el("table", { class: "differs" }, el("caption", { text: caption }), el("thead", {}, el("tr", {}, heads.map((h, k) => el("th", { scope: "col", class: k ? "" : "text", text: h })))),
      el("tbody", {}, lines.map((cells) => el("tr", {}, el("th", { scope: "row", class: "text", text: cells[0] }), cells.slice(1).map((c) => el("td", { text: String(c) }))))));
    return [chooser,
      table(rows.length ? `${rows.length} ${rows.length === 1 ? "knob differs" : "knobs differ"}, ${same.length} are the same` : "The same in every knob", ["knob", "this", "other", "ratio"], rows),
      table("What that does, by the same models", ["number", "this", "other", "change"], metrics.map((c) => [c.name, mv.text(c, c.values[i]), mv.text(c, c.values[other]), change(c)]))];
  }

  function sources(i) {
    const field = mv.fieldOf(i);
    if (field) return fieldNotes(field);
    const rows = [];
    for (const c of mv.columns.values()) {
      const s = c.metric && !Number.isNaN(c.values[i]) && c.source(i);
      if (!s) continue;
      const interval = mv.interval(c, i), rests = [s.basis, s.protocol].filter(Boolean).join("; ");
      rows.push(el("div", { class: "source" }, el("b", { text: c.name }), " ", el("span", { text: `${mv.exact(c, c.values[i])}` }), " ", el("span", { class: `kind ${s.kind}`, text: s.kind + (s.target ? ` on ${s.target}` : "") }),
        interval ? el("div", { text: `interval, ${Math.round(s.level * 100)} %: ${interval}` }) : s.kind === "counted" ? el("div", { class: "muted", text: "exact: added up from the architecture, operation by operation" }) : null,
        rests ? el("div", { class: "muted", text: rests + (s.n ? `; n = ${s.n}` : "") }) : null, s.versions ? el("div", { class: "muted", text: s.versions }) : null));
    }
    const said = mv.said(i);
    if (said !== null && said !== undefined) rows.unshift(el("div", { class: "source" }, el("b", { text: "top-1, as published" }), ` ${said.toFixed(1)}\u00a0% `, el("span", { class: "kind published", text: "published" }), el("div", { class: "muted", text: "reported by the authors; not reproduced here" })));
    const rung = mv.rung(i);
    if (rung) rows.push(el("p", { class: "small", text: { estimated: "Not built: its numbers are computed from the architecture.", built: "Built, counted again and run once.", converted: "Built, counted again, run once and converted for the device.", measured: "Built, converted and timed.", trained: "Trained on your images." }[rung] }));
    return rows;
  }

  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
  function copyable(title, text, name) {
    const said = el("span", { class: "said", role: "status" });
    const button = el("button", { type: "button", text: "copy", "aria-label": `copy: ${title}`, onclick: async () => { said.textContent = (await mv.copy(text)) ? "copied" : "select the text and copy it"; setTimeout(() => { said.textContent = ""; }, 2500); } });
    const save = name ? el("button", { type: "button", text: "save", "aria-label": `save: ${name}`, onclick: () => mv.download(new Blob([text], { type: "application/json" }), name) }) : null;
    return el("div", { class: "copy" }, el("p", {}, el("b", { text: title }), " ", button, " ", save, " ", said), el("pre", { tabindex: "0", role: "region", "aria-label": title, text }));
  }
  function take(i) {
    if (mv.fieldOf(i)) return [el("p", { class: "muted", text: "A network of another family: it is here to compare with." })];
    const published = mv.roles[i] === "published", file = `${mv.names[i]}.json`, where = `--target ${quoted(mv.raw.target)} --resolution ${mv.raw.resolution}`;
    const source = quoted(published ? mv.names[i] : file), json = JSON.stringify(mv.spec(i), null, 1).replace(/\[\s+(\d+),\s+(\d+)\s+\]/g, "[$1, $2]");
    return [
      copyable("All its numbers, on the command line", `mvsearch describe ${source} ${where}`),
      copyable("Every operation, with its share", `mvsearch describe ${source} ${where} --by op`),
      published ? null : el("p", { class: "small" }, "Save the architecture first, as ", el("code", { text: file }), "."),
      copyable("In Python: the network, with fresh weights", `import mvsearch\nfrom mvsearch.api import read_network\n\nmodel = mvsearch.build(read_network(${JSON.stringify(published ? mv.names[i] : file)}))`),
      copyable("The architecture as JSON", json, file),
    ];
  }

  // A page that was opened as a file may lack the clipboard of secure pages; then the old way.
  mv.copy = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* the old way follows */ }
    const area = el("textarea", { class: "sr", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    const active = document.activeElement;
    area.select();
    let done = false;
    try { done = document.execCommand("copy"); } catch { done = false; }
    area.remove();
    if (active) active.focus();
    return done;
  };
  mv.download = (blob, name) => {
    const link = el("a", { href: URL.createObjectURL(blob), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  // What stands beside the pointer: the axes' numbers; the configuration too where the panel shows another network, or is far.
  mv.tipLines = (i) => {
    const line = (c) => (c.knob ? `${c.name} ${mv.bare(c, c.values[i])}` : `${c.key === "lower" ? "at least" : c.key === "top1" ? "top-1" : c.name} ${mv.text(c, c.values[i])}${mv.interval(c, i) ? ` (${mv.interval(c, i)})` : ""}`);
    const keys = [...new Set([state.y, state.x, "top1", "latency", "params", "macs"])].map((k) => mv.columns.get(k)).filter((c) => c && !Number.isNaN(c.values[i]));
    return [el("b", {}, el("code", { text: mv.names[i] }), ` ${mv.roleText(i)}`), ...keys.map((c) => el("div", { text: line(c) })), i >= mv.own ? el("div", { class: "muted", text: "as published" }) : mv.focus() !== i || innerWidth <= 1080 ? mv.configuration(i) : null].filter(Boolean);
  };

  const live = mv.byId("said");
  let told = null;
  function announce(i) {
    if (i === told || document.activeElement !== mv.byId("scatter")) return;
    told = i;
    const say = ["top1", "latency", "params"].map((k) => mv.columns.get(k)).filter((c) => c && !Number.isNaN(c.values[i])).map((c) => `${c.name} ${mv.text(c, c.values[i])}`);
    live.textContent = `${mv.names[i]}, ${mv.roleText(i)}, ${say.join(", ")}${state.pin === i ? ", pinned" : ""}`;
  }

  const CONTENT = { network, costs: mv.costTables, differs, sources, take };
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
  mv.view((what) => { if (["focus", "tab", "size"].some((w) => what.has(w))) draw(); });
})();
