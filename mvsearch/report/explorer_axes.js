"use strict";
// The frame of the scatter plot: axes with their titles, budget lines, the intervals of a network.
(() => {
  const cut = (text, room) => (text.length * 6.9 > room ? `${text.slice(0, Math.floor(room / 6.9) - 1)}…` : text);

  mv.frameOf = (g, place) => {
    const { area, x, y, sx, sy, width } = place;
    const small = mv.narrow.matches;
    const xs =
      x.format === "choice"
        ? x.choices.map((_, k) => k).filter((k) => k >= sx.low && k <= sx.high)
        : mv.ticks(sx, small ? 5 : 9);
    const ys =
      y.format === "choice"
        ? y.choices.map((_, k) => k).filter((k) => k >= sy.low && k <= sy.high)
        : mv.ticks(sy, small ? 6 : 8);
    for (const t of xs) {
      const at = sx(t);
      g.append(
        mv.svg("line", { x1: at, x2: at, y1: area[1], y2: area[3], class: "grid" }),
        mv.svg("text", { x: at, y: area[3] + 17, class: "tick", "text-anchor": "middle", text: mv.tickText(x, t) }),
      );
    }
    for (const t of ys) {
      const at = sy(t);
      g.append(
        mv.svg("line", { x1: area[0], x2: area[2], y1: at, y2: at, class: "grid" }),
        mv.svg("text", { x: area[0] - 7, y: at + 4, class: "tick", "text-anchor": "end", text: mv.tickText(y, t) }),
      );
    }
    g.append(mv.svg("path", { d: `M${area[0]},${area[1]}V${area[3]}H${area[2]}`, class: "axis" }));
    g.append(
      mv.svg("text", {
        x: (area[0] + area[2]) / 2,
        y: area[3] + 39,
        class: "title",
        "text-anchor": "middle",
        text: cut(mv.title(x), width - 70),
      }),
    );
    g.append(
      mv.svg("text", {
        transform: `translate(13 ${(area[1] + area[3]) / 2}) rotate(-90)`,
        class: "title",
        "text-anchor": "middle",
        text: cut(mv.title(y), area[3] - area[1]),
      }),
    );
  };

  mv.budgetLines = (g, place) => {
    const { area, x, y, sx, sy } = place;
    for (const b of mv.raw.budgets) {
      if (b.metric === x.key && b.limit >= sx.low && b.limit <= sx.high) {
        const at = sx(b.limit);
        g.append(
          mv.svg("line", { x1: at, x2: at, y1: area[1], y2: area[3], class: "budget" }),
          mv.svg("text", {
            transform: `translate(${at + 14} ${area[3] - 8}) rotate(-90)`,
            class: "halo",
            text: `budget ${b.text}`,
          }),
        );
      }
      if (b.metric === y.key && b.limit >= sy.low && b.limit <= sy.high) {
        const at = sy(b.limit);
        g.append(
          mv.svg("line", { x1: area[0], x2: area[2], y1: at, y2: at, class: "budget" }),
          mv.svg("text", { x: area[0] + 8, y: at - 5, class: "halo", text: `budget ${b.text}` }),
        );
      }
    }
  };

  // Both intervals of a network, where its numbers have any.
  mv.bars = (g, place, i, name) => {
    const { px, py, x, y, sx, sy, area } = place;
    const clip = (v, a, b) => Math.max(Math.min(a, b), Math.min(Math.max(a, b), v));
    if (x.low && x.high[i] > x.low[i])
      g.append(
        mv.svg("line", {
          x1: clip(sx(x.low[i]), area[0], area[2]),
          x2: clip(sx(x.high[i]), area[0], area[2]),
          y1: py[i],
          y2: py[i],
          class: name,
        }),
      );
    if (y.low && y.high[i] > y.low[i])
      g.append(
        mv.svg("line", {
          y1: clip(sy(y.low[i]), area[1], area[3]),
          y2: clip(sy(y.high[i]), area[1], area[3]),
          x1: px[i],
          x2: px[i],
          class: name,
        }),
      );
  };
})();
