"use strict";
// Figures name colours as CSS variables; plotly needs their values.
function painted(value, style) {
  if (typeof value === "string") return value.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
  if (Array.isArray(value)) return typeof value.at(-1) === "number" ? value : value.map((v) => painted(v, style));
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, painted(v, style)]));
  return value;
}
