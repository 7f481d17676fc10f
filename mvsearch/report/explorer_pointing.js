"use strict";
// The scatter plot under the hand: pointing, pinning, zooming, walking by keys, and the view as a picture.
(() => {
  if (!mv.scatter) return;
  const { state } = mv,
    { host, canvas, marks, column, shown, within } = mv.scatter;
  const tip = mv.el("div", { class: "tip", "aria-hidden": "true", hidden: true });
  host.append(tip);
  const REACH = 16;

  // Pointing: the nearest mark within reach; of two that are as near, the more important one.
  const weight = (i) => (mv.roles[i] === "winner" ? 6 : mv.onFront(i) ? 4 : mv.isTrial(i) ? 0 : 4);
  function nearest(px, py, reach) {
    const place = mv.place();
    let best = null,
      least = reach;
    for (let i = 0; i < mv.count; i++) {
      const dx = place.px[i] - px,
        dy = place.py[i] - py;
      if (Number.isNaN(dx + dy) || Math.abs(dx) > reach || Math.abs(dy) > reach || !within(i)) continue;
      if (!mv.kept[i] && !mv.onFront(i) && mv.roles[i] !== "published") continue;
      const d = Math.hypot(dx, dy) - weight(i);
      if (d < least) {
        least = d;
        best = i;
      }
    }
    return best;
  }
  const spot = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  let from = null,
    box = null;
  host.addEventListener("pointermove", (event) => {
    if (!mv.place()) return;
    const [px, py] = spot(event);
    if (from && event.pointerType !== "touch") {
      if (!box && Math.hypot(px - from[0], py - from[1]) > 6) {
        box = mv.svg("rect", { class: "box" });
        marks.append(box);
        tip.hidden = true;
      }
      if (box) {
        for (const [k, v] of Object.entries({
          x: Math.min(px, from[0]),
          y: Math.min(py, from[1]),
          width: Math.abs(px - from[0]),
          height: Math.abs(py - from[1]),
        }))
          box.setAttribute(k, v);
        return;
      }
    }
    if (event.pointerType === "touch") return;
    const i = nearest(px, py, REACH);
    mv.point(i);
    showTip(i);
  });
  host.addEventListener("pointerleave", () => {
    if (!from) {
      tip.hidden = true;
      mv.point(null);
    }
  });
  host.addEventListener("pointerdown", (event) => {
    if (event.button === 0) {
      from = spot(event);
      if (event.pointerType !== "touch") host.setPointerCapture(event.pointerId);
    }
  });
  host.addEventListener("pointercancel", () => {
    from = null;
    if (box) box.remove();
    box = null;
  });
  host.addEventListener("pointerup", (event) => {
    if (!from) return;
    const [px, py] = spot(event),
      start = from;
    from = null;
    if (box) {
      box.remove();
      box = null;
      const { sx, sy } = mv.place();
      const xs = [sx.invert(Math.min(px, start[0])), sx.invert(Math.max(px, start[0]))],
        ys = [sy.invert(Math.max(py, start[1])), sy.invert(Math.min(py, start[1]))];
      if (Math.abs(px - start[0]) > 8 && Math.abs(py - start[1]) > 8) {
        state.zoom = [...xs, ...ys];
        mv.changed("axes");
      }
      return;
    }
    const touch = event.pointerType === "touch";
    const i = nearest(px, py, touch ? 26 : REACH);
    if (i !== null) {
      mv.toggle(i);
      if (!touch) showTip(i);
    } else if (state.pin !== null) mv.pin(null);
  });
  host.addEventListener("dblclick", () => {
    if (state.zoom) {
      state.zoom = null;
      mv.changed("axes");
    }
  });

  function showTip(i) {
    if (i === null || mv.narrow.matches) {
      tip.hidden = true;
      return;
    }
    tip.replaceChildren(...mv.tipLines(i));
    tip.hidden = false;
    const place = mv.place(),
      { width, height } = place,
      w = tip.offsetWidth,
      h = tip.offsetHeight,
      x = place.px[i],
      y = place.py[i];
    tip.style.left = `${x + 18 + w < width ? x + 18 : Math.max(0, x - 18 - w)}px`;
    tip.style.top = `${Math.max(0, Math.min(height - h, y - h / 2))}px`;
  }

  // Keys: left and right along the front, up and down through all that is shown, by the number on the y axis.
  const visible = (i) =>
    !Number.isNaN(mv.place().px[i] + mv.place().py[i]) && (mv.kept[i] || mv.onFront(i)) && shown(i) && within(i);
  function walk(rows, values, step) {
    const ordered = rows.filter(visible).sort((a, b) => values[a] - values[b] || a - b);
    if (!ordered.length) return;
    const now = mv.focus(),
      at = ordered.indexOf(now);
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
    const x = column("x").values,
      y = column("y").values;
    if (key === "ArrowRight" || key === "ArrowLeft")
      walk(mv.front.length ? mv.front : mv.all, x, key === "ArrowRight" ? 1 : -1);
    else if (key === "ArrowUp" || key === "ArrowDown") walk(mv.all, y, key === "ArrowUp" ? 1 : -1);
    else if (key === "Home" || key === "End") walk(mv.front.length ? mv.front : mv.all, x, key === "Home" ? -1e9 : 1e9);
    else if (key === "Enter" || key === " ") mv.toggle(mv.pointed() ?? mv.focus());
    else if (key === "Escape") {
      tip.hidden = true;
      state.pin = null;
      mv.point(null);
      mv.changed("focus");
    } else return;
    event.preventDefault();
  });
  host.addEventListener("blur", () => {
    tip.hidden = true;
  });

  // The view as a picture: the SVG with its colours put in, over the cloud.
  mv.savePicture = () => {
    const { width, height } = mv.place(),
      scale = 2;
    const copy = marks.cloneNode(true);
    const originals = [marks, ...marks.querySelectorAll("*")],
      copies = [copy, ...copy.querySelectorAll("*")];
    originals.forEach((node, k) => {
      const style = getComputedStyle(node);
      for (const name of [
        "fill",
        "stroke",
        "stroke-width",
        "stroke-dasharray",
        "opacity",
        "font-size",
        "font-family",
        "font-weight",
        "paint-order",
      ])
        copies[k].style.setProperty(name, style.getPropertyValue(name));
    });
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const picture = new Image();
    picture.onload = () => {
      const sheet = mv.el("canvas", { width: width * scale, height: height * scale }),
        context = sheet.getContext("2d");
      context.fillStyle = mv.colour("paper");
      context.fillRect(0, 0, sheet.width, sheet.height);
      context.drawImage(canvas, 0, 0, sheet.width, sheet.height);
      context.drawImage(picture, 0, 0, sheet.width, sheet.height);
      sheet.toBlob((blob) => mv.download(blob, "mvsearch.png"));
    };
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  };

  mv.view((what) => {
    if (what.has("axes")) tip.hidden = true;
  });
})();
