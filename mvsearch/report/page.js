"use strict";
// Draws the figures that the page holds as JSON, in the colours of the current scheme, and shows a network's card.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const plot = document.getElementById("tradeoff");
  const progress = document.getElementById("progress");
  const panel = document.getElementById("card");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 760px)");
  const config = { responsive: true, displaylogo: false, modeBarButtons: [["zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]] };
  let pinned = null;

  // Figures name colours as CSS variables; plotly needs their values.
  function painted(value, style) {
    if (typeof value === "string") return value.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map((v) => painted(v, style));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, painted(v, style)]));
    return value;
  }

  function chosen(name) { return document.querySelector(`input[name=${name}]:checked`).value; }

  // Plotly reads a subset of HTML in its labels.
  function escaped(text) { return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); }

  function columns(rows) {
    const widths = rows[0].map((_, i) => Math.max(...rows.map((r) => r[i].length)));
    return rows.map((r) => r.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(" ").trimEnd());
  }

  const short = { width: "C", expansion: "e", blocks: "n", heads: "h", FFN: "ffn" };
  function hover(card) {
    const numbers = columns(card.numbers.map((n) => [n[0], " " + n[1]]));
    const parts = columns([data.headings.map((h) => short[h] || h), ...card.parts]);
    const lines = [`${card.id}  ${card.role}`, ...numbers, "", ...parts, ...(card.notes.length ? ["", ...card.notes] : [])];
    // Plotly collapses runs of spaces; no-break spaces keep the columns.
    return lines.map((line, i) => (i === 0 ? `<b>${escaped(line)}</b>` : escaped(line)).replace(/ /g, "\u00a0")).join("<br>");
  }

  function element(tag, text, className) {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  }

  function show(index) {
    const card = data.cards[index];
    if (!card) return;
    const title = element("h3");
    title.append(element("code", card.id), element("span", card.role + (card.arch === card.id ? "" : `, ${card.arch}`), "role"));
    const left = element("div"), list = element("dl"), notes = element("ul");
    for (const [name, text] of card.numbers) list.append(element("dt", name), element("dd", text));
    for (const note of card.notes) notes.append(element("li", note));
    left.append(list, notes);
    const table = element("table"), head = table.createTHead().insertRow(), body = table.createTBody();
    data.headings.forEach((h, i) => {
      const th = element("th", narrow.matches ? short[h] || h : h, i < 2 ? "text" : "");
      th.scope = "col";
      th.title = h;
      head.append(th);
    });
    for (const part of card.parts) {
      const row = body.insertRow();
      part.forEach((cell, i) => row.append(element("td", cell, i < 2 ? "text" : "")));
    }
    const scroll = element("div", undefined, "scroll");
    scroll.append(table);
    panel.replaceChildren(title, left, scroll);
  }

  function figure() {
    const found = painted(data.figures[`${chosen("cost")}|${chosen("quality")}`], getComputedStyle(document.documentElement));
    for (const trace of found.data) {
      if (!trace.customdata) continue;
      if (narrow.matches) {
        // A phone has no room for the hover label; the card below the plot takes its place.
        trace.hoverinfo = "none";
        if (trace.meta) Object.assign(trace, trace.meta.narrow);
      } else {
        trace.hovertemplate = trace.customdata.map((i) => hover(data.cards[i]) + "<extra></extra>");
      }
    }
    const hidden = new Set([...document.querySelectorAll("input[name=group]:not(:checked)")].map((input) => input.value));
    for (const trace of found.data) {
      trace.visible = !hidden.has(trace.legendgroup);
      if (hidden.has("intervals")) { delete trace.error_x; delete trace.error_y; }
    }
    if (narrow.matches) {
      found.layout.margin = { l: 44, r: 8, t: 8, b: 46 };
      found.layout.font.size = 11.5;
      found.layout.dragmode = "pan";
    }
    return found;
  }

  function draw() {
    const { data: traces, layout } = figure();
    Plotly.react(plot, traces, layout, { ...config, displayModeBar: !narrow.matches });
    if (data.progress) {
      const rate = painted(data.progress, getComputedStyle(document.documentElement));
      Plotly.react(progress, rate.data, rate.layout, { ...config, displayModeBar: false });
    }
    for (const [id, plain] of Object.entries(data.training || {})) {
      const found = painted(plain, getComputedStyle(document.documentElement));
      Plotly.react(id, found.data, found.layout, { ...config, displayModeBar: false });
    }
  }

  draw();
  if (data.cards.length) show(data.shown);
  plot.on("plotly_hover", (event) => { const i = event.points[0].customdata; if (pinned === null && i !== undefined) show(i); });
  plot.on("plotly_click", (event) => { const i = event.points[0].customdata; if (i !== undefined) { pinned = pinned === i ? null : i; show(i); } });
  document.querySelectorAll("input").forEach((input) => input.addEventListener("change", draw));
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
})();
