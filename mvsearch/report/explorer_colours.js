"use strict";
// Colours: of a number, of the kinds of blocks, of a role.
(() => {
  const { state } = mv;

  // Colours of a number: cividis, without the end that the paper swallows; its blues lighter in the dark (Nunez, Anderton and Renslow, PLoS ONE 13, 2018).
  const cividis = {
    light: ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369"],
    dark: ["#4f74c8", "#6f88bd", "#8a97ad", "#a3a592", "#bbb27c", "#d2c063", "#e6cd50", "#fee838"],
  };
  mv.ramp = () => cividis[mv.dark.matches ? "dark" : "light"];

  // Colours of the networks by what was chosen: nothing, the kind of their blocks, or a number.
  mv.painter = () => {
    const key = state.colour;
    if (!key) return { plain: true, buckets: (rows) => [[mv.colour("cloud"), null, rows]] };
    if (key === "blocks") {
      const kinds = {
        v1: ["v1", "square"],
        v2: ["v2", "diamond"],
        "v3-v1": ["v3", "triangle"],
        "v3-v2": ["front", "circle"],
        mixed: ["other", "plus"],
      };
      const of = (i) => {
        const own = new Set(mv.blocksOf[i]);
        const [one] = own;
        return own.size === 1 && kinds[one] ? one : "mixed";
      };
      return {
        buckets: (rows) =>
          Object.entries(kinds).map(([k, [colour, shape]]) => [
            mv.colour(colour),
            shape === "plus" ? "hexagon" : shape,
            rows.filter((i) => of(i) === k),
          ]),
        legend: Object.entries(kinds).map(([k, [colour]]) => [k, colour]),
      };
    }
    const column = mv.columns.get(key),
      ramp = mv.ramp(),
      ordered = mv.trials
        .filter((i) => mv.feasible(i))
        .map((i) => column.values[i])
        .filter((v) => !Number.isNaN(v))
        .sort((a, b) => a - b);
    const cuts = ramp.slice(1).map((_, k) => mv.quantile(ordered, (k + 1) / ramp.length));
    return {
      range: ordered.length ? [ordered[0], ordered[ordered.length - 1]] : null,
      ramp,
      column,
      buckets: (rows) => {
        const found = ramp.map((colour) => [colour, null, []]);
        for (const i of rows) {
          let k = 0;
          while (k < cuts.length && column.values[i] > cuts[k]) k++;
          found[k][2].push(i);
        }
        return found;
      },
    };
  };
})();
