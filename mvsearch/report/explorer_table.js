"use strict";
// The selected networks as a table: sorted by any column; only the rows in sight exist, so that ten thousand scroll.
(() => {
  const { state, el } = mv;
  const host = mv.byId("table");
  if (!host) return;
  const ROW = 30;
  const metric = (key, name) => mv.columns.has(key) && { key, name, column: mv.columns.get(key) };
  const heads = [
    { key: "name", name: "network" },
    metric("top1", "top-1, %"),
    metric("lower", "at least"),
    metric("latency", "ms"),
    metric("in_budget", "P(in budget)"),
    metric("on_front", "P(on front)"),
    metric("params", "params"),
    metric("macs", "MACs"),
    metric("activations", "activations"),
    metric("peak_memory", "memory, MB"),
    metric("distance", "distance"),
    { key: "blocks", name: "blocks" },
    { key: "origin", name: "origin" },
    metric("trial", "trial"),
  ].filter(Boolean);
  const words = { name: (i) => mv.names[i], blocks: (i) => mv.blocksOf[i].join(" "), origin: (i) => mv.origin(i) };
  const cell = (h, i) => (h.column ? mv.bare(h.column, h.column.values[i]) : words[h.key](i));
  const tr = el("tr", {});
  for (const h of heads) {
    tr.append(
      el(
        "th",
        { scope: "col", class: h.column ? "" : "text", "data-sort": h.key },
        el(
          "button",
          {
            type: "button",
            onclick: () => {
              if (state.sort === h.key) state.down = state.down === "1" ? "0" : "1";
              else {
                state.sort = h.key;
                state.down = h.column && h.column.better < 0 ? "0" : h.column ? "1" : "0";
              }
              mv.changed("sort");
            },
          },
          h.name,
          el("span", { class: "arrow", "aria-hidden": "true" }),
        ),
      ),
    );
  }
  const before = el("tr", { class: "pad", "aria-hidden": "true" }, el("td", { colspan: heads.length })),
    after = before.cloneNode(true),
    body = el("tbody", {});
  const table = el(
    "table",
    { class: "trials" },
    el("caption", { class: "sr", text: "Selected candidates" }),
    el("thead", {}, tr),
    body,
  );
  host.append(table);
  let order = [],
    ranked = { by: "" };

  // All trials in the order asked for; those that lack the number come last.
  function ranking(h, sign) {
    if (!h.column) return [...mv.trials].sort((a, b) => sign * words[h.key](a).localeCompare(words[h.key](b)) || a - b);
    const v = h.column.values;
    return [...mv.trials].sort(
      (a, b) => (Number.isNaN(v[a]) ? 1 : 0) - (Number.isNaN(v[b]) ? 1 : 0) || sign * (v[a] - v[b]) || a - b,
    );
  }
  function sort() {
    const h = heads.find((x) => x.key === state.sort) || heads[0],
      sign = state.down === "1" ? -1 : 1;
    const asked = `${h.key} ${sign}`;
    if (ranked.by !== asked) ranked = { by: asked, rows: ranking(h, sign) };
    order = ranked.rows.filter((i) => mv.kept[i]);
    for (const th of tr.children) {
      const on = th.dataset.sort === h.key;
      if (on) th.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
      th.querySelector(".arrow").textContent = on ? (sign < 0 ? " ↓" : " ↑") : "";
    }
    table.setAttribute("aria-rowcount", order.length + 1);
    const names = mv.byId("table-count");
    names.textContent = `${order.length.toLocaleString("en")} ${order.length === 1 ? "candidate" : "candidates"}`;
    shown = "";
    draw();
  }
  function row(i, place, looked) {
    const pin = el(
      "button",
      { type: "button", class: "bare", "aria-pressed": state.pin === i ? "true" : "false", onclick: () => mv.toggle(i) },
      el("code", { text: mv.names[i] }),
    );
    const name = el(
      "th",
      { scope: "row", class: "text" },
      pin,
      mv.onFront(i) ? el("small", { text: ` ${mv.roles[i]}` }) : null,
    );
    const cells = heads.slice(1).map((h) => el("td", { class: h.column ? "" : "text", text: cell(h, i) }));
    return el(
      "tr",
      { class: `${mv.roles[i]}${looked ? " looked" : ""}`, "data-row": i, "aria-rowindex": place + 2 },
      name,
      cells,
    );
  }
  let shown = "";
  function draw() {
    const first = Math.max(0, Math.floor(host.scrollTop / ROW) - 6),
      last = Math.min(order.length, first + Math.ceil((host.clientHeight || 400) / ROW) + 14);
    const now = `${first} ${last} ${mv.focus()} ${state.pin}`;
    if (now === shown) return;
    shown = now;
    before.firstChild.style.height = `${first * ROW}px`;
    after.firstChild.style.height = `${(order.length - last) * ROW}px`;
    const looked = mv.focus();
    const rows = order.slice(first, last).map((i, k) => row(i, first + k, i === looked));
    body.replaceChildren(...(first ? [before] : []), ...rows, ...(last < order.length ? [after] : []));
  }
  const scrolled = mv.frame(draw);
  host.addEventListener("scroll", scrolled, { passive: true });
  body.addEventListener("pointerover", (event) => {
    const row = event.target.closest && event.target.closest("[data-row]");
    if (row && event.pointerType !== "touch") mv.point(Number(row.dataset.row));
  });
  host.addEventListener("pointerleave", () => mv.point(null));
  const find = mv.byId("find");
  find.value = state.find;
  find.addEventListener("input", () => {
    state.find = find.value;
    mv.changed("filter");
  });
  const again = mv.frame(sort);
  mv.view((what) => {
    if (what.has("filter") && find.value !== state.find) find.value = state.find;
    if (["filter", "sort", "size"].some((w) => what.has(w))) again();
    else if (what.has("focus")) scrolled();
  });
})();
