// Chooses the turn of the waterfall, and opens what is folded before printing. The report says
// all it has to say without this, too.
"use strict";
(() => {
  const choice = document.getElementById("turn-choice");
  if (choice) {
    const turns = [...document.querySelectorAll("[data-turn]")];
    const show = () => {
      for (const turn of turns) turn.hidden = turn.dataset.turn !== choice.value;
    };
    choice.closest("p").hidden = false;
    choice.addEventListener("change", show);
    show();
  }
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details")) folded.open = true;
  });
})();
