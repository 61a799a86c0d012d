/** Who moves by keys stays where they are when a part of the page is made anew. */

const nameOf = (one) => one.getAttribute("aria-label") ?? one.textContent;

/** Those that cannot be told from it by kind and name, in their order. */
function alike({ tagName, type }, name) {
  return [...document.querySelectorAll(tagName)].filter((one) => one.type === type && nameOf(one) === name);
}

/**
 * Remember what has the focus.
 * @returns {() => void} brings it back, if it is lost, to what has the same id by then, or the same name.
 */
export function keepFocus() {
  const held = document.activeElement ?? document.body, { id } = held, name = nameOf(held), place = alike(held, name).indexOf(held);
  return () => {
    if (held.isConnected || document.activeElement !== document.body) return;
    const found = id ? document.getElementById(id) : alike(held, name)[place];
    found?.focus({ preventScroll: true });
  };
}
