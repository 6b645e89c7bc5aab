import { HoldfastError } from '../../common/errors.js';
import type { Container } from './container.js';

interface Waiter {
  readonly container: Container;
  readonly count: number;
  readonly resolve: (devices: readonly number[]) => void;
  readonly reject: (error: HoldfastError) => void;
}

/**
 * The GPUs of one worker, each for one container at a time: by its number on this host.
 *
 * I1. A device is free again only when the process that had it is dead, whatever was decided about its instances.
 * I2. Who waits longest is served first: a class that needs many is not passed by those that need few.
 */
export class Gpus {
  readonly total: number;
  readonly #free: number[];
  readonly #held = new Map<Container, readonly number[]>();
  #waiting: Waiter[] = [];

  constructor(total: number) {
    this.total = total;
    this.#free = Array.from({ length: total }, (_, device) => device);
  }

  /** @throws (rejects) ActivationFailed where the container dies before it has them */
  take(container: Container, count: number): Promise<readonly number[]> {
    if (count === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ container, count, resolve, reject });
      this.#serve();
    });
  }

  /** The container is dead. */
  release(container: Container): void {
    const held = this.#held.get(container) ?? [];
    this.#held.delete(container);
    this.#free.push(...held);
    this.#free.sort((one, other) => one - other);
    const dead = this.#waiting.filter((waiter) => waiter.container === container);
    this.#waiting = this.#waiting.filter((waiter) => waiter.container !== container);
    for (const { reject } of dead)
      reject(new HoldfastError('ActivationFailed', 'the container died before it had a GPU'));
    this.#serve();
  }

  #serve(): void {
    for (let [next] = this.#waiting; next !== undefined && next.count <= this.#free.length; [next] = this.#waiting) {
      this.#waiting.shift();
      const devices = this.#free.splice(0, next.count);
      this.#held.set(next.container, devices);
      next.resolve(devices);
    }
  }
}
