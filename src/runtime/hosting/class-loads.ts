import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { gpuDemand } from '../../common/gpu-demand.js';
import type { LoadBody } from '../../wire/frames/frames.js';
import type { SecretSource } from '../secret-source.js';
import type { Container } from './container.js';
import type { Gpus } from './gpus.js';
import type { LoadedClass } from './loaded-class.js';

/** Gives containers their class. */
export class ClassLoads {
  readonly #clock: Clock;
  readonly #bundlePath: (klass: LoadedClass) => Promise<string>;
  readonly #env: Readonly<Record<string, string>>;
  readonly #gpus: Gpus;

  /** @param deps `bundlePath`: of the class's bundle on this host; empty where it needs none */
  constructor(deps: {
    readonly clock: Clock;
    readonly bundlePath: (klass: LoadedClass) => Promise<string>;
    readonly env: Readonly<Record<string, string>>;
    readonly gpus: Gpus;
  }) {
    this.#clock = deps.clock;
    this.#bundlePath = deps.bundlePath;
    this.#env = deps.env;
    this.#gpus = deps.gpus;
  }

  /** Code at the top of a bundle can run for ever. @throws ActivationFailed, also after `startupTimeoutMs` */
  load(container: Container, klass: LoadedClass, secrets: SecretSource): Promise<void> {
    const { startupTimeoutMs } = klass.options;
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(startupTimeoutMs, () => {
        const message = `${klass.label}: loading the bundle took longer than startupTimeoutMs of ${startupTimeoutMs}`;
        reject(new HoldfastError('ActivationFailed', message, { details: { startupTimeoutMs } }));
      });
      void this.#load(container, klass, secrets)
        .then(resolve, reject)
        .finally(() => timer.cancel());
    });
  }

  async #load(container: Container, klass: LoadedClass, secrets: SecretSource): Promise<void> {
    const [bundlePath, variables, devices] = await Promise.all([
      this.#bundlePath(klass),
      secrets(),
      this.#gpus.take(container, gpuDemand(klass.options.placement)),
    ]);
    // Also of those that have none: what is another's must not be seen.
    const gpus = this.#gpus.total === 0 ? {} : { CUDA_VISIBLE_DEVICES: devices.join(',') };
    await container.load(klass, {
      containerId: container.id,
      account: klass.account,
      app: klass.app,
      deployment: klass.deployment,
      bundlePath,
      bundleSha256: klass.bundleSha256,
      memoryMb: klass.options.memoryMb,
      timeoutMs: klass.options.timeoutMs,
      env: { ...this.#env, ...variables, ...gpus },
      className: klass.manifest.name,
      enterHooks: klass.enterHooks,
      exitHooks: klass.exitHooks,
      methods: klass.alarm === null ? [...klass.methods.keys()] : [...klass.methods.keys(), klass.alarm.name],
      hasAlarm: klass.alarm !== null,
      batches: batchesOf(klass),
      concurrentRequests: klass.options.concurrentRequests,
    });
  }
}

function batchesOf({ methods }: LoadedClass): NonNullable<LoadBody['batches']> {
  return Object.fromEntries(
    [...methods.values()].flatMap(({ name, batch }) => (batch === undefined ? [] : [[name, batch]])),
  );
}
