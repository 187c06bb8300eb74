// Light or dark theme, by the system or the user's choice.

export function theme() {
  for (const choice of document.querySelectorAll("input[name=theme]")) {
    choice.addEventListener("change", () => {
      document.documentElement.dataset.theme = choice.value;
    });
  }
}
