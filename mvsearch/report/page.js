"use strict";
// The last script: draws everything once, and again when the window or the scheme changes.
(() => {
  const hero = mv.byId("hero");
  function drawHero() {
    if (!hero || mv.winner === undefined) return;
    const drawing = mv.drawing(mv.winner, Math.max(280, hero.clientWidth));
    if (drawing) hero.replaceChildren(drawing);
  }

  // Figures of trainings are plotly's; the page holds plotly only if there are any.
  function trainings() {
    for (const [id, plain] of Object.entries(mv.raw.training || {})) {
      const found = painted(plain, getComputedStyle(document.documentElement));
      Plotly.react(id, found.data, found.layout, { responsive: true, displaylogo: false, displayModeBar: false });
    }
  }

  const everything = () => {
    drawHero();
    mv.changed("size", "theme", "axes", "filter", "focus", "key", "sort", "tab", "history", "parallel", "colour");
  };
  everything();
  trainings();
  mv.dark.addEventListener("change", () => {
    mv.changed("theme", "colour");
    trainings();
  });
  let width = innerWidth;
  const resized = mv.frame(() => {
    if (innerWidth !== width) {
      width = innerWidth;
      drawHero();
      mv.changed("size", "parallel");
    }
  });
  addEventListener("resize", resized);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && mv.state.pin !== null && !["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName))
      mv.pin(null);
  });
})();
