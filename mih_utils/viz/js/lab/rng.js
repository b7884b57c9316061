// Random numbers from a seed: the same seed gives the same numbers.

// Chris Doty-Humphrey's sfc32, started from a seed and the name of what the numbers are for, so
// that the data, the weights, the batches and the chains do not depend on each other.
export class Random {
  constructor(seed, purpose) {
    let mixed = 2166136261 ^ seed;
    const scramble = (value) => { mixed = Math.imul(mixed ^ value, 16777619); return mixed >>> 0; };
    for (const letter of purpose) scramble(letter.charCodeAt(0));
    this.state = Uint32Array.of(scramble(1), scramble(seed), scramble(3), 1);
    for (let i = 0; i < 16; i++) this.bits();
    this.spare = null;
  }

  // A whole number, 0 … 2^32 - 1.
  bits() {
    const s = this.state;
    const sum = (s[0] + s[1] + s[3]) >>> 0;
    s[3] += 1;
    s[0] = s[1] ^ (s[1] >>> 9);
    s[1] = s[2] + (s[2] << 3);
    s[2] = ((s[2] << 21) | (s[2] >>> 11)) + sum;
    return sum;
  }

  // Evenly spread in [0, 1).
  uniform() {
    return this.bits() / 4294967296;
  }

  // A whole number, 0 … n - 1.
  below(n) {
    return Math.floor(this.uniform() * n);
  }

  // Normally distributed, mean 0 and variance 1 (Box and Muller 1958).
  normal() {
    if (this.spare !== null) {
      const kept = this.spare;
      this.spare = null;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform())), angle = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}
