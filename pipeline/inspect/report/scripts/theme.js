// Light or dark, as the system says or as is chosen here.

export function theme() {
  for (const choice of document.querySelectorAll("input[name=theme]")) {
    choice.addEventListener("change", () => {
      document.documentElement.dataset.theme = choice.value;
    });
  }
}
