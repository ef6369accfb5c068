// Tabs: one is open, arrow keys go from one to the next.

const tabs = () => [...document.querySelectorAll('[role=tab]')];

/** Opens a tab by its id. */
export function open(id) {
  for (const tab of tabs()) {
    const chosen = tab.id === id;
    tab.setAttribute('aria-selected', chosen);
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute('aria-controls')).hidden = !chosen;
  }
}

/** Makes the tabs work. */
export function start() {
  for (const tab of tabs()) {
    tab.addEventListener('click', () => open(tab.id));
    tab.addEventListener('keydown', (event) => {
      const all = tabs();
      const at = all.indexOf(tab);
      const to = {
        ArrowRight: all[(at + 1) % all.length],
        ArrowLeft: all[(at + all.length - 1) % all.length],
        Home: all[0],
        End: all.at(-1),
      }[event.key];
      if (!to) return;
      event.preventDefault();
      open(to.id);
      to.focus();
    });
  }
  open('tab-stage');
}
