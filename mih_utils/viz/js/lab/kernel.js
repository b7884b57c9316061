// Matrix multiplication, C (+)= A B, on arrays that share one memory: by WebAssembly where the
// browser allows it (kernel.wat), else in plain JavaScript.
import { KERNEL } from "./kernel_bytes.js";

const PAGES = 256;  // of 64 KiB: room for a network of width 128 and a schedule of 1,000 steps

export class Kernel {
  constructor({ wasm = true } = {}) {
    this.used = 0;
    this.heap = null;
    this.wasm = false;
    if (wasm) this.compile();
    if (!this.heap) this.heap = new ArrayBuffer(PAGES * 65536);
  }

  compile() {
    try {
      const memory = new WebAssembly.Memory({ initial: PAGES });
      const bytes = Uint8Array.from(atob(KERNEL), (c) => c.charCodeAt(0));
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { lab: { memory } });
      this.fast = instance.exports.multiply;
      this.heap = memory.buffer;
      this.wasm = true;
    } catch { /* refused, or without SIMD: plain JavaScript does the same */ }
  }

  // Gives all arrays back, to be used again: for another network.
  clear() {
    new Float32Array(this.heap, 0, this.used / 4).fill(0);
    this.used = 0;
  }

  // A new array of `length` numbers, zero; it lives until `clear`.
  array(length) {
    const made = new Float32Array(this.heap, this.used, length);
    this.used += Math.ceil(length / 4) * 16;
    return made;
  }

  // Element (i, p) of A is a[i * row + p * step]; B is (k, n) and C (m, n), row after row.
  // m is a multiple of 4, n of 8.
  multiply(a, row, step, b, c, m, k, n, add) {
    if (this.wasm) this.fast(a.byteOffset, 4 * row, 4 * step, b.byteOffset, c.byteOffset, m, k, n, add);
    else multiplyPlainly(a, row, step, b, c, m, k, n, add);
  }
}

function multiplyPlainly(a, row, step, b, c, m, k, n, add) {
  if (!add) c.fill(0, 0, m * n);
  for (let i = 0; i < m; i += 4) {
    const c0 = i * n, c1 = c0 + n, c2 = c1 + n, c3 = c2 + n;
    for (let p = 0; p < k; p++) {
      const at = i * row + p * step, pb = p * n;
      const a0 = a[at], a1 = a[at + row], a2 = a[at + 2 * row], a3 = a[at + 3 * row];
      for (let j = 0; j < n; j++) {
        const x = b[pb + j];
        c[c0 + j] += a0 * x;
        c[c1 + j] += a1 * x;
        c[c2 + j] += a2 * x;
        c[c3 + j] += a3 * x;
      }
    }
  }
}
