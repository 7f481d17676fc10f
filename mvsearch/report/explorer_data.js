"use strict";
// What the page holds as JSON, decoded: one row per network, columns of numbers and of knobs. The scripts share `mv`.
const mv = {};
(() => {
  const raw = JSON.parse(document.getElementById("data").textContent);
  const field = raw.field || [];
  const own = raw.names.length;
  const count = own + field.length;
  mv.raw = raw;
  mv.count = count;
  mv.own = own;
  mv.names = raw.names.concat(field.map((f) => f.name));
  mv.all = Array.from({ length: count }, (_, i) => i);

  // A column that is the same in all rows is one value.
  const at = (column, i) => (Array.isArray(column) ? column[i] : column);
  const typed = (values, key) =>
    Float64Array.from({ length: count }, (_, i) => {
      const value = i < own ? at(values, i) : field[i - own][key];
      return value === null || value === undefined ? NaN : value;
    });

  mv.role = (i) => (i < own ? raw.roles[at(raw.role, i)] : "field");
  mv.roles = mv.all.map(mv.role);
  mv.isTrial = (i) => i < own && mv.roles[i] !== "published";
  mv.onFront = (i) => mv.roles[i] === "front" || mv.roles[i] === "tied" || mv.roles[i] === "winner";
  mv.feasible = (i) => i >= own || at(raw.feasible, i) === 1;
  mv.origin = (i) => (i < own ? raw.origins[at(raw.origin, i)] : "");
  mv.rung = (i) => (i < own ? raw.rungs[at(raw.rung, i)] : "");
  mv.nearest = (i) => (i < own ? raw.nearests[at(raw.nearest, i)] : "");
  mv.flags = (i) => (raw.flags[i] || []).map((k) => raw.notes[k]);
  mv.archId = (i) => raw.ids[i] || raw.names[i] || "";
  mv.label = (i) => (i < own ? (raw.published[i] || [""])[0] : field[i - own].name);
  mv.family = (i) => (i < own ? (raw.published[i] || ["", ""])[1] : field[i - own].family);
  mv.said = (i) => (raw.published[i] || [])[2];
  mv.fieldOf = (i) => (i < own ? null : field[i - own]);
  mv.rowOf = new Map();
  mv.names.forEach((name, i) => {
    if (!mv.rowOf.has(name)) mv.rowOf.set(name, i);
  });
  mv.trials = mv.all.filter(mv.isTrial);
  mv.winner = mv.all.find((i) => mv.roles[i] === "winner");
  mv.front = mv.all.filter(mv.onFront);

  // Columns: metrics by their keys, knobs as `knob:NAME`. A knob of texts is drawn at the places of its values.
  mv.columns = new Map();
  mv.kindsOf = (column) => [
    ...new Set(
      mv.all
        .filter((i) => i < own && !Number.isNaN(column.values[i]))
        .map((i) => column.source(i))
        .filter(Boolean)
        .map((s) => s.kind),
    ),
  ];
  const sources = raw.sources.map(
    (s) => s && { kind: s[0], level: s[1], target: s[2], basis: s[3], protocol: s[4], n: s[5], versions: s[6] },
  );
  for (const m of raw.metrics) {
    const column = {
      ...m,
      metric: true,
      values: typed(m.values, m.key),
      low: m.low && typed(m.low),
      high: m.high && typed(m.high),
    };
    column.source = m.source === undefined ? () => null : (i) => (i < own ? sources[at(m.source, i)] : null);
    mv.columns.set(m.key, column);
  }
  for (const k of raw.knobs) {
    const index = (i) => (i < own ? at(k.data, i) : -1);
    const numeric = k.values.every((v) => typeof v === "number");
    const values = Float64Array.from({ length: count }, (_, i) => {
      const place = index(i);
      return place < 0 ? NaN : numeric ? k.values[place] : place;
    });
    const varies = Array.isArray(k.data) && k.values.length > 1;
    mv.columns.set(`knob:${k.name}`, {
      key: `knob:${k.name}`,
      name: mv.knobName ? mv.knobName(k.name) : k.name,
      knob: k.name,
      choices: k.values,
      numeric,
      varies,
      values,
      better: 0,
      log: false,
      format: numeric ? "plain" : "choice",
      source: () => null,
      text: (i) => (index(i) < 0 ? null : k.values[index(i)]),
    });
  }
  mv.knob = (name, i) => {
    const c = mv.columns.get(`knob:${name}`);
    return c ? c.text(i) : null;
  };

  const short = {
    channels: "width",
    expansion: "expansion",
    blocks: "blocks",
    stride: "stride",
    dim: "d",
    depth: "L",
    heads: "heads",
    ffn_ratio: "FFN",
    patch: "patch",
    block: "block",
  };
  mv.knobName = (name) => {
    const [part, key] = name.split(".");
    if (part.startsWith("stage")) return `stage ${part.slice(5)} ${short[key] || key}`;
    if (name === "stem.kind") return "stem";
    return { stem: "stem width", num_classes: "classes", in_channels: "image channels" }[part] || part;
  };
  for (const column of mv.columns.values()) if (column.knob) column.name = mv.knobName(column.knob);

  mv.stages = (i) => {
    const found = [];
    for (let s = 1; mv.knob(`stage${s}.block`, i) !== null; s++) found.push(s);
    return found;
  };
  mv.blocks = (i) =>
    mv
      .stages(i)
      .map((s) => mv.knob(`stage${s}.block`, i))
      .filter((b) => raw.blocks[b].kind !== "inverted_residual");

  // The architecture as `mvsearch` reads it from a file.
  mv.spec = (i) => {
    const knob = (name) => mv.knob(name, i);
    const stages = mv.stages(i).map((s) => {
      const get = (key) => knob(`stage${s}.${key}`);
      const fixed = raw.blocks[get("block")];
      const stage = { ...fixed, channels: get("channels") };
      const put = (field, value) => value !== null && (stage[field] = value);
      for (const key of ["expansion", "stride", "dim", "ffn_ratio", "heads", "attention", "side"]) put(key, get(key));
      put("num_blocks", get("blocks"));
      if (get("patch") !== null) stage.patch = get("patch").split("x").map(Number);
      if (get("ffn1") === null) put("depth", get("depth"));
      else stage.ffn_ratios = Array.from({ length: get("depth") }, (_, b) => get(`ffn${b + 1}`));
      const mode = get("mode");
      if (mode !== null) {
        stage.attention_stride = mode.includes("half") ? 2 : 1;
        stage.attention_downsampling = mode.includes("down");
      }
      return stage;
    });
    return {
      schema_version: 1,
      arch_id: mv.archId(i),
      stem: { ...(raw.stems[knob("stem.kind")] || { kind: "conv" }), channels: knob("stem.channels") },
      stages,
      head: raw.heads[knob("head")],
      activation: knob("activation"),
      num_classes: knob("num_classes"),
      in_channels: knob("in_channels"),
    };
  };

  // Costs by part: a part that networks share stands once; its milliseconds take the network's own factor.
  mv.parts = (i) => {
    if (i >= own) return [];
    const p = raw.costs.parts,
      factor = raw.costs.factor && raw.costs.factor[i],
      of = raw.costs.of[i];
    return of.map((k, place) => ({
      name: place === 0 ? "stem" : place === of.length - 1 ? "head" : `stage ${place}`,
      stage: place,
      height: p.height[k],
      width: p.width[k],
      params: p.params[k],
      macs: p.macs[k],
      activations: p.activations[k],
      peak: p.peak[k],
      ms: factor ? p.ms[k] * factor : null,
    }));
  };
  mv.constantMs = (i) => (i < own && raw.costs.constant ? raw.costs.constant[i] : null);
  mv.kinds = (i) =>
    (raw.kinds.of[i] || []).map((k) => ({
      name: raw.kinds.kinds[k[0]],
      count: k[1],
      params: k[2],
      macs: k[3],
      bytes: k[4],
      ms: k[5],
    }));

  // Numbers in words, as in the tables of the terminal.
  mv.countText = (v) => {
    for (const [factor, letter] of [
      [1e9, "G"],
      [1e6, "M"],
      [1e3, "k"],
    ]) {
      if (Math.abs(v) >= factor) {
        const scaled = v / factor;
        return `${scaled.toFixed(Math.max(0, 2 - Math.floor(Math.log10(Math.abs(scaled)))))} ${letter}`;
      }
    }
    return v.toFixed(0);
  };
  const bare = {
    percent: (v) => v.toFixed(1),
    ms: (v) => (v < 99.5 ? v.toFixed(2) : v.toFixed(0)),
    count: mv.countText,
    megabytes: (v) => (v / 1e6).toFixed(2),
    points: (v) => v.toFixed(2),
    probability: (v) => (v < 0.01 ? "<0.01" : v > 0.99 ? ">0.99" : v.toFixed(2)),
    integer: (v) => v.toLocaleString("en"),
    plain: (v) => String(v),
  };
  mv.units = { percent: "%", ms: "ms", megabytes: "MB", points: "points" };
  mv.bare = (column, value) => {
    if (Number.isNaN(value)) return "";
    if (column.format === "choice") return String(column.choices[Math.round(value)] ?? "");
    return bare[column.format](value);
  };
  mv.text = (column, value) => {
    const words = mv.bare(column, value),
      unit = mv.units[column.format];
    return words && unit ? `${words}\u00a0${unit}` : words;
  };
  mv.exact = (column, value) => (column.format === "count" ? Math.round(value).toLocaleString("en") : mv.text(column, value));
  mv.interval = (column, i) => {
    if (!column.low || !(column.high[i] > column.low[i])) return "";
    const value = column.values[i],
      low = column.low[i],
      high = column.high[i];
    const half = (high - low) / 2;
    if (column.format === "percent" && Math.abs(value - (low + high) / 2) <= 0.05 * (high - low)) return `±${half.toFixed(1)}`;
    return `${mv.bare(column, low)} to ${mv.bare(column, high)}`;
  };
  mv.roleText = (i) =>
    ({
      winner: "winner",
      tied: "tied with the winner",
      front: "front member",
      over: "not within the budget",
      struck: "struck off",
      failed: "failed",
      candidate: "candidate",
      field: "published, of the field",
    })[mv.roles[i]] || (mv.feasible(i) ? "published" : "published, not within the budget");
  // What an axis is called: the number, its kind, its unit.
  const titles = new Map();
  mv.title = (column) => {
    if (!titles.has(column.key)) titles.set(column.key, titleOf(column));
    return titles.get(column.key);
  };
  function titleOf(column) {
    if (column.knob) return column.name;
    const kinds = mv.kindsOf(column),
      unit = mv.units[column.format];
    const where = column.key === "latency" ? ` on ${raw.target}` : "";
    const sure = column.key === "lower" ? `, ${Math.round(raw.confidence * 100)} % confidence` : "";
    const kind = kinds.length === 1 ? `${kinds[0]} ` : "";
    return `${kind}${column.name}${where}${sure}${unit ? `, ${unit}` : ""}${kinds.length > 1 ? ` (${kinds.join(" or ")})` : ""}`;
  }
})();
