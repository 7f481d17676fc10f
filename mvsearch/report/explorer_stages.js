"use strict";
// A network drawn: its stages as boxes (height the map, width the channels, a bar per layer), and where its costs go.
(() => {
  const FAMILY = (kind, label) =>
    kind === "inverted_residual" ? "mv2" : label.startsWith("v3") ? "v3" : label.startsWith("v2") ? "v2" : "v1";

  mv.drawing = (i, width) => {
    const parts = mv.parts(i);
    if (!parts.length) return null;
    const height = 196,
      top = 20,
      base = 132,
      gap = 10;
    const channels = (p) =>
      p.name === "stem"
        ? mv.knob("stem.channels", i)
        : p.name === "head"
          ? mv.knob(`stage${p.stage - 1}.channels`, i)
          : mv.knob(`stage${p.stage}.channels`, i);
    const shares = parts.map((p) => (p.name === "head" ? 5 : Math.sqrt(channels(p)) + 4)),
      total = shares.reduce((a, b) => a + b, 0);
    const least = 27,
      spare = Math.max(0, width - 8 - gap * (parts.length - 1) - least * parts.length);
    const largest = Math.log2(Math.max(...parts.map((p) => p.height)) + 1);
    const said = [];
    const svg = mv.svg("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", height, role: "img", class: "drawing" });
    let x = 4;
    parts.forEach((p, k) => {
      const w = least + (shares[k] / total) * spare,
        h = 14 + (base - top - 14) * (Math.log2(p.height + 1) / largest),
        y = base - h,
        middle = x + w / 2;
      const stage = p.name.startsWith("stage"),
        label = stage ? mv.knob(`stage${p.stage}.block`, i) : p.name;
      const kind = stage ? mv.raw.blocks[label].kind : "",
        family = stage ? FAMILY(kind, label) : "ends";
      const layers = stage ? (mv.knob(`stage${p.stage}.depth`, i) ?? mv.knob(`stage${p.stage}.blocks`, i)) : 0;
      const dim = stage ? mv.knob(`stage${p.stage}.dim`, i) : null;
      svg.append(mv.svg("rect", { x, y, width: w, height: h, rx: 2, class: `part ${family}` }));
      if (layers) {
        const room = Math.min(w - 8, 9 * layers),
          step = room / layers,
          start = middle - room / 2;
        for (let n = 0; n < layers; n++)
          svg.append(
            mv.svg("rect", {
              x: start + n * step + 1,
              y: y + h * 0.22,
              width: Math.max(1.5, step - 2),
              height: h * 0.56,
              class: `layer ${family}`,
            }),
          );
      }
      const map = p.height > 1 ? `${p.height}${p.width === p.height ? "²" : `×${p.width}`}` : "";
      svg.append(mv.svg("text", { x: middle, y: y - 5, "text-anchor": "middle", class: "map", text: map }));
      svg.append(mv.svg("text", { x: middle, y: base + 15, "text-anchor": "middle", class: "kind", text: label }));
      const bottom = stage
        ? `C ${channels(p)}`
        : p.name === "stem"
          ? `C ${channels(p)}`
          : mv.knob("num_classes", i).toLocaleString("en");
      svg.append(mv.svg("text", { x: middle, y: base + 30, "text-anchor": "middle", class: "small", text: bottom }));
      if (dim)
        svg.append(
          mv.svg("text", { x: middle, y: base + 44, "text-anchor": "middle", class: "small", text: `d ${dim}` }),
          mv.svg("text", { x: middle, y: base + 58, "text-anchor": "middle", class: "small", text: `L ${layers}` }),
        );
      else if (layers)
        svg.append(mv.svg("text", { x: middle, y: base + 44, "text-anchor": "middle", class: "small", text: `×${layers}` }));
      said.push(
        `${p.name}${stage ? `: ${label}` : ""}, ${map ? `map ${p.height} by ${p.width}, ` : ""}${bottom}${dim ? `, d ${dim}, ${layers} layers` : layers ? `, ${layers} blocks` : ""}`,
      );
      x += w + gap;
    });
    svg.prepend(mv.svg("title", { text: `${mv.names[i]}: ${said.join("; ")}` }));
    return svg;
  };

  // The configuration as a table, part by part.
  const HEADS = [
    ["block", "block"],
    ["channels", "C"],
    ["expansion", "e"],
    ["blocks", "n"],
    ["dim", "d"],
    ["depth", "L"],
    ["heads", "h"],
    ["ffn_ratio", "ffn"],
    ["patch", "patch"],
  ];
  const MEANS = {
    C: "width: channels",
    e: "expansion ratio",
    n: "inverted residuals",
    d: "transformer width",
    L: "transformer layers",
    h: "attention heads",
    ffn: "feed-forward ratio",
  };
  mv.configuration = (i) => {
    const stages = mv.stages(i);
    const row = (name, cells) =>
      mv.el(
        "tr",
        {},
        mv.el("th", { scope: "row", class: "text", text: name }),
        cells.map((c, k) => mv.el("td", { class: k ? "" : "text", text: c ?? "" })),
      );
    const blank = HEADS.slice(2).map(() => "");
    return mv.el(
      "table",
      { class: "config" },
      mv.el(
        "thead",
        {},
        mv.el(
          "tr",
          {},
          mv.el("td", {}),
          HEADS.map(([key, h], k) =>
            mv.el("th", { scope: "col", class: k ? "" : "text" }, MEANS[h] ? mv.el("abbr", { title: MEANS[h], text: h }) : h),
          ),
        ),
      ),
      mv.el(
        "tbody",
        {},
        row("stem", [mv.knob("stem.kind", i) || "conv 3x3", mv.knob("stem.channels", i), ...blank]),
        stages.map((s) =>
          row(
            `stage ${s}`,
            HEADS.map(([key]) => mv.knob(`stage${s}.${key}`, i)),
          ),
        ),
        row("head", [mv.knob("head", i), "", ...blank]),
      ),
    );
  };

  const bar = (value, most, text, share) => {
    if (!value) return mv.el("td", { class: "muted", text: "0" });
    const cell = mv.el(
      "td",
      { class: "bar" },
      mv.el("span", { class: "track" }),
      mv.el("b", { text }),
      share === null ? null : mv.el("small", { text: share }),
    );
    cell.firstChild.style.width = `${Math.max(1, (value / most) * 100)}%`;
    return cell;
  };
  function costs(caption, first, rows, measures) {
    const totals = measures.map((m) => rows.reduce((sum, r) => sum + (r[m.key] || 0), 0)),
      most = measures.map((m) => Math.max(...rows.map((r) => r[m.key] || 0)));
    return mv.el(
      "table",
      { class: "costs" },
      mv.el("caption", { text: caption }),
      mv.el(
        "thead",
        {},
        mv.el(
          "tr",
          {},
          mv.el("th", { scope: "col", class: "text", text: first }),
          measures.map((m) => mv.el("th", { scope: "col", text: m.name })),
        ),
      ),
      mv.el(
        "tbody",
        {},
        rows.map((r) =>
          mv.el(
            "tr",
            {},
            mv.el("th", { scope: "row", class: "text" }, r.name, r.note ? mv.el("small", { text: r.note }) : null),
            measures.map((m, k) =>
              r[m.key] === null || r[m.key] === undefined
                ? mv.el("td", {})
                : bar(r[m.key], most[k], m.text(r[m.key]), totals[k] ? `${((r[m.key] / totals[k]) * 100).toFixed(0)} %` : ""),
            ),
          ),
        ),
      ),
    );
  }
  const MEASURES = [
    { key: "params", name: "params", text: mv.countText },
    { key: "macs", name: "MACs", text: mv.countText },
  ];
  const MS = { key: "ms", name: "ms", text: (v) => (v < 0.095 ? v.toFixed(3) : v.toFixed(2)) };

  mv.costTables = (i) => {
    const parts = mv
        .parts(i)
        .map((p) => ({ ...p, note: p.name.startsWith("stage") ? mv.knob(`stage${p.stage}.block`, i) : "" })),
      kinds = mv.kinds(i);
    if (!parts.length)
      return [mv.el("p", { class: "muted", text: "No architecture: of this network only what was published is known." })];
    const timed = parts[0].ms !== null,
      constant = mv.constantMs(i),
      measures = timed ? [...MEASURES, MS] : MEASURES;
    const overhead = { name: "overhead", note: "any network", ms: constant, params: null, macs: null };
    const rows = timed && constant !== null ? [...parts, overhead] : parts;
    const total = timed ? parts.reduce((s, p) => s + p.ms, constant || 0) : null;
    const latency = mv.columns.get("latency"),
      own = latency && latency.values[i],
      source = latency && latency.source(i);
    const found = [costs("By stage", "part", rows, measures)];
    if (timed) {
      const split = `Milliseconds: the shares of the fitted model in its prediction of ${total.toFixed(2)} ms; no operation was timed on its own.`;
      const differs =
        source && Math.abs(total / own - 1) > 0.01
          ? ` The latency of ${mv.text(latency, own)} above is ${source.kind}${source.kind === "predicted" ? " by another calibration" : ""}.`
          : "";
      found.push(mv.el("p", { class: "small", text: split + differs }));
    } else
      found.push(
        mv.el("p", {
          class: "small",
          text: `The latency of ${mv.raw.target} cannot be split here: it has no model of single operations.`,
        }),
      );
    if (kinds.length) {
      const ordered = [...kinds]
        .sort((a, b) => (b.ms ?? b.macs) - (a.ms ?? a.macs) || b.bytes - a.bytes)
        .map((k) => ({ ...k, name: k.name.replace("_", " "), note: `×${k.count}` }));
      if (timed && constant !== null) ordered.push(overhead);
      found.push(costs("By kind of operation", "kind", ordered, measures));
    } else
      found.push(
        mv.el(
          "p",
          { class: "small" },
          "By kind of operation: shown for the front, the published networks and the best others; for this one by the command under ",
          mv.el("i", { text: "Take it" }),
          ".",
        ),
      );
    return found;
  };
})();
