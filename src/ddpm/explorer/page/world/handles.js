/** Drawings that one can take hold of: SVG elements that a pointer, a finger or the arrow keys move. */

const NS = "http://www.w3.org/2000/svg";

/** An SVG element. */
export function svg(kind, attributes = {}, ...children) {
  const made = document.createElementNS(NS, kind);
  put(made, attributes);
  made.append(...children);
  return made;
}

/** Set attributes of an element. */
export function put(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, `${value}`);
}

/** Where a pointer is within an element, in its pixels. */
export function placeIn(node, event) {
  const box = node.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/**
 * Let a pointer drag within an element: `began(place)`, then `moved(place, event)` at once and with every move;
 *   `ended()`.
 * @param {Element} node that is taken hold of.
 * @param {Element} frame in whose pixels places are told.
 */
export function draggable(node, frame, { began = () => {}, moved, ended = () => {} }) {
  let held = null;
  node.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    held = event.pointerId;
    node.setPointerCapture(held);
    event.preventDefault();
    event.stopPropagation();
    node.focus?.({ preventScroll: true });
    began(placeIn(frame, event));
    moved(placeIn(frame, event), event);
  });
  node.addEventListener("pointermove", (event) => {
    if (event.pointerId === held) moved(placeIn(frame, event), event);
  });
  // A finger on a handle drags it and does not scroll; browsers do not heed touch-action on a group of SVG.
  if (node !== frame) node.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  const end = (event) => {
    if (event.pointerId !== held) return;
    held = null;
    ended();
  };
  node.addEventListener("pointerup", end);
  node.addEventListener("pointercancel", end);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/**
 * Let the arrow keys move an element: `pressed(right, up, key)` in steps of 1, or 5 with Shift; other keys come as 0,
 * 0, key.
 */
export function movable(node, pressed) {
  node.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key],
      size = event.shiftKey ? 5 : 1;
    if (!arrow && !["Delete", "Backspace", "+", "-"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    pressed(...(arrow ?? [0, 0]).map((n) => n * size), event.key);
  });
}

/**
 * A round handle with a letter in it; `handle.at(x, y, said, now)` moves it and tells screen readers where it is.
 * @param {string} name for screen readers.
 * @param {string} kind its class.
 */
export function handle(name, kind, letter = "") {
  const group = svg("g", { class: `handle ${kind}`, tabindex: 0, role: "slider", "aria-label": name });
  group.append(svg("circle", { r: 18, class: "reach" }), svg("circle", { r: letter ? 10 : 6, class: "knob" }));
  if (letter) group.append(svg("text", { y: 4, class: "letter" }, letter));
  return Object.assign(group, {
    at: (x, y, said, now) => {
      put(group, {
        transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
        "aria-valuetext": said,
        "aria-valuenow": now.toFixed(3),
      });
    },
  });
}
