"use strict";
// How the front grew: dominated area over trials, or over the time that the run worked.
(() => {
  const { state } = mv;
  const host = mv.byId("growth");
  if (!host || !mv.raw.growth.length) return;
  const svg = mv.svg("svg", { role: "img" });
  host.append(svg);
  const timed = mv.raw.growth.every((g) => g[2] !== null);
  for (const input of document.querySelectorAll("input[name=history]")) {
    if (input.value === "seconds" && !timed) {
      input.disabled = true;
      input.parentNode.title = "The times of the trials are not known";
    }
    input.checked = input.value === (timed ? state.history : "trials");
    input.addEventListener("change", () => {
      state.history = input.value;
      mv.changed("history");
    });
  }
  const draw = mv.frame(() => {
    const byTime = timed && state.history === "seconds",
      points = mv.raw.growth.map((g) => [byTime ? g[2] : g[0], g[1]]);
    const width = host.clientWidth,
      height = 230,
      area = [52, 10, width - 14, height - 44];
    const sx = mv.scale(0, Math.max(...points.map((p) => p[0]), 1e-9), area[0], area[2], false),
      most = Math.max(...points.map((p) => p[1]), 1e-9),
      sy = mv.scale(0, most * 1.05, area[3], area[1], false);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    const g = mv.svg("g", {}),
      plain = { format: "plain" };
    for (const t of mv.ticks(sx, mv.narrow.matches ? 5 : 8))
      g.append(
        mv.svg("text", { x: sx(t), y: area[3] + 17, class: "tick", "text-anchor": "middle", text: mv.tickText(plain, t) }),
      );
    for (const t of mv.ticks(sy, 5))
      g.append(
        mv.svg("line", { x1: area[0], x2: area[2], y1: sy(t), y2: sy(t), class: "grid" }),
        mv.svg("text", { x: area[0] - 6, y: sy(t) + 4, class: "tick", "text-anchor": "end", text: mv.tickText(plain, t) }),
      );
    const path = points
      .map(([x, y], k) => (k ? `H${sx(x).toFixed(1)}V${sy(y).toFixed(1)}` : `M${sx(x).toFixed(1)},${sy(y).toFixed(1)}`))
      .join("");
    g.append(
      mv.svg("path", { d: `M${area[0]},${area[1]}V${area[3]}H${area[2]}`, class: "axis" }),
      mv.svg("path", { d: `${path}H${area[2]}`, class: "growth" }),
      mv.svg("text", {
        x: (area[0] + area[2]) / 2,
        y: height - 6,
        class: "title",
        "text-anchor": "middle",
        text: byTime ? "seconds that the run worked" : "trials",
      }),
    );
    const nine = points.find((p) => p[1] >= 0.99 * points[points.length - 1][1]);
    if (nine) {
      const left = sx(nine[0]) > (area[0] + area[2]) / 2;
      g.append(
        mv.svg("circle", { cx: sx(nine[0]), cy: sy(nine[1]), r: 3.5, class: "dot" }),
        mv.svg("text", {
          x: sx(nine[0]) + (left ? -8 : 8),
          y: sy(nine[1]) + 20,
          class: "label",
          "text-anchor": left ? "end" : "start",
          text: `99 % of it after ${Number(nine[0].toPrecision(3)).toLocaleString("en")} ${byTime ? "s" : "trials"}`,
        }),
      );
    }
    svg.replaceChildren(
      mv.svg("title", {
        text: `Hypervolume over ${byTime ? "seconds" : "trials"}: ${points[points.length - 1][1].toPrecision(4)} at the end`,
      }),
      g,
    );
  });
  mv.view((what) => {
    if (what.has("history") || what.has("size")) draw();
  });
})();
