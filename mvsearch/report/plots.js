"use strict";
// Draws the figures that a page holds as JSON, in the colours of the current scheme.
//
// `data.figures`: element id -> plotly figure. A checkbox named `group` shows and hides the traces of its `legendgroup`. What
// carries `data-when="NAME=VALUE ..."` is shown while each radio button NAME stands on its VALUE.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 760px)");
  const config = { responsive: true, displaylogo: false, modeBarButtons: [["zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]] };

  function fitted(figure) {
    const groups = [...document.querySelectorAll("input[name=group]")];
    const shown = new Map(groups.map((input) => [input.value, input.checked]));
    for (const trace of figure.data) {
      if (shown.has(trace.legendgroup)) trace.visible = shown.get(trace.legendgroup);
      if (shown.get("intervals") === false) { delete trace.error_x; delete trace.error_y; }
    }
    if (narrow.matches) {
      figure.layout.margin = { ...figure.layout.margin, l: 46, r: 18, b: 46 };
      figure.layout.font.size = 11.5;
      figure.layout.hoverlabel.font.size = 10.5;
      figure.layout.dragmode = "pan";
    }
    return figure;
  }

  function choose() {
    for (const part of document.querySelectorAll("[data-when]")) {
      part.hidden = !part.dataset.when.split(" ").every((condition) => {
        const [name, value] = condition.split("=");
        return document.querySelector(`input[name="${name}"]:checked`).value === value;
      });
    }
  }

  function draw() {
    choose();
    const style = getComputedStyle(document.documentElement);
    for (const [id, plain] of Object.entries(data.figures)) {
      const place = document.getElementById(id);
      if (!place || place.closest("[hidden]")) continue;
      const { data: traces, layout } = fitted(painted(plain, style));
      const bar = !narrow.matches && !place.hasAttribute("data-plain");
      Plotly.react(place, traces, layout, { ...config, displayModeBar: bar });
    }
  }

  draw();
  document.querySelectorAll("input").forEach((input) => input.addEventListener("change", draw));
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
})();
