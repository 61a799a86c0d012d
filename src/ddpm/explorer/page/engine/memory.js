/**
 * Arrays that are used again: a network call makes none after the first one of its size.
 */
export class Memory {
  constructor() {
    /** @type {Map<number, Float32Array[]>} */
    this.free = new Map();
    /** @type {Map<string, Float32Array | Float64Array>} */
    this.scratches = new Map();
  }

  /**
   * An array of `length` numbers, with whatever was in it.
   * @param {number} length
   * @returns {Float32Array}
   */
  take(length) {
    return this.free.get(length)?.pop() ?? new Float32Array(length);
  }

  /**
   * Hand back what `take` gave.
   * @param {Float32Array} array
   */
  give(array) {
    const kept = this.free.get(array.length);
    if (kept) kept.push(array);
    else this.free.set(array.length, [array]);
  }

  /**
   * An array of at least `length` numbers, under a name: whoever asks for that name next writes over it.
   * @template {typeof Float32Array | typeof Float64Array} Kind
   * @param {string} name
   * @param {number} length
   * @param {Kind} Kind Float32Array or Float64Array
   * @returns {InstanceType<Kind>}
   */
  scratch(name, length, Kind) {
    let array = this.scratches.get(name);
    if (!array || array.length < length) {
      array = new Kind(length);
      this.scratches.set(name, array);
    }
    return array;
  }
}
