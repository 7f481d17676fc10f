"use strict";
// About one network: how it differs from another, what its numbers rest on, how to take it.
(() => {
  const { state, el } = mv;

  mv.fieldNotes = (f) => [
    el("p", {
      class: "small",
      text: `${f.family}. Every number as published: not estimated by this run's models, not measured here.`,
    }),
    el(
      "dl",
      { class: "numbers" },
      f.facts.map(([k, v]) => [el("dt", { text: k }), el("dd", { text: v })]),
    ),
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
    const options = mv.all.filter(
      (k) =>
        k < mv.own &&
        k !== i &&
        (mv.roles[k] === "published" || mv.roles[k] === "winner" || mv.roles[k] === "tied" || mv.names[k] === state.reference),
    );
    const select = el(
      "select",
      {
        id: "reference",
        onchange: (event) => {
          state.reference = event.target.value;
          mv.changed("tab");
        },
      },
      el("option", { value: "", text: `nearest published${mv.nearest(i) ? `: ${mv.nearest(i)}` : ""}` }),
      options.map((k) =>
        el("option", {
          value: mv.names[k],
          selected: mv.names[k] === state.reference,
          text: mv.names[k] + (mv.roles[k] === "published" ? "" : ` (${mv.roles[k]})`),
        }),
      ),
    );
    const chooser = el("p", { class: "against" }, el("label", { for: "reference", text: "against " }), select);
    if (other === undefined || mv.fieldOf(i)) return [chooser, el("p", { class: "muted", text: "Nothing to compare with." })];
    const rows = [],
      same = [];
    for (const c of mv.columns.values()) {
      if (!c.knob) continue;
      const a = c.text(i),
        b = c.text(other);
      if (a === b) {
        if (a !== null) same.push(c.name);
        continue;
      }
      const ratio = typeof a === "number" && typeof b === "number" && b ? `×${Number((a / b).toPrecision(3))}` : "";
      rows.push([c.name, a ?? "none", b ?? "none", ratio]);
    }
    const metrics = ["top1", "lower", "latency", "params", "macs", "activations", "peak_memory"]
      .map((k) => mv.columns.get(k))
      .filter((c) => c && !Number.isNaN(c.values[i] + c.values[other]));
    const change = (c) => {
      const a = c.values[i],
        b = c.values[other];
      return c.format === "percent" ? `${a >= b ? "+" : "−"}${Math.abs(a - b).toFixed(1)} points` : `×${(a / b).toFixed(2)}`;
    };
    const table = (caption, heads, lines) =>
      el(
        "table",
        { class: "differs" },
        el("caption", { text: caption }),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            heads.map((h, k) => el("th", { scope: "col", class: k ? "" : "text", text: h })),
          ),
        ),
        el(
          "tbody",
          {},
          lines.map((cells) =>
            el(
              "tr",
              {},
              el("th", { scope: "row", class: "text", text: cells[0] }),
              cells.slice(1).map((c) => el("td", { text: String(c) })),
            ),
          ),
        ),
      );
    return [
      chooser,
      table(
        rows.length
          ? `${rows.length} ${rows.length === 1 ? "knob differs" : "knobs differ"}, ${same.length} are the same`
          : "The same in every knob",
        ["knob", "this", "other", "ratio"],
        rows,
      ),
      table(
        "What that does, by the same models",
        ["number", "this", "other", "change"],
        metrics.map((c) => [c.name, mv.text(c, c.values[i]), mv.text(c, c.values[other]), change(c)]),
      ),
    ];
  }

  function sources(i) {
    const field = mv.fieldOf(i);
    if (field) return mv.fieldNotes(field);
    const rows = [];
    for (const c of mv.columns.values()) {
      const s = c.metric && !Number.isNaN(c.values[i]) && c.source(i);
      if (!s) continue;
      const interval = mv.interval(c, i),
        rests = [s.basis, s.protocol].filter(Boolean).join("; ");
      rows.push(
        el(
          "div",
          { class: "source" },
          el("b", { text: c.name }),
          " ",
          el("span", { text: `${mv.exact(c, c.values[i])}` }),
          " ",
          el("span", { class: `kind ${s.kind}`, text: s.kind + (s.target ? ` on ${s.target}` : "") }),
          interval
            ? el("div", { text: `interval, ${Math.round(s.level * 100)} %: ${interval}` })
            : s.kind === "counted"
              ? el("div", { class: "muted", text: "exact: added up from the architecture, operation by operation" })
              : null,
          rests ? el("div", { class: "muted", text: rests + (s.n ? `; n = ${s.n}` : "") }) : null,
          s.versions ? el("div", { class: "muted", text: s.versions }) : null,
        ),
      );
    }
    const said = mv.said(i);
    if (said !== null && said !== undefined)
      rows.unshift(
        el(
          "div",
          { class: "source" },
          el("b", { text: "top-1, as published" }),
          ` ${said.toFixed(1)}\u00a0% `,
          el("span", { class: "kind published", text: "published" }),
          el("div", { class: "muted", text: "reported by the authors; not reproduced here" }),
        ),
      );
    const rung = mv.rung(i);
    if (rung)
      rows.push(
        el("p", {
          class: "small",
          text: {
            estimated: "Not built: its numbers are computed from the architecture.",
            built: "Built, counted again and run once.",
            converted: "Built, counted again, run once and converted for the device.",
            measured: "Built, converted and timed.",
            trained: "Trained on your images.",
          }[rung],
        }),
      );
    return rows;
  }

  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
  function copyable(title, text, name) {
    const said = el("span", { class: "said", role: "status" });
    const button = el("button", {
      type: "button",
      text: "copy",
      "aria-label": `copy: ${title}`,
      onclick: async () => {
        said.textContent = (await mv.copy(text)) ? "copied" : "select the text and copy it";
        setTimeout(() => {
          said.textContent = "";
        }, 2500);
      },
    });
    const save = name
      ? el("button", {
          type: "button",
          text: "save",
          "aria-label": `save: ${name}`,
          onclick: () => mv.download(new Blob([text], { type: "application/json" }), name),
        })
      : null;
    return el(
      "div",
      { class: "copy" },
      el("p", {}, el("b", { text: title }), " ", button, " ", save, " ", said),
      el("pre", { tabindex: "0", role: "region", "aria-label": title, text }),
    );
  }
  function take(i) {
    if (mv.fieldOf(i)) return [el("p", { class: "muted", text: "A network of another family: it is here to compare with." })];
    const published = mv.roles[i] === "published",
      file = `${mv.names[i]}.json`,
      where = `--target ${quoted(mv.raw.target)} --resolution ${mv.raw.resolution}`;
    const source = quoted(published ? mv.names[i] : file),
      json = JSON.stringify(mv.spec(i), null, 1).replace(/\[\s+(\d+),\s+(\d+)\s+\]/g, "[$1, $2]");
    return [
      copyable("All its numbers, on the command line", `mvsearch describe ${source} ${where}`),
      copyable("Every operation, with its share", `mvsearch describe ${source} ${where} --by op`),
      published ? null : el("p", { class: "small" }, "Save the architecture first, as ", el("code", { text: file }), "."),
      copyable(
        "In Python: the network, with fresh weights",
        `import mvsearch\nfrom mvsearch.api import read_network\n\nmodel = mvsearch.build(read_network(${JSON.stringify(published ? mv.names[i] : file)}))`,
      ),
      copyable("The architecture as JSON", json, file),
    ];
  }

  // A page that was opened as a file may lack the clipboard of secure pages; then the old way.
  mv.copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      /* the old way follows */
    }
    const area = el("textarea", { class: "sr", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    const active = document.activeElement;
    area.select();
    let done = false;
    try {
      done = document.execCommand("copy");
    } catch {
      done = false;
    }
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

  mv.about = { differs, sources, take };
})();
