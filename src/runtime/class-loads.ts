import type { Clock } from '../common/clock.js';
import { HoldfastError } from '../common/errors.js';
import type { Container } from './container.js';
import type { LoadedClass } from './loaded-class.js';
import type { SecretSource } from './secret-source.js';

/** Gives containers their class. */
export class ClassLoads {
  readonly #clock: Clock;
  readonly #bundlePath: (klass: LoadedClass) => Promise<string>;
  readonly #env: Readonly<Record<string, string>>;

  /** @param deps `bundlePath`: of the class's bundle on this host; empty where it needs none */
  constructor(deps: {
    readonly clock: Clock;
    readonly bundlePath: (klass: LoadedClass) => Promise<string>;
    readonly env: Readonly<Record<string, string>>;
  }) {
    this.#clock = deps.clock;
    this.#bundlePath = deps.bundlePath;
    this.#env = deps.env;
  }

  /** Code at the top of a bundle can run for ever. @throws ActivationFailed, also after `startupTimeoutMs` */
  load(container: Container, klass: LoadedClass, secrets: SecretSource): Promise<void> {
    const { startupTimeoutMs } = klass.options;
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(startupTimeoutMs, () => {
        const message = `${klass.label}: loading the bundle took longer than startupTimeoutMs of ${startupTimeoutMs}`;
        reject(new HoldfastError('ActivationFailed', message, { outcome: 'ran', details: { startupTimeoutMs } }));
      });
      void this.#load(container, klass, secrets)
        .then(resolve, reject)
        .finally(() => timer.cancel());
    });
  }

  async #load(container: Container, klass: LoadedClass, secrets: SecretSource): Promise<void> {
    const [bundlePath, variables] = await Promise.all([this.#bundlePath(klass), secrets()]);
    await container.load(klass, {
      containerId: container.id,
      account: klass.account,
      app: klass.app,
      deployment: klass.deployment,
      bundlePath,
      bundleSha256: klass.bundleSha256,
      memoryMb: klass.options.memoryMb,
      timeoutMs: klass.options.timeoutMs,
      env: { ...this.#env, ...variables },
      className: klass.manifest.name,
      enterHooks: klass.enterHooks,
      exitHooks: klass.exitHooks,
      methods: klass.alarm === null ? [...klass.methods.keys()] : [...klass.methods.keys(), klass.alarm.name],
      hasAlarm: klass.alarm !== null,
      concurrentRequests: klass.options.concurrentRequests,
    });
  }
}
