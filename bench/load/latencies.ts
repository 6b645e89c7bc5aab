/** Buckets are 1 % wide, from 1 µs to about 100 s. */
const width = Math.log(1.01);
const bucketCount = Math.ceil(Math.log(1e8) / width);

/** What one load generator measured. */
export interface LoadSample {
  readonly seconds: number;
  readonly maxUs: number;
  /** How many calls fell into each bucket. */
  readonly buckets: Uint32Array;
}

/** What one load measured, by all its load generators. */
export interface LoadResult {
  readonly calls: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

/** Times in buckets: recording allocates nothing, and quantiles are exact to 1 %. */
export class Latencies {
  readonly #buckets = new Uint32Array(bucketCount);
  #maxUs = 0;

  record(us: number): void {
    const bucket = us <= 1 ? 0 : Math.min(bucketCount - 1, Math.floor(Math.log(us) / width));
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    if (us > this.#maxUs) this.#maxUs = us;
  }

  sample(seconds: number): LoadSample {
    return { seconds, maxUs: this.#maxUs, buckets: this.#buckets };
  }
}

/** Load generators that ran at the same time, as if they were one. */
export function mergeSamples(samples: readonly LoadSample[]): LoadResult {
  const buckets = new Uint32Array(bucketCount);
  for (const sample of samples) {
    for (const [index, count] of sample.buckets.entries()) buckets[index] = (buckets[index] ?? 0) + count;
  }
  const calls = buckets.reduce((sum, count) => sum + count, 0);
  return {
    calls,
    seconds: Math.max(...samples.map((sample) => sample.seconds)),
    p50Us: quantile(buckets, calls * 0.5),
    p99Us: quantile(buckets, calls * 0.99),
    maxUs: Math.max(...samples.map((sample) => sample.maxUs)),
  };
}

/** In µs, the middle of its bucket; 0 where nothing was recorded. */
function quantile(buckets: Uint32Array, share: number): number {
  const rank = Math.max(1, Math.ceil(share));
  let seen = 0;
  for (const [bucket, count] of buckets.entries()) {
    seen += count;
    if (seen >= rank) return Math.exp((bucket + 0.5) * width);
  }
  return 0;
}

/** Times a piece of work, which records what it wants to. */
export async function timed(work: (latencies: Latencies) => Promise<void>): Promise<LoadSample> {
  const latencies = new Latencies();
  const start = performance.now();
  await work(latencies);
  return latencies.sample((performance.now() - start) / 1_000);
}
