// The data's distribution, several equally likely Gaussian modes of one width, exact at every noise
// level. x_t = signal * x0 + sigma * noise keeps it a mixture, of means signal * mean.

export class Mixture {
  constructor(means, std) {
    this.means = Float64Array.from(means).sort();
    this.std = std;
  }

  // Density of the data at x.
  density(x) {
    const scale = 1 / (this.means.length * this.std * Math.sqrt(2 * Math.PI));
    return this.means.reduce((sum, mean) => sum + Math.exp(-(((x - mean) / this.std) ** 2) / 2), 0) * scale;
  }

  // The best possible guess of the noise in x: -sigma times the score of the noised mixture.
  noise(x, signal, sigma) {
    const variance = signal ** 2 * this.std ** 2 + sigma ** 2;
    let nearest = Infinity;
    for (const mean of this.means) nearest = Math.min(nearest, Math.abs(x - signal * mean));
    let total = 0, offset = 0;
    for (const mean of this.means) {
      const away = x - signal * mean;
      const weight = Math.exp((nearest * nearest - away * away) / (2 * variance));
      total += weight;
      offset += weight * away;
    }
    return (sigma * offset) / (total * variance);
  }

  sample(n, random) {
    return Float32Array.from({ length: n }, () => this.means[random.below(this.means.length)] + this.std * random.normal());
  }

  // Stretches between neighbouring modes, farther than k widths from both: where no data is.
  gaps(k = 6) {
    const found = [];
    for (let i = 1; i < this.means.length; i++) {
      const low = this.means[i - 1] + k * this.std, high = this.means[i] - k * this.std;
      if (low < high) found.push([low, high]);
    }
    return found;
  }
}

export function isBetween(x, gaps) {
  return gaps.some(([low, high]) => low <= x && x <= high);
}

// The best possible denoiser, called as a network is: see Network.predictor.
export function exactDenoiser(mixture) {
  return function* (step, x, out) {
    for (let i = 0; i < x.length; i++) out[i] = mixture.noise(x[i], step.signal, step.sigma);
  };
}
