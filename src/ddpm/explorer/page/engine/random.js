/**
 * Random numbers of the page: xoshiro128** (Blackman & Vigna 2018), begun by a seed and words that say what for.
 *
 * They are not torch's: the same seed draws other noise in Python.
 */

/** A stream of random numbers. */
export class Random {
  /**
   * @param {number} seed a whole number
   * @param {...(string | number)} what for what: streams of other words are others
   */
  constructor(seed, ...what) {
    let hash = 2166136261;
    for (const character of JSON.stringify([seed, ...what])) {
      hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
    }
    this.state = new Uint32Array(4).map(() => {
      hash = (hash + 0x9e3779b9) | 0;
      let z = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    });
    this.kept = null;
  }

  /** @returns {number} 32 random bits */
  bits() {
    const s = this.state;
    const product = Math.imul(s[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result >>> 0;
  }

  /** @returns {number} uniform, above 0 and below 1 */
  uniform() {
    return (this.bits() + 0.5) / 2 ** 32;
  }

  /** @returns {number} N(0, 1) (Box & Muller 1958) */
  gaussian() {
    if (this.kept !== null) {
      const second = this.kept;
      this.kept = null;
      return second;
    }
    const radius = Math.sqrt(-2 * Math.log(this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /**
   * @param {number} length
   * @returns {Float32Array} N(0, I)
   */
  noise(length) {
    return Float32Array.from({ length }, () => this.gaussian());
  }
}
