"use strict";
// During a run the page reads itself again every few seconds; what is chosen stays in the address. A finished page never does.
(() => {
  const bar = mv.byId("live"),
    running = mv.raw.running;
  if (!bar || !running) return;
  const SOON = 5000,
    LATER = 60000,
    QUIET = 180;
  const { state } = mv;
  const text = mv.byId("live-text"),
    button = mv.byId("live-pause");
  // When the file was written, as the browser sees it; a run that has stopped writing is asked less often.
  const written = () => Date.parse(document.lastModified);
  let held = false,
    timer = 0;
  addEventListener(
    "pointerdown",
    () => {
      held = true;
    },
    true,
  );
  for (const end of ["pointerup", "pointercancel"])
    addEventListener(
      end,
      () => {
        held = false;
      },
      true,
    );

  const busy = () =>
    held ||
    document.hidden ||
    ["SELECT", "INPUT", "TEXTAREA"].includes((document.activeElement || {}).tagName) ||
    !getSelection().isCollapsed;
  function say() {
    const age = Math.max(0, (Date.now() - written()) / 1000),
      quiet = age > QUIET;
    text.textContent = `Running, updated at trial ${running.trials.toLocaleString("en")}, after ${Math.round(running.seconds)} s.${quiet ? ` No news for ${Math.round(age / 60)} minutes: the run may have been interrupted.` : state.paused ? " Updates are paused." : " This page updates itself."}`;
    button.textContent = state.paused ? "resume updates" : "pause updates";
    button.setAttribute("aria-pressed", state.paused ? "true" : "false");
    return quiet ? LATER : SOON;
  }
  function wait() {
    clearTimeout(timer);
    const pause = say();
    if (state.paused) return;
    timer = setTimeout(() => {
      if (busy()) {
        wait();
        return;
      }
      state.at = (document.activeElement || {}).id || "";
      mv.save();
      mv.reload();
    }, mv.reloadAfter || pause);
  }
  mv.reload = () => location.reload();
  mv.restartLive = wait;
  button.addEventListener("click", () => {
    state.paused = !state.paused;
    mv.save();
    wait();
  });
  // The keyboard stays where it was.
  const at = state.at && mv.byId(state.at);
  if (at) at.focus({ preventScroll: true });
  state.at = "";
  wait();
})();
