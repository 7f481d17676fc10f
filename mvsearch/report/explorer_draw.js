"use strict";
// Small tools for drawing: elements, scales, ticks, places for labels, marks on a canvas.
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  // Text is always set as text: nothing that comes from outside becomes markup.
  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "text") node.textContent = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
    return node;
  }
  mv.el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  mv.svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  mv.byId = (id) => document.getElementById(id);
  mv.narrow = matchMedia("(max-width: 760px)");
  mv.dark = matchMedia("(prefers-color-scheme: dark)");
  mv.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  mv.scale = (low, high, from, to, log) => {
    const f = log ? Math.log : (v) => v,
      a = f(low),
      span = f(high) - a || 1;
    const scale = (v) => from + ((f(v) - a) / span) * (to - from);
    scale.invert = (pixel) => {
      const v = a + ((pixel - from) / (to - from)) * span;
      return log ? Math.exp(v) : v;
    };
    return Object.assign(scale, { low, high, from, to, log });
  };

  mv.ticks = (scale, room) => {
    const { low, high, log } = scale;
    if (log && high / low > 1.6) {
      for (const steps of [[1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 3, 5], [1, 2, 5], [1]]) {
        const found = [];
        for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
          for (const s of steps) {
            const t = Number(`${s}e${e}`);
            if (t >= low && t <= high) found.push(t);
          }
        }
        if (found.length <= room && found.length > 1) return found;
      }
    }
    const rough = (high - low) / Math.max(2, room),
      base = 10 ** Math.floor(Math.log10(rough));
    const step = base * [1, 2, 5, 10].find((s) => s * base >= rough);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) found.push(Number((k * step).toPrecision(12)));
    return found;
  };

  mv.tickText = (column, value) => {
    if (column.format === "choice") return mv.bare(column, value);
    if (column.format === "count") {
      const [factor, letter] = value >= 1e9 ? [1e9, " G"] : value >= 1e6 ? [1e6, " M"] : value >= 1e3 ? [1e3, " k"] : [1, ""];
      return `${Number((value / factor).toPrecision(4))}${letter}`;
    }
    return String(Number((column.format === "megabytes" ? value / 1e6 : value).toPrecision(6)));
  };

  mv.quantile = (ordered, p) => ordered[Math.round(p * (ordered.length - 1))];

  // Greedy: the more important labels come first; taken are the marks, the labels placed before, and what is outside.
  const places = [
    [0.5, 0, "start"],
    [-0.5, 0, "end"],
    [0, -0.5, "middle"],
    [0, 0.5, "middle"],
    [0.5, -0.5, "start"],
    [0.5, 0.5, "start"],
    [-0.5, -0.5, "end"],
    [-0.5, 0.5, "end"],
  ];
  mv.placeLabels = (labels, marks, area) => {
    const gap = 8,
      radius = 5,
      height = 13;
    const taken = marks.map(([x, y]) => [x - radius, y - radius, x + radius, y + radius]);
    return labels.map(({ x, y, text }) => {
      if (x < area[0] || x > area[2] || y < area[1] || y > area[3]) return null;
      const width = 6.4 * text.length;
      for (const [dx, dy, anchor] of places) {
        const cx = x + dx * width + Math.sign(dx) * gap,
          cy = y + dy * height + Math.sign(dy) * gap * (dx ? 0.9 : 1);
        const box = [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2];
        const inside = box[0] >= area[0] && box[1] >= area[1] && box[2] <= area[2] && box[3] <= area[3];
        if (inside && !taken.some((t) => box[0] < t[2] && t[0] < box[2] && box[1] < t[3] && t[1] < box[3])) {
          taken.push(box);
          return { x: x + Math.sign(dx) * gap, y: cy + 4, anchor };
        }
      }
      return null;
    });
  };

  mv.staircase = (points, betterX, betterY) => {
    const ordered = [...points].sort((a, b) => -betterX * (a[0] - b[0]) || -betterY * (a[1] - b[1]));
    const kept = [];
    for (const p of ordered) if (!kept.length || betterY * (p[1] - kept[kept.length - 1][1]) > 0) kept.push(p);
    return kept;
  };

  // Shapes of about the same area, as SVG paths around (0, 0) and on a canvas.
  mv.shapes = {
    circle: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
    square: (r) => `M${-r * 0.88},${-r * 0.88}h${r * 1.76}v${r * 1.76}h${-r * 1.76}Z`,
    diamond: (r) => `M0,${-r * 1.28}L${r * 1.28},0L0,${r * 1.28}L${-r * 1.28},0Z`,
    triangle: (r) => `M0,${-r * 1.3}L${r * 1.18},${r * 0.82}L${-r * 1.18},${r * 0.82}Z`,
    wedge: (r) => `M0,${r * 1.3}L${r * 1.18},${-r * 0.82}L${-r * 1.18},${-r * 0.82}Z`,
    hexagon: (r) =>
      `M${[0, 1, 2, 3, 4, 5].map((k) => `${(r * 1.08 * Math.cos((k * Math.PI) / 3)).toFixed(2)},${(r * 1.08 * Math.sin((k * Math.PI) / 3)).toFixed(2)}`).join("L")}Z`,
    star: (r) =>
      `M${[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        .map((k) => {
          const q = k % 2 ? r * 0.48 : r * 1.15,
            a = (k * Math.PI) / 5 - Math.PI / 2;
          return `${(q * Math.cos(a)).toFixed(2)},${(q * Math.sin(a)).toFixed(2)}`;
        })
        .join("L")}Z`,
    plus: (r) => `M${-r},0H${r}M0,${-r}V${r}`,
    cross: (r) => `M${-r * 0.75},${-r * 0.75}L${r * 0.75},${r * 0.75}M${-r * 0.75},${r * 0.75}L${r * 0.75},${-r * 0.75}`,
  };
  mv.open = new Set(["plus", "cross"]);
  mv.familyShapes = { v1: "square", v2: "diamond", v3: "triangle", other: "hexagon" };

  // Families of the field: hollow marks, told apart by shape; the ninth family has the first one's shape again, and its labels.
  const fieldShapes = ["circle", "wedge", "cross", "square", "plus", "diamond", "triangle", "hexagon"];
  const families = [...new Set((mv.raw.field || []).map((f) => f.family))];
  mv.fieldShape = (family) => fieldShapes[Math.max(0, families.indexOf(family)) % fieldShapes.length];

  // A canvas that is sharp on any screen, cleared.
  mv.sheet = (canvas, width, height) => {
    const ratio = Math.min(2, devicePixelRatio || 1);
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  };

  // A small mark drawn once and then stamped: ten thousand paths would keep a frame waiting.
  // In a crowd a dot is a square, which costs least.
  mv.stamp = (colour, shape, r, crowd) => {
    if (crowd && shape === "circle") {
      const side = r * 1.8;
      return (target, x, y) => {
        target.fillStyle = colour;
        target.fillRect(Math.round(x - side / 2), Math.round(y - side / 2), Math.round(side), Math.round(side));
      };
    }
    const ratio = Math.min(2, devicePixelRatio || 1),
      half = Math.ceil(r * 1.4) + 1;
    const sheet = mv.el("canvas", { width: 2 * half * ratio, height: 2 * half * ratio }),
      context = sheet.getContext("2d");
    context.scale(ratio, ratio);
    context.translate(half, half);
    context.fillStyle = context.strokeStyle = colour;
    const path = new Path2D(mv.shapes[shape](r));
    if (mv.open.has(shape)) context.stroke(path);
    else context.fill(path);
    const snap = (v) => Math.round((v - half) * ratio) / ratio;
    return (target, x, y) => target.drawImage(sheet, snap(x), snap(y), 2 * half, 2 * half);
  };

  mv.frame = (draw) => {
    let waiting = false;
    return () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw();
      });
    };
  };
})();
