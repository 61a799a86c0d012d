/** Where a stroke is. */

/** The distance of a place to the straight line from (x, y) to (u, v). */
export function toSegment(px, py, x, y, u, v) {
  const length = (u - x) ** 2 + (v - y) ** 2;
  const share = length ? Math.min(1, Math.max(0, ((px - x) * (u - x) + (py - y) * (v - y)) / length)) : 0;
  return Math.hypot(px - x - share * (u - x), py - y - share * (v - y));
}
