"use strict";
// Any number against any other: the cloud on a canvas, axes, front and published networks as SVG over it.
(() => {
  const { state } = mv;
  const host = mv.byId("scatter");
  if (!host) return;
  const canvas = mv.el("canvas", { "aria-hidden": "true" }), marks = mv.svg("svg", { "aria-hidden": "true" });
  const tip = mv.el("div", { class: "tip", "aria-hidden": "true", hidden: true });
  host.append(canvas, marks, tip);
  const REACH = 16;
  let place = null; // the scales of the drawing, and where every row is

  const column = (axis) => mv.columns.get(state[axis]);
  const group = (i) => {
    const role = mv.roles[i];
    if (mv.onFront(i)) return "front";
    return role === "published" ? mv.family(i) : role === "field" ? `field:${mv.family(i)}` : "candidates";
  };
  const groups = mv.all.map(group);
  const shown = (i) => mv.shows(groups[i]) && (mv.roles[i] !== "field" || mv.shows("field"));

  // The part of an axis that is shown first, whatever the filters keep: front, cloud, and what of the published networks keeps the budget.
  const extents = new Map();
  function extent(axis) {
    const asked = [axis, state[axis], state.over, ...state.hide].join(" ");
    if (!extents.has(asked)) extents.set(asked, extentOf(column(axis)));
    return extents.get(asked);
  }
  function extentOf(c) {
    const values = [], sure = [];
    for (const i of mv.all) {
      const v = c.values[i];
      if (Number.isNaN(v) || !shown(i)) continue;
      if (mv.onFront(i)) {
        const bars = mv.shows("intervals") && c.low;
        sure.push(bars ? c.low[i] : v, bars ? c.high[i] : v);
      } else if (mv.roles[i] !== "failed" && (mv.feasible(i) || state.over) && (mv.isTrial(i) || (mv.roles[i] === "published" && mv.feasible(i)))) values.push(v);
    }
    if (!values.length && !sure.length) for (const i of mv.all) if (!Number.isNaN(c.values[i]) && shown(i)) values.push(c.values[i]);
    if (!values.length && !sure.length) return c.log ? [1, 10] : [0, 1];
    values.sort((a, b) => a - b);
    const crowd = values.length ? [mv.quantile(values, 0.01), mv.quantile(values, 0.99)] : [];
    let low = Math.min(...sure, ...crowd), high = Math.max(...sure, ...crowd);
    for (const b of mv.raw.budgets) {
      if (b.metric !== c.key || b.limit > high * 3 || b.limit < low / 5) continue;
      high = Math.max(high, b.limit * 1.12);
      low = Math.min(low, b.limit / 1.12);
    }
    if (c.format === "choice") return [low - 0.6, high + 0.6];
    if (c.log && low > 0) { const m = (high / low) ** 0.04 || 1; return low === high ? [low * 0.8, high * 1.25] : [low / m, high * m]; }
    const margin = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
    return [low - margin, high + margin];
  }

  function layout() {
    const width = host.clientWidth, height = host.clientHeight, small = mv.narrow.matches;
    const area = [small ? 46 : 58, 12, width - (small ? 8 : 14), height - 48];
    const [x, y] = [column("x"), column("y")];
    const [xs, ys] = state.zoom ? [state.zoom.slice(0, 2), state.zoom.slice(2)] : [extent("x"), extent("y")];
    const sx = mv.scale(xs[0], xs[1], area[0], area[2], x.log && xs[0] > 0), sy = mv.scale(ys[0], ys[1], area[3], area[1], y.log && ys[0] > 0);
    const jitter = (c, i) => (c.format === "choice" ? (((i * 0.618034) % 1) - 0.5) * 0.55 : 0);
    const px = new Float32Array(mv.count), py = new Float32Array(mv.count);
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
    const crowd = mv.trials.length > 3000, r = crowd ? 1.8 : 2.3;
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

  function axes(g) {
    const { area, x, y, sx, sy, width } = place;
    const small = mv.narrow.matches;
    const xs = x.format === "choice" ? x.choices.map((_, k) => k).filter((k) => k >= sx.low && k <= sx.high) : mv.ticks(sx, small ? 5 : 9);
    const ys = y.format === "choice" ? y.choices.map((_, k) => k).filter((k) => k >= sy.low && k <= sy.high) : mv.ticks(sy, small ? 6 : 8);
    for (const t of xs) {
      const at = sx(t);
      g.append(mv.svg("line", { x1: at, x2: at, y1: area[1], y2: area[3], class: "grid" }), mv.svg("text", { x: at, y: area[3] + 17, class: "tick", "text-anchor": "middle", text: mv.tickText(x, t) }));
    }
    for (const t of ys) {
      const at = sy(t);
      g.append(mv.svg("line", { x1: area[0], x2: area[2], y1: at, y2: at, class: "grid" }), mv.svg("text", { x: area[0] - 7, y: at + 4, class: "tick", "text-anchor": "end", text: mv.tickText(y, t) }));
    }
    g.append(mv.svg("path", { d: `M${area[0]},${area[1]}V${area[3]}H${area[2]}`, class: "axis" }));
    g.append(mv.svg("text", { x: (area[0] + area[2]) / 2, y: area[3] + 39, class: "title", "text-anchor": "middle", text: cut(mv.title(x), width - 70) }));
    g.append(mv.svg("text", { transform: `translate(13 ${(area[1] + area[3]) / 2}) rotate(-90)`, class: "title", "text-anchor": "middle", text: cut(mv.title(y), area[3] - area[1]) }));
  }
  const cut = (text, room) => (text.length * 6.9 > room ? `${text.slice(0, Math.floor(room / 6.9) - 1)}…` : text);

  function budgets(g) {
    const { area, x, y, sx, sy } = place;
    for (const b of mv.raw.budgets) {
      if (b.metric === x.key && b.limit >= sx.low && b.limit <= sx.high) {
        const at = sx(b.limit);
        g.append(mv.svg("line", { x1: at, x2: at, y1: area[1], y2: area[3], class: "budget" }),
          mv.svg("text", { transform: `translate(${at + 14} ${area[3] - 8}) rotate(-90)`, class: "halo", text: `budget ${b.text}` }));
      }
      if (b.metric === y.key && b.limit >= sy.low && b.limit <= sy.high) {
        const at = sy(b.limit);
        g.append(mv.svg("line", { x1: area[0], x2: area[2], y1: at, y2: at, class: "budget" }), mv.svg("text", { x: area[0] + 8, y: at - 5, class: "halo", text: `budget ${b.text}` }));
      }
    }
  }

  function bars(g, i, name) {
    const { px, py, x, y, sx, sy, area } = place;
    const clip = (v, a, b) => Math.max(Math.min(a, b), Math.min(Math.max(a, b), v));
    if (x.low && x.high[i] > x.low[i]) g.append(mv.svg("line", { x1: clip(sx(x.low[i]), area[0], area[2]), x2: clip(sx(x.high[i]), area[0], area[2]), y1: py[i], y2: py[i], class: name }));
    if (y.low && y.high[i] > y.low[i]) g.append(mv.svg("line", { y1: clip(sy(y.low[i]), area[1], area[3]), y2: clip(sy(y.high[i]), area[1], area[3]), x1: px[i], x2: px[i], class: name }));
  }

  const mark = (i, shape, r, name) => mv.svg("path", { d: mv.shapes[shape](r), transform: `translate(${place.px[i].toFixed(1)} ${place.py[i].toFixed(1)})`, class: `${name}${mv.kept[i] ? "" : " dropped"}`, "data-row": i });

  function overlay() {
    const { px, py, area, x, y, width, height } = place;
    marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
    marks.setAttribute("width", width);
    marks.setAttribute("height", height);
    const g = mv.svg("g", {});
    axes(g);
    const inside = mv.svg("g", { "clip-path": "url(#area)" });
    g.prepend(mv.svg("defs", {}, mv.svg("clipPath", { id: "area" }, mv.svg("rect", { x: area[0] - 8, y: area[1] - 8, width: Math.max(0, area[2] - area[0] + 16), height: Math.max(0, area[3] - area[1] + 16) }))));
    budgets(inside);
    const here = (i) => shown(i) && !Number.isNaN(px[i]) && !Number.isNaN(py[i]) && within(i);
    const front = mv.front.filter(here), published = mv.all.filter((i) => i < mv.own && mv.roles[i] === "published" && here(i));
    const clear = (i) => px[i] > area[0] + 4 && px[i] < area[2] - 4 && py[i] > area[1] + 4 && py[i] < area[3] - 4;
    const field = mv.all.filter((i) => i >= mv.own && here(i) && mv.kept[i] && clear(i));
    if (x.better && y.better && front.length) {
      const steps = mv.staircase(mv.front.filter((i) => shown(i) && !Number.isNaN(px[i] + py[i])).map((i) => [x.values[i], y.values[i], i]), x.better, y.better).map(([, , i]) => [px[i], py[i]]);
      const line = steps.map(([a, b], k) => (k ? `H${a}V${b}` : `M${a},${b}`)).join("");
      inside.append(mv.svg("path", { d: line, class: "stairs" }));
    }
    if (mv.shows("intervals")) for (const i of front) bars(inside, i, mv.roles[i] === "winner" ? "bar winner" : front.length > 16 ? "bar many" : "bar");
    for (const i of field) inside.append(mark(i, mv.fieldShape(mv.family(i)), 4, "field"));
    if (y.key === "top1" && mv.shows("said")) {
      for (const i of published) {
        const said = mv.said(i);
        if (said === null || said === undefined || !mv.kept[i]) continue;
        const at = place.sy(said);
        if (at < area[1] || at > area[3]) continue;
        inside.append(mv.svg("path", { d: `M${px[i]},${py[i]}V${at}M${px[i] - 4},${at}H${px[i] + 4}`, class: `said ${mv.family(i)}` }));
      }
    }
    for (const i of published) inside.append(mark(i, mv.familyShapes[mv.family(i)], mv.family(i) === "v3" ? 5.4 : 5, `${mv.family(i)}${mv.feasible(i) ? "" : " open"}`));
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
        inside.append(mv.svg("path", { d: `M${px[i] - 6},${py[i] - 6}l-16,-18`, class: "knee" }),
          mv.svg("text", { x: px[i] - 24, y: py[i] - 28, class: "halo", "text-anchor": left ? "end" : "start", text: "knee" }));
      }
    }
    const wanted = [...front.filter((i) => mv.roles[i] === "winner"), ...published.filter((i) => mv.kept[i] && mv.feasible(i)), ...published.filter((i) => mv.kept[i] && !mv.feasible(i)), ...(mv.narrow.matches ? [] : field)];
    const crowd = [...[...front, ...published].map((i) => [px[i], py[i]]), ...kneeMarks];
    if (y.low && mv.winner !== undefined && mv.shows("intervals")) for (let k = 0; k <= 20; k++) {
      crowd.push([px[mv.winner], place.sy(y.low[mv.winner] + (k / 20) * (y.high[mv.winner] - y.low[mv.winner]))]);
      if (x.low) crowd.push([place.sx(x.low[mv.winner] + (k / 20) * (x.high[mv.winner] - x.low[mv.winner])), py[mv.winner]]);
    }
    const text = (i) => (mv.roles[i] === "winner" ? "winner" : mv.label(i));
    mv.placeLabels(wanted.map((i) => ({ x: px[i], y: py[i], text: text(i) })), crowd, area).forEach((at, k) => {
      if (at) inside.append(mv.svg("text", { x: at.x, y: at.y, "text-anchor": at.anchor, class: `label ${mv.roles[wanted[k]] === "field" ? "field" : groups[wanted[k]]} ${mv.roles[wanted[k]]}`, text: text(wanted[k]) }));
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
    const also = mv.pointed(), i = state.pin ?? also;
    for (const [k, name] of [[i, state.pin === null ? "looked" : "pinned"], ...(also !== null && also !== i ? [[also, "looked"]] : [])]) {
      if (k === null || Number.isNaN(place.px[k] + place.py[k]) || !within(k)) continue;
      if (mv.shows("intervals")) bars(ring, k, "bar looked");
      ring.append(mv.svg("circle", { cx: place.px[k], cy: place.py[k], r: 10, class: `ring ${name}` }));
    }
  }

  const redraw = mv.frame(() => { layout(); cloud(); overlay(); status(); });
  mv.redrawScatter = redraw;

  function status() {
    const total = mv.trials.filter((i) => mv.feasible(i) || state.over).length;
    const said = mv.filtered() ? `${mv.keptTrials.toLocaleString("en")} of ${total.toLocaleString("en")} candidates selected` : `${total.toLocaleString("en")} candidates`;
    mv.byId("selected").textContent = said;
    mv.byId("clear").hidden = !mv.filtered();
    mv.byId("unzoom").hidden = !state.zoom;
    const missing = [column("x"), column("y")].filter((c) => mv.raw.field && mv.raw.field.length && !mv.all.some((i) => i >= mv.own && !Number.isNaN(c.values[i])));
    mv.byId("field-note").textContent = missing.length && mv.shows("field") ? `The field's networks have no ${missing.map((c) => c.name).join(", ")}: they are not in this view.` : "";
  }

  // Pointing: the nearest mark within reach; of two that are as near, the more important one.
  const weight = (i) => (mv.roles[i] === "winner" ? 6 : mv.onFront(i) ? 4 : mv.isTrial(i) ? 0 : 4);
  function nearest(px, py, reach) {
    let best = null, least = reach;
    for (let i = 0; i < mv.count; i++) {
      const dx = place.px[i] - px, dy = place.py[i] - py;
      if (Number.isNaN(dx + dy) || Math.abs(dx) > reach || Math.abs(dy) > reach || !within(i)) continue;
      if (!mv.kept[i] && !mv.onFront(i) && mv.roles[i] !== "published") continue;
      const d = Math.hypot(dx, dy) - weight(i);
      if (d < least) { least = d; best = i; }
    }
    return best;
  }
  const spot = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };

  let from = null, box = null;
  host.addEventListener("pointermove", (event) => {
    if (!place) return;
    const [px, py] = spot(event);
    if (from && event.pointerType !== "touch") {
      if (!box && Math.hypot(px - from[0], py - from[1]) > 6) { box = mv.svg("rect", { class: "box" }); marks.append(box); tip.hidden = true; }
      if (box) {
        for (const [k, v] of Object.entries({ x: Math.min(px, from[0]), y: Math.min(py, from[1]), width: Math.abs(px - from[0]), height: Math.abs(py - from[1]) })) box.setAttribute(k, v);
        return;
      }
    }
    if (event.pointerType === "touch") return;
    const i = nearest(px, py, REACH);
    mv.point(i);
    showTip(i);
  });
  host.addEventListener("pointerleave", () => { if (!from) { tip.hidden = true; mv.point(null); } });
  host.addEventListener("pointerdown", (event) => { if (event.button === 0) { from = spot(event); if (event.pointerType !== "touch") host.setPointerCapture(event.pointerId); } });
  host.addEventListener("pointercancel", () => { from = null; if (box) box.remove(); box = null; });
  host.addEventListener("pointerup", (event) => {
    if (!from) return;
    const [px, py] = spot(event), start = from;
    from = null;
    if (box) {
      box.remove();
      box = null;
      const { sx, sy } = place;
      const xs = [sx.invert(Math.min(px, start[0])), sx.invert(Math.max(px, start[0]))], ys = [sy.invert(Math.max(py, start[1])), sy.invert(Math.min(py, start[1]))];
      if (Math.abs(px - start[0]) > 8 && Math.abs(py - start[1]) > 8) { state.zoom = [...xs, ...ys]; mv.changed("axes"); }
      return;
    }
    const touch = event.pointerType === "touch";
    const i = nearest(px, py, touch ? 26 : REACH);
    if (i !== null) { mv.toggle(i); if (!touch) showTip(i); } else if (state.pin !== null) mv.pin(null);
  });
  host.addEventListener("dblclick", () => { if (state.zoom) { state.zoom = null; mv.changed("axes"); } });

  function showTip(i) {
    if (i === null || mv.narrow.matches) { tip.hidden = true; return; }
    tip.replaceChildren(...mv.tipLines(i));
    tip.hidden = false;
    const { width, height } = place, w = tip.offsetWidth, h = tip.offsetHeight, x = place.px[i], y = place.py[i];
    tip.style.left = `${x + 18 + w < width ? x + 18 : Math.max(0, x - 18 - w)}px`;
    tip.style.top = `${Math.max(0, Math.min(height - h, y - h / 2))}px`;
  }

  // Keys: left and right along the front, up and down through all that is shown, by the number on the y axis.
  const visible = (i) => !Number.isNaN(place.px[i] + place.py[i]) && (mv.kept[i] || mv.onFront(i)) && shown(i) && within(i);
  function walk(rows, values, step) {
    const ordered = rows.filter(visible).sort((a, b) => values[a] - values[b] || a - b);
    if (!ordered.length) return;
    const now = mv.focus(), at = ordered.indexOf(now);
    let next = at + step;
    if (at < 0) {
      const v = values[now];
      next = ordered.findIndex((i) => values[i] >= v);
      if (next < 0 || Number.isNaN(v)) next = ordered.length - 1;
    }
    const i = ordered[Math.max(0, Math.min(ordered.length - 1, next))];
    if (state.pin !== null) state.pin = null;
    mv.point(i);
    showTip(i);
  }
  host.addEventListener("keydown", (event) => {
    const { key } = event;
    const x = column("x").values, y = column("y").values;
    if (key === "ArrowRight" || key === "ArrowLeft") walk(mv.front.length ? mv.front : mv.all, x, key === "ArrowRight" ? 1 : -1);
    else if (key === "ArrowUp" || key === "ArrowDown") walk(mv.all, y, key === "ArrowUp" ? 1 : -1);
    else if (key === "Home" || key === "End") walk(mv.front.length ? mv.front : mv.all, x, key === "Home" ? -1e9 : 1e9);
    else if (key === "Enter" || key === " ") mv.toggle(mv.pointed() ?? mv.focus());
    else if (key === "Escape") { tip.hidden = true; state.pin = null; mv.point(null); mv.changed("focus"); } else return;
    event.preventDefault();
  });
  host.addEventListener("blur", () => { tip.hidden = true; });

  // The view as a picture: the SVG with its colours put in, over the cloud.
  mv.savePicture = () => {
    const { width, height } = place, scale = 2;
    const copy = marks.cloneNode(true);
    const originals = [marks, ...marks.querySelectorAll("*")], copies = [copy, ...copy.querySelectorAll("*")];
    originals.forEach((node, k) => {
      const style = getComputedStyle(node);
      for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family", "font-weight", "paint-order"]) copies[k].style.setProperty(name, style.getPropertyValue(name));
    });
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const picture = new Image();
    picture.onload = () => {
      const sheet = mv.el("canvas", { width: width * scale, height: height * scale }), context = sheet.getContext("2d");
      context.fillStyle = mv.colour("paper");
      context.fillRect(0, 0, sheet.width, sheet.height);
      context.drawImage(canvas, 0, 0, sheet.width, sheet.height);
      context.drawImage(picture, 0, 0, sheet.width, sheet.height);
      sheet.toBlob((blob) => mv.download(blob, "mvsearch.png"));
    };
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  };

  mv.view((what) => {
    if (["axes", "filter", "key", "size", "theme", "colour"].some((w) => what.has(w))) redraw();
    else if (what.has("focus") && place) focusRing();
    if (what.has("axes")) tip.hidden = true;
  });
  mv.place = () => place;
})();
