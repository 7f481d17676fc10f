"use strict";
// Any number against any other: the cloud on a canvas, axes, front and published networks as SVG over it.
(() => {
  const { state } = mv;
  const host = mv.byId("scatter");
  if (!host) return;
  const canvas = mv.el("canvas", { "aria-hidden": "true" }),
    marks = mv.svg("svg", { "aria-hidden": "true" });
  host.append(canvas, marks);
  let place = null; // the scales of the drawing, and where every row is

  const column = (axis) => mv.columns.get(state[axis]);
  const group = (i) => {
    const role = mv.roles[i];
    if (mv.onFront(i)) return "front";
    return role === "published" ? mv.family(i) : role === "field" ? `field:${mv.family(i)}` : "candidates";
  };
  const groups = mv.all.map(group);
  const shown = (i) => mv.shows(groups[i]) && (mv.roles[i] !== "field" || mv.shows("field"));

  // The part of an axis that is shown first, whatever the filters keep: the front, most of the cloud, the budget.
  const extents = new Map();
  function extent(axis) {
    const asked = [axis, state[axis], state.over, ...state.hide].join(" ");
    if (!extents.has(asked)) extents.set(asked, extentOf(column(axis)));
    return extents.get(asked);
  }
  function extentOf(c) {
    const values = [],
      sure = [];
    for (const i of mv.all) {
      const v = c.values[i];
      if (Number.isNaN(v) || !shown(i)) continue;
      if (mv.onFront(i)) {
        const bars = mv.shows("intervals") && c.low;
        sure.push(bars ? c.low[i] : v, bars ? c.high[i] : v);
      } else if (
        mv.roles[i] !== "failed" &&
        (mv.feasible(i) || state.over) &&
        (mv.isTrial(i) || (mv.roles[i] === "published" && mv.feasible(i)))
      )
        values.push(v);
    }
    if (!values.length && !sure.length)
      for (const i of mv.all) if (!Number.isNaN(c.values[i]) && shown(i)) values.push(c.values[i]);
    if (!values.length && !sure.length) return c.log ? [1, 10] : [0, 1];
    values.sort((a, b) => a - b);
    const crowd = values.length ? [mv.quantile(values, 0.01), mv.quantile(values, 0.99)] : [];
    let low = Math.min(...sure, ...crowd),
      high = Math.max(...sure, ...crowd);
    for (const b of mv.raw.budgets) {
      if (b.metric !== c.key || b.limit > high * 3 || b.limit < low / 5) continue;
      high = Math.max(high, b.limit * 1.12);
      low = Math.min(low, b.limit / 1.12);
    }
    if (c.format === "choice") return [low - 0.6, high + 0.6];
    if (c.log && low > 0) {
      const m = (high / low) ** 0.04 || 1;
      return low === high ? [low * 0.8, high * 1.25] : [low / m, high * m];
    }
    const margin = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
    return [low - margin, high + margin];
  }

  function layout() {
    const width = host.clientWidth,
      height = host.clientHeight,
      small = mv.narrow.matches;
    const area = [small ? 46 : 58, 12, width - (small ? 8 : 14), height - 48];
    const [x, y] = [column("x"), column("y")];
    const [xs, ys] = state.zoom ? [state.zoom.slice(0, 2), state.zoom.slice(2)] : [extent("x"), extent("y")];
    const sx = mv.scale(xs[0], xs[1], area[0], area[2], x.log && xs[0] > 0),
      sy = mv.scale(ys[0], ys[1], area[3], area[1], y.log && ys[0] > 0);
    const jitter = (c, i) => (c.format === "choice" ? (((i * 0.618034) % 1) - 0.5) * 0.55 : 0);
    const px = new Float32Array(mv.count),
      py = new Float32Array(mv.count);
    for (let i = 0; i < mv.count; i++) {
      px[i] = shown(i) ? sx(x.values[i] + jitter(x, i)) : NaN;
      py[i] = sy(y.values[i] + jitter(y, i));
    }
    place = { width, height, area, x, y, sx, sy, px, py };
  }

  const within = (i) => {
    const { px, py, area } = place;
    return px[i] >= area[0] - 6 && px[i] <= area[2] + 6 && py[i] >= area[1] - 6 && py[i] <= area[3] + 6;
  };

  // Cloud: what the filters drop is faint, the rest by one colour, or by a number or the kind of blocks.
  function cloud() {
    const { px, py, width, height, area } = place;
    const context = mv.sheet(canvas, width, height);
    context.save();
    context.beginPath();
    context.rect(area[0], area[1], area[2] - area[0], area[3] - area[1]);
    context.clip();
    const crowd = mv.trials.length > 3000,
      r = crowd ? 1.8 : 2.3;
    const candidates = mv.trials.filter((i) => !mv.onFront(i) && within(i) && shown(i));
    const faint = mv.stamp(mv.colour("cloud-faint"), "circle", r * 0.8, crowd);
    for (const i of candidates) if (!mv.kept[i] && mv.feasible(i)) faint(context, px[i], py[i]);
    const kept = candidates.filter((i) => mv.kept[i]);
    const paint = mv.painter();
    context.globalAlpha = paint.plain ? 0.5 : 0.85;
    for (const [colour, shape, rows] of paint.buckets(kept.filter((i) => mv.feasible(i)))) {
      const stamp = mv.stamp(colour, shape || "circle", shape ? r * 1.15 : r, crowd);
      for (const i of rows) stamp(context, px[i], py[i]);
    }
    context.globalAlpha = 0.75;
    const over = mv.stamp(mv.colour("over"), "cross", 3.2);
    for (const i of kept) if (!mv.feasible(i)) over(context, px[i], py[i]);
    context.restore();
  }

  const mark = (i, shape, r, name) =>
    mv.svg("path", {
      d: mv.shapes[shape](r),
      transform: `translate(${place.px[i].toFixed(1)} ${place.py[i].toFixed(1)})`,
      class: `${name}${mv.kept[i] ? "" : " dropped"}`,
      "data-row": i,
    });

  function overlay() {
    const { px, py, area, x, y, width, height } = place;
    marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
    marks.setAttribute("width", width);
    marks.setAttribute("height", height);
    const g = mv.svg("g", {});
    mv.frameOf(g, place);
    const inside = mv.svg("g", { "clip-path": "url(#area)" });
    g.prepend(
      mv.svg(
        "defs",
        {},
        mv.svg(
          "clipPath",
          { id: "area" },
          mv.svg("rect", {
            x: area[0] - 8,
            y: area[1] - 8,
            width: Math.max(0, area[2] - area[0] + 16),
            height: Math.max(0, area[3] - area[1] + 16),
          }),
        ),
      ),
    );
    mv.budgetLines(inside, place);
    const here = (i) => shown(i) && !Number.isNaN(px[i]) && !Number.isNaN(py[i]) && within(i);
    const front = mv.front.filter(here),
      published = mv.all.filter((i) => i < mv.own && mv.roles[i] === "published" && here(i));
    const clear = (i) => px[i] > area[0] + 4 && px[i] < area[2] - 4 && py[i] > area[1] + 4 && py[i] < area[3] - 4;
    const field = mv.all.filter((i) => i >= mv.own && here(i) && mv.kept[i] && clear(i));
    if (x.better && y.better && front.length) {
      const steps = mv
        .staircase(
          mv.front.filter((i) => shown(i) && !Number.isNaN(px[i] + py[i])).map((i) => [x.values[i], y.values[i], i]),
          x.better,
          y.better,
        )
        .map(([, , i]) => [px[i], py[i]]);
      const line = steps.map(([a, b], k) => (k ? `H${a}V${b}` : `M${a},${b}`)).join("");
      inside.append(mv.svg("path", { d: line, class: "stairs" }));
    }
    if (mv.shows("intervals"))
      for (const i of front)
        mv.bars(inside, place, i, mv.roles[i] === "winner" ? "bar winner" : front.length > 16 ? "bar many" : "bar");
    for (const i of field) inside.append(mark(i, mv.fieldShape(mv.family(i)), 4, "field"));
    if (y.key === "top1" && mv.shows("said")) {
      for (const i of published) {
        const said = mv.said(i);
        if (said === null || said === undefined || !mv.kept[i]) continue;
        const at = place.sy(said);
        if (at < area[1] || at > area[3]) continue;
        inside.append(
          mv.svg("path", { d: `M${px[i]},${py[i]}V${at}M${px[i] - 4},${at}H${px[i] + 4}`, class: `said ${mv.family(i)}` }),
        );
      }
    }
    for (const i of published)
      inside.append(
        mark(
          i,
          mv.familyShapes[mv.family(i)],
          mv.family(i) === "v3" ? 5.4 : 5,
          `${mv.family(i)}${mv.feasible(i) ? "" : " open"}`,
        ),
      );
    for (const i of front) {
      const role = mv.roles[i];
      if (role === "front") inside.append(mark(i, "circle", 4, "front"));
      if (role === "tied") inside.append(mark(i, "circle", 5.6, "tied"), mark(i, "circle", 2, "front"));
    }
    for (const i of front) if (mv.roles[i] === "winner") inside.append(mark(i, "star", 9, "winner"));
    const kneeMarks = [];
    if (mv.raw.knee && state.x === "latency" && (state.y === "lower" || state.y === "top1")) {
      const i = mv.rowOf.get(mv.raw.knee);
      if (here(i)) {
        const left = px[i] - 34 > area[0] + 40;
        for (let k = 0; k <= 4; k++) kneeMarks.push([px[i] - 24 + (left ? -1 : 1) * k * 7, py[i] - 32]);
        inside.append(
          mv.svg("path", { d: `M${px[i] - 6},${py[i] - 6}l-16,-18`, class: "knee" }),
          mv.svg("text", { x: px[i] - 24, y: py[i] - 28, class: "halo", "text-anchor": left ? "end" : "start", text: "knee" }),
        );
      }
    }
    const wanted = [
      ...front.filter((i) => mv.roles[i] === "winner"),
      ...published.filter((i) => mv.kept[i] && mv.feasible(i)),
      ...published.filter((i) => mv.kept[i] && !mv.feasible(i)),
      ...(mv.narrow.matches ? [] : field),
    ];
    const crowd = [...[...front, ...published].map((i) => [px[i], py[i]]), ...kneeMarks];
    if (y.low && mv.winner !== undefined && mv.shows("intervals"))
      for (let k = 0; k <= 20; k++) {
        crowd.push([px[mv.winner], place.sy(y.low[mv.winner] + (k / 20) * (y.high[mv.winner] - y.low[mv.winner]))]);
        if (x.low) crowd.push([place.sx(x.low[mv.winner] + (k / 20) * (x.high[mv.winner] - x.low[mv.winner])), py[mv.winner]]);
      }
    const text = (i) => (mv.roles[i] === "winner" ? "winner" : mv.label(i));
    mv.placeLabels(
      wanted.map((i) => ({ x: px[i], y: py[i], text: text(i) })),
      crowd,
      area,
    ).forEach((at, k) => {
      if (at)
        inside.append(
          mv.svg("text", {
            x: at.x,
            y: at.y,
            "text-anchor": at.anchor,
            class: `label ${mv.roles[wanted[k]] === "field" ? "field" : groups[wanted[k]]} ${mv.roles[wanted[k]]}`,
            text: text(wanted[k]),
          }),
        );
    });
    g.append(inside);
    const ring = mv.svg("g", { id: "ring", "clip-path": "url(#area)" });
    g.append(ring);
    marks.replaceChildren(g);
    focusRing();
  }

  function focusRing() {
    const ring = marks.querySelector("#ring");
    if (!ring || !place) return;
    ring.replaceChildren();
    // Of what nobody pointed at, nothing is marked.
    const also = mv.pointed(),
      i = state.pin ?? also;
    for (const [k, name] of [
      [i, state.pin === null ? "looked" : "pinned"],
      ...(also !== null && also !== i ? [[also, "looked"]] : []),
    ]) {
      if (k === null || Number.isNaN(place.px[k] + place.py[k]) || !within(k)) continue;
      if (mv.shows("intervals")) mv.bars(ring, place, k, "bar looked");
      ring.append(mv.svg("circle", { cx: place.px[k], cy: place.py[k], r: 10, class: `ring ${name}` }));
    }
  }

  const redraw = mv.frame(() => {
    layout();
    cloud();
    overlay();
    status();
  });
  mv.redrawScatter = redraw;

  function status() {
    const total = mv.trials.filter((i) => mv.feasible(i) || state.over).length;
    const said = mv.filtered()
      ? `${mv.keptTrials.toLocaleString("en")} of ${total.toLocaleString("en")} candidates selected`
      : `${total.toLocaleString("en")} candidates`;
    mv.byId("selected").textContent = said;
    mv.byId("clear").hidden = !mv.filtered();
    mv.byId("unzoom").hidden = !state.zoom;
    const missing = [column("x"), column("y")].filter(
      (c) => mv.raw.field && mv.raw.field.length && !mv.all.some((i) => i >= mv.own && !Number.isNaN(c.values[i])),
    );
    mv.byId("field-note").textContent =
      missing.length && mv.shows("field")
        ? `The field's networks have no ${missing.map((c) => c.name).join(", ")}: they are not in this view.`
        : "";
  }

  mv.view((what) => {
    if (["axes", "filter", "key", "size", "theme", "colour"].some((w) => what.has(w))) redraw();
    else if (what.has("focus") && place) focusRing();
  });
  // What pointing needs: where everything stands, what of it can be seen, the layers.
  mv.place = () => place;
  mv.scatter = { host, canvas, marks, column, shown, within };
})();
