"use strict";
// What is drawn: axes, colours, the axes of the parallel coordinates, the key.
(() => {
  const { state, el } = mv;
  if (!mv.byId("filters")) return;

  // Axes and colours.
  const numbers = [...mv.columns.values()].filter((c) => c.metric),
    knobs = [...mv.columns.values()].filter((c) => c.knob && c.varies);
  const choices = (first, chosen) =>
    [
      first,
      el(
        "optgroup",
        { label: "numbers" },
        numbers.map((c) => el("option", { value: c.key, selected: c.key === chosen, text: c.name })),
      ),
      el(
        "optgroup",
        { label: "knobs" },
        knobs.map((c) => el("option", { value: c.key, selected: c.key === chosen, text: c.name })),
      ),
    ].filter(Boolean);
  const selects = { x: mv.byId("x-axis"), y: mv.byId("y-axis"), colour: mv.byId("colour") };
  for (const axis of ["x", "y"]) {
    selects[axis].append(...choices(null, state[axis]));
    selects[axis].addEventListener("change", (event) => {
      state[axis] = event.target.value;
      state.zoom = null;
      mv.changed("axes");
    });
  }
  selects.colour.append(...choices(el("option", { value: "", text: "role" }), state.colour));
  selects.colour.firstChild.after(
    el("option", { value: "blocks", selected: state.colour === "blocks", text: "kind of blocks" }),
  );
  selects.colour.addEventListener("change", (event) => {
    state.colour = event.target.value;
    mv.changed("colour");
  });
  mv.byId("swap").addEventListener("click", () => {
    [state.x, state.y] = [state.y, state.x];
    state.zoom = null;
    mv.changed("axes");
  });
  mv.byId("unzoom").addEventListener("click", () => {
    state.zoom = null;
    mv.changed("axes");
  });
  mv.byId("clear").addEventListener("click", () => mv.clearFilters());
  mv.byId("picture").addEventListener("click", () => mv.savePicture());
  for (const button of document.querySelectorAll("[data-x][data-y]")) {
    button.addEventListener("click", () => {
      Object.assign(state, { x: button.dataset.x, y: button.dataset.y, zoom: null });
      mv.changed("axes");
      mv.byId("scatter").scrollIntoView({ block: "nearest" });
    });
  }
  const legend = mv.byId("colour-key");
  function colourKey() {
    const paint = mv.painter();
    const swatch = (colour, text) =>
      el("span", {}, Object.assign(el("i", { class: "swatch" }), { style: `background:${colour}` }), text);
    legend.replaceChildren(
      ...(paint.legend
        ? paint.legend.map(([name, colour]) => swatch(mv.colour(colour), name))
        : paint.range
          ? [
              el("span", { text: mv.text(paint.column, paint.range[0]) }),
              Object.assign(el("i", { class: "ramp" }), { style: `background:linear-gradient(90deg,${paint.ramp.join(",")})` }),
              el("span", { text: mv.text(paint.column, paint.range[1]) }),
            ]
          : []),
    );
  }
  mv.view((what) => {
    if (what.has("axes")) for (const axis of ["x", "y"]) selects[axis].value = state[axis];
    if (what.has("colour") || what.has("theme") || what.has("axes")) {
      selects.colour.value = state.colour;
      colourKey();
    }
  });

  // Axes of the parallel coordinates.
  const pick = mv.byId("axes-choice");
  const boxes = [...numbers, ...knobs]
    .filter((c) => mv.extent(c)[0] < mv.extent(c)[1])
    .map((c) =>
      el(
        "label",
        { class: "tick" },
        el("input", {
          type: "checkbox",
          value: c.key,
          onchange: () => {
            const on = boxes
                .map((b) => b.firstChild)
                .filter((b) => b.checked)
                .map((b) => b.value),
              old = mv.axes().filter((k) => on.includes(k));
            state.axes = on.length > 1 ? [...old, ...on.filter((k) => !old.includes(k))] : null;
            mv.changed("parallel");
          },
        }),
        el("span", { text: c.name }),
      ),
    );
  pick.append(...boxes);
  const showAxes = () => {
    const on = mv.axes();
    for (const b of boxes) b.firstChild.checked = on.includes(b.firstChild.value);
  };
  mv.view((what) => {
    if (what.has("parallel") || what.has("size")) showAxes();
  });

  // The key: every entry shows and hides its marks.
  for (const svg of document.querySelectorAll("svg.glyph")) {
    svg.append(
      mv.svg("path", { d: mv.shapes[mv.fieldShape(svg.dataset.family)](4), transform: "translate(6.5 6.5)", class: "field" }),
    );
  }
  const entries = [...document.querySelectorAll("input[name=group]")];
  for (const input of entries) {
    input.addEventListener("change", () => {
      if (input.checked === mv.shows(input.value)) return;
      if (state.hide.has(input.value)) state.hide.delete(input.value);
      else state.hide.add(input.value);
      mv.changed("key");
    });
  }
  mv.view((what) => {
    if (what.has("key")) for (const input of entries) input.checked = mv.shows(input.value);
  });
})();
