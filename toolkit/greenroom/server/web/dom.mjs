// Drawing without surprises: elements whose text is text, and lists that keep the elements they can.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

/** An element with properties (`className`, `textContent`, `ariaLabel`…), `data-*` from `dataset`, and children. */
export function element(tag, { dataset = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.dataset, dataset);
  made.append(...children);
  return made;
}

/** One of the symbols in index.html, hidden from screen readers. */
export function icon(name) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  made.append(use);
  return made;
}

export function setIcon(svg, name) {
  const use = svg.firstElementChild;
  if (use.getAttribute("href") !== `#icon-${name}`) use.setAttribute("href", `#icon-${name}`);
}

/** Set text only when it differs, so that a screen reader hears a live region once. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function setHidden(target, hidden) {
  if (target.hidden !== hidden) target.hidden = hidden;
}

/** Make the children of `list` one element per row, in order; the focus stays where it is. */
export function drawList(list, rows, key, create, update = () => {}) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = list.firstElementChild;
  for (const row of rows) {
    const id = String(key(row));
    let child = known.get(id);
    known.delete(id);
    if (!child) {
      child = create(row);
      child.dataset.key = id;
    }
    update(child, row);
    if (child === place) place = place.nextElementSibling;
    else list.insertBefore(child, place);
  }
  for (const child of known.values()) child.remove();
}
