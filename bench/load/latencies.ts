/** Buckets are 1 % wide, from 1 µs to about 100 s. */
const width = Math.log(1.01);
const bucketCount = Math.ceil(Math.log(1e8) / width);

/** What one load measured. */
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
  #count = 0;
  #maxUs = 0;

  record(us: number): void {
    const bucket = us <= 1 ? 0 : Math.min(bucketCount - 1, Math.floor(Math.log(us) / width));
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    this.#count += 1;
    if (us > this.#maxUs) this.#maxUs = us;
  }

  summary(seconds: number): LoadResult {
    return { calls: this.#count, seconds, p50Us: this.#quantile(0.5), p99Us: this.#quantile(0.99), maxUs: this.#maxUs };
  }

  /** In µs, the middle of its bucket; 0 where nothing was recorded. */
  #quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(this.#count * share));
    let seen = 0;
    for (const [bucket, count] of this.#buckets.entries()) {
      seen += count;
      if (seen >= rank) return Math.exp((bucket + 0.5) * width);
    }
    return 0;
  }
}
