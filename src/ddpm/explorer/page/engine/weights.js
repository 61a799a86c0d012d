/**
 * The numbers of a model out of the text of the page: base64 of float16 or float32, checked by their SHA-256.
 *
 * The digest is computed here, because `crypto.subtle` is not there for a page that was opened from a file.
 */

import { sha256 } from "./sha256.js";

/**
 * @param {string} text base64
 * @returns {Uint8Array}
 */
export function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/**
 * Numbers of half precision, little end first.
 * @param {Uint8Array} bytes two for each
 * @returns {Float32Array}
 */
export function fromHalf(bytes) {
  const out = new Float32Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) {
    const half = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
    const size = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
    out[i] = half >> 15 ? -size : size;
  }
  return out;
}

/**
 * The tensors of a network by name.
 * @param {{tensors: [string, number][], dtype: "float16" | "float32", sha256: string, base64: string}} stored names
 *   and how many numbers each has, in order
 * @returns {import("./network.js").Weights}
 * @throws {Error} the bytes are not those that were written, or a tensor is asked for that is not there
 */
export function weightsOf(stored) {
  const bytes = bytesOf(stored.base64);
  if (sha256(bytes) !== stored.sha256) throw new Error("the weights in this page are damaged: their digest differs");
  const all = stored.dtype === "float16" ? fromHalf(bytes) : new Float32Array(bytes.slice().buffer);
  const places = new Map();
  let at = 0;
  for (const [name, count] of stored.tensors) places.set(name, all.subarray(at, (at += count)));
  if (at !== all.length) throw new Error(`the page has ${all.length} weights, and its list names ${at}`);
  return (name) => {
    const found = places.get(name);
    if (!found) throw new Error(`the page has no weights called ${name}`);
    return found;
  };
}
