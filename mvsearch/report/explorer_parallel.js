"use strict";
// Parallel coordinates over knobs and numbers: a line per selected network; a drag along an axis selects a part of it.
(() => {
  const { state, el } = mv;
  const host = mv.byId("parallel");
  if (!host) return;
  const canvas = el("canvas", { "aria-hidden": "true" }),
    over = mv.svg("svg", { "aria-hidden": "true" });
  host.append(canvas, over);
  const HEIGHT = 320,
    TOP = 44,
    BOTTOM = 26,
    BATCH = 60,
    FRAME = 420;

  function standard() {
    const varied = (name) => mv.columns.get(`knob:${name}`) && mv.columns.get(`knob:${name}`).varies;
    const knobs = [
      "stage3.block",
      "stage4.block",
      "stage5.block",
      "stage3.depth",
      "stage4.depth",
      "stage5.depth",
      "stage5.channels",
      "stage5.dim",
    ]
      .filter(varied)
      .map((n) => `knob:${n}`);
    return [...knobs, "params", "macs", "latency", "lower"].filter((k) => mv.columns.has(k));
  }
  mv.axes = () => state.axes || standard();

  let lay = null;
  function layout() {
    const keys = mv.axes(),
      small = mv.narrow.matches;
    const width = Math.max(host.clientWidth, keys.length * (small ? 78 : 84));
    const side = small ? 42 : 52,
      step = (width - 2 * side) / Math.max(1, keys.length - 1);
    const columns = keys.map((k) => mv.columns.get(k));
    const scales = columns.map((c) => {
      const [low, high] = mv.extent(c);
      if (!Number.isFinite(low)) return mv.scale(0, 1, HEIGHT - BOTTOM, TOP, false);
      return low === high
        ? mv.scale(low - 1, high + 1, HEIGHT - BOTTOM, TOP, false)
        : mv.scale(low, high, HEIGHT - BOTTOM, TOP, c.log && low > 0);
    });
    const ys = columns.map((c, k) => {
      const found = new Float32Array(mv.count),
        spread = c.knob && (c.format === "choice" || c.choices.length < 9) ? 9 : 0;
      for (const i of mv.trials) {
        const v = c.values[i];
        found[i] = Number.isNaN(v) ? HEIGHT - 8 : scales[k](v) + (((i * 0.618034) % 1) - 0.5) * spread;
      }
      return found;
    });
    lay = { width, columns, scales, ys, keys, xs: keys.map((_, k) => side + k * step) };
  }

  let pending = 0;
  const order = (rows) => {
    const found = [];
    for (let step = 7, k = 0; k < step; k++) for (let j = k; j < rows.length; j += step) found.push(rows[j]);
    return found;
  };
  function line(context, i) {
    const { xs, ys } = lay;
    context.moveTo(xs[0], ys[0][i]);
    for (let k = 1; k < xs.length; k++) context.lineTo(xs[k], ys[k][i]);
  }
  // As many lines as a frame can take, the rest in the frames after it: even without a graphics card a drag stays smooth.
  function lines() {
    cancelAnimationFrame(pending);
    const context = mv.sheet(canvas, lay.width, HEIGHT),
      paint = mv.painter();
    const kept = mv.trials.filter((i) => mv.kept[i] && !mv.onFront(i)),
      front = mv.front.filter((i) => mv.kept[i]);
    let work = [];
    const alpha = Math.max(0.05, Math.min(0.5, 60 / Math.max(1, kept.length)));
    for (const [colour, , rows] of paint.buckets(order(kept)))
      for (let k = 0; k < rows.length; k += BATCH)
        work.push([colour, paint.plain ? alpha : Math.max(0.12, alpha), 1, rows.slice(k, k + BATCH)]);
    // Batches of all colours in turns: what is drawn first gives the picture already.
    if (!paint.plain) work.sort((a, b) => ((a[3][0] * 7919) % 101) - ((b[3][0] * 7919) % 101));
    // The front lies over the others, and is there from the first frame on.
    const below = work;
    work = [];
    const fronts = paint.plain ? [[mv.colour("front"), null, front]] : paint.buckets(front);
    for (const [colour, , rows] of fronts)
      for (let k = 0; k < rows.length; k += BATCH) work.push([colour, 0.75, 1.3, rows.slice(k, k + BATCH)]);
    if (mv.winner !== undefined && mv.kept[mv.winner]) work.push([mv.colour("winner"), 1, 2.4, [mv.winner]]);
    work = [
      ...below.slice(0, Math.ceil(FRAME / BATCH) - 1),
      ...work,
      ...(below.length >= FRAME / BATCH ? [...below.slice(Math.ceil(FRAME / BATCH) - 1), ...work] : []),
    ];
    let next = 0;
    const some = () => {
      let drawn = 0;
      while (next < work.length && drawn < FRAME) {
        const [colour, opacity, thick, rows] = work[next++];
        context.strokeStyle = colour;
        context.globalAlpha = opacity;
        context.lineWidth = thick;
        context.beginPath();
        for (const i of rows) line(context, i);
        context.stroke();
        drawn += rows.length;
      }
      if (next < work.length) pending = requestAnimationFrame(some);
    };
    some();
  }

  const short = (c) =>
    c.knob
      ? c.knob
          .replace("stage", "s")
          .replace(".channels", " C")
          .replace(".expansion", " e")
          .replace(".ffn_ratio", " ffn")
          .replace(".", " ")
          .replace("depth", "L")
          .replace(" dim", " d")
          .replace("block", "block")
      : {
          top1: "top-1",
          lower: "at least",
          params: "params",
          peak_memory: "memory",
          weight_bytes: "weights",
          on_front: "P(front)",
          in_budget: "P(budget)",
          distance: "distance",
        }[c.key] || c.name;
  function overlay() {
    const { width, xs, columns, scales } = lay;
    over.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    over.setAttribute("width", width);
    over.setAttribute("height", HEIGHT);
    const g = mv.svg("g", {});
    columns.forEach((c, k) => {
      const x = xs[k],
        s = scales[k];
      g.append(mv.svg("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM, class: "axis" }));
      const name = mv.svg(
        "text",
        { x, y: 14, "text-anchor": "middle", class: "name", text: short(c) },
        mv.svg("title", { text: mv.title(c) }),
      );
      g.append(name);
      const unit = c.knob ? "" : mv.units[c.format] || "";
      if (unit) g.append(mv.svg("text", { x, y: 28, "text-anchor": "middle", class: "tick", text: unit }));
      const ticks =
        c.format === "choice" ? c.choices.map((_, j) => j) : c.knob && c.choices.length < 9 ? c.choices : mv.ticks(s, 5);
      for (const t of ticks) {
        const y = s(t);
        if (y < TOP - 1 || y > HEIGHT - BOTTOM + 1) continue;
        g.append(
          mv.svg("line", { x1: x - 4, x2: x, y1: y, y2: y, class: "axis" }),
          mv.svg("text", { x: x - 6, y: y + 4, "text-anchor": "end", class: "tick halo", text: mv.tickText(c, t) }),
        );
      }
      if (c.knob && mv.trials.some((i) => Number.isNaN(c.values[i])))
        g.append(mv.svg("text", { x: x - 6, y: HEIGHT - 5, "text-anchor": "end", class: "tick halo", text: "none" }));
      const range = state.filters.get(c.key);
      if (range) {
        const a = Math.max(TOP, s(Math.min(range[1], s.high))),
          b = Math.min(HEIGHT - BOTTOM, s(Math.max(range[0], s.low)));
        g.append(mv.svg("rect", { x: x - 7, width: 14, y: a - 3, height: Math.max(6, b - a + 6), class: "brush" }));
      }
      g.append(
        mv.svg("rect", { x: x - 16, width: 32, y: TOP - 6, height: HEIGHT - BOTTOM - TOP + 12, class: "grab", "data-axis": k }),
      );
    });
    const looked = mv.svg("path", { id: "parallel-looked", class: "looked" });
    over.replaceChildren(g, looked);
    follow();
  }
  function follow() {
    const path = over.querySelector("#parallel-looked"),
      i = mv.focus();
    if (!path || !lay) return;
    const known = i !== null && mv.isTrial(i);
    path.setAttribute(
      "d",
      known ? lay.xs.map((x, k) => `${k ? "L" : "M"}${x.toFixed(1)},${lay.ys[k][i].toFixed(1)}`).join("") : "M0,0",
    );
    path.setAttribute("class", mv.roles[i] === "winner" ? "looked winner" : "looked");
  }

  let drag = null;
  over.addEventListener("pointerdown", (event) => {
    const k = event.target.dataset && event.target.dataset.axis;
    if (k === undefined) return;
    drag = { k: Number(k), from: event.offsetY, moved: false, top: over.getBoundingClientRect().top };
    drag.from = event.clientY - drag.top;
    over.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  over.addEventListener("pointermove", (event) => {
    if (!drag) {
      hover(event);
      return;
    }
    const y = event.clientY - over.getBoundingClientRect().top,
      s = lay.scales[drag.k],
      c = lay.columns[drag.k];
    if (Math.abs(y - drag.from) < 3 && !drag.moved) return;
    drag.moved = true;
    const clamp = (v) => Math.max(TOP, Math.min(HEIGHT - BOTTOM, v));
    let range = [s.invert(clamp(Math.max(y, drag.from))), s.invert(clamp(Math.min(y, drag.from)))];
    if (c.format === "choice") range = [Math.round(range[0] - 0.05), Math.round(range[1] + 0.05)];
    mv.setFilter(c.key, range);
  });
  over.addEventListener("pointerup", () => {
    if (drag && !drag.moved) mv.setFilter(lay.columns[drag.k].key, null);
    drag = null;
  });
  over.addEventListener("pointercancel", () => {
    drag = null;
  });
  // The line nearest to the pointer, looked for between the two axes beside it.
  function hover(event) {
    if (!lay || event.pointerType === "touch") return;
    const box = over.getBoundingClientRect(),
      x = event.clientX - box.left,
      y = event.clientY - box.top;
    const k = lay.xs.findIndex((at, j) => j + 1 < lay.xs.length && x >= at && x <= lay.xs[j + 1]);
    if (k < 0) return;
    const share = (x - lay.xs[k]) / (lay.xs[k + 1] - lay.xs[k]);
    let best = null,
      least = 7;
    for (const i of mv.trials) {
      if (!mv.kept[i]) continue;
      const d = Math.abs(lay.ys[k][i] + share * (lay.ys[k + 1][i] - lay.ys[k][i]) - y) - (mv.onFront(i) ? 2 : 0);
      if (d < least) {
        least = d;
        best = i;
      }
    }
    mv.point(best);
  }
  over.addEventListener("pointerleave", () => {
    if (!drag) mv.point(null);
  });

  const full = mv.frame(() => {
    layout();
    lines();
    overlay();
  });
  const selected = mv.frame(() => {
    if (lay) {
      lines();
      overlay();
    }
  });
  mv.view((what) => {
    if (["size", "parallel", "theme"].some((w) => what.has(w))) full();
    else if (what.has("filter") || what.has("colour")) selected();
    else if (what.has("focus")) follow();
  });
})();
