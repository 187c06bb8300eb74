// The links to the sections; the current one is marked.
import { el, find } from "./dom.js";

export function contents(sections) {
  const links = new Map(sections.map((section) => {
    const name = section.dataset.name ?? section.querySelector("h2").textContent;
    return [section, el("a", { href: `#${section.id}` }, name)];
  }));
  find("contents").append(...[...links.values()].map((link) => el("li", {}, link)));
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) links.get(target).setAttribute("aria-current", "true");
      else links.get(target).removeAttribute("aria-current");
    }
  }, { rootMargin: "-20% 0px -79% 0px" });
  for (const section of sections) seen.observe(section);
}
