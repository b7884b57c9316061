// Starts every explorer and every game of the page that is not running yet.

import { start } from "./explorer.mjs";
import { startGame } from "./game.mjs";

const KINDS = { explorer: start, game: startGame };

function startAll() {
  for (const root of document.querySelectorAll("div.mih-explorer[data-kind]:not([data-ready])")) {
    const begin = KINDS[root.dataset.kind];
    if (!begin) continue;
    root.dataset.ready = "1";
    begin(root);
  }
}

startAll();
if (document.readyState === "loading") addEventListener("DOMContentLoaded", startAll);
