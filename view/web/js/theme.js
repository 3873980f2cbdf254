// Light, dark, or as the system has it. Loaded before anything is drawn, so that the page never flashes in the other theme; therefore no module.
(() => {
  const KEY = 'wirespan.theme';
  const root = document.documentElement;
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  const dark = () => matchMedia('(prefers-color-scheme: dark)').matches;
  const apply = (theme) => {
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  apply(stored());
  globalThis.wirespanTheme = {
    /** What is shown: `light` or `dark`. */
    current: () => root.dataset.theme ?? (dark() ? 'dark' : 'light'),
    /** Shows the other one, and remembers it; the system's own choice is not remembered. */
    toggle() {
      const next = this.current() === 'dark' ? 'light' : 'dark';
      const isSystems = next === (dark() ? 'dark' : 'light');
      apply(isSystems ? null : next);
      try {
        if (isSystems) localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, next);
      } catch {
        // Storage may be forbidden; the theme then lasts as long as the page.
      }
      document.dispatchEvent(new Event('themechange'));
    },
  };
})();
