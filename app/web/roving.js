// One tab stop for a grid of buttons, with the arrow keys inside it.

/**
 * Let arrow keys, Home and End move among the buttons in `grid` that match `selector`. `current` is told of the
 * button that gets the tab stop. Returns a function to call when the buttons have changed.
 */
export function rove(grid, selector, current = () => {}) {
  const buttons = () => [...grid.querySelectorAll(selector)];
  const settle = (chosen) => {
    for (const button of buttons()) button.tabIndex = button === chosen ? 0 : -1;
    if (chosen) current(chosen);
  };
  grid.addEventListener("focusin", ({ target }) => {
    if (target.matches(selector)) settle(target);
  });
  grid.addEventListener("keydown", (event) => {
    if (!event.target.matches(selector) || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = buttons();
    const at = all.indexOf(event.target);
    const columns = columnsOf(all);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const to = { Home: 0, End: all.length - 1 }[event.key] ?? (step === undefined ? undefined : at + step);
    if (to === undefined) return;
    event.preventDefault();
    all[to]?.focus();
  });
  return () => {
    const all = buttons();
    if (!all.some((button) => button.tabIndex === 0) || all.filter((button) => button.tabIndex === 0).length > 1) settle(all[0]);
  };
}

function columnsOf(buttons) {
  const top = buttons[0]?.getBoundingClientRect().top;
  const next = buttons.findIndex((button) => Math.abs(button.getBoundingClientRect().top - top) > 4);
  return next === -1 ? buttons.length : next;
}
