// The noise schedule, and the way back from noise to data.

// Beta rises linearly over the steps; signal and sigma are how much of x0 and of noise x_t holds.
export class Schedule {
  constructor(steps, first = 1e-3, last = 0.2) {
    this.steps = steps;
    this.beta = Float64Array.from({ length: steps }, (_, t) => first + ((last - first) * t) / (steps - 1));
    this.alphaBar = new Float64Array(steps);
    this.beta.reduce((left, beta, t) => (this.alphaBar[t] = left * (1 - beta)), 1);
    this.signal = this.alphaBar.map(Math.sqrt);
    this.sigma = this.alphaBar.map((left) => Math.sqrt(1 - left));
  }

  // The steps of the reverse chain, from noise to data. Each takes x_t to
  //   x * x_t + noise * (guessed noise) + std * (fresh noise),
  // DDPM with fresh noise of variance beta (Ho et al. 2020), DDIM without (Song et al. 2021).
  chain(sampler) {
    return Array.from({ length: this.steps }, (_, i) => {
      const t = this.steps - 1 - i;
      const left = this.alphaBar[t], after = t > 0 ? this.alphaBar[t - 1] : 1;
      const kept = sampler === "ddpm" ? (this.beta[t] * (1 - after)) / (1 - left) : 0;
      const x = Math.sqrt(after / left);
      return {
        t, x,
        noise: Math.sqrt(Math.max(0, 1 - after - kept)) - x * this.sigma[t],
        std: sampler === "ddpm" && t > 0 ? Math.sqrt(this.beta[t]) : 0,
        signal: this.signal[t],
        sigma: this.sigma[t],
        left: t,
      };
    });
  }
}

// Takes the points x through a chain. Returns where each ends, and its way: `kept` positions, spaced
// evenly in sigma, as columns {noise, x}, the first at the start and the last at the end.
export function* follow(denoiser, chain, starts, random, kept = 40) {
  const x = Float64Array.from(starts), guess = new Float64Array(x.length);
  const columns = [{ noise: 1, x: Float32Array.from(x) }];
  for (const step of chain) {
    yield* denoiser(step, x, guess);
    for (let i = 0; i < x.length; i++) {
      x[i] = step.x * x[i] + step.noise * guess[i];
      if (step.std) x[i] += step.std * random.normal();
    }
    const noise = step.left ? chain[chain.length - step.left].sigma : 0;
    const due = columns[columns.length - 1].noise - noise >= 1 / kept;
    if (due || !step.left) columns.push({ noise, x: Float32Array.from(x) });
  }
  return { ends: x, columns };
}
