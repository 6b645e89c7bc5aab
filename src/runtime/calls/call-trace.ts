import { describeIdentity, type Identity } from '../../common/ids.js';
import { type ActiveSpan, tracing } from '../../wire/tracing.js';

/**
 * The worker's spans of one call: `worker.invoke` from its arrival to its answer, and within it `container.run` from the
 * moment its frame goes to the container to the end of its code. Containers load no tracing of their own.
 */
export class CallTrace {
  readonly #invoke: ActiveSpan;
  readonly #attributes: Readonly<Record<string, string>>;
  #run: ActiveSpan | null = null;

  /** Null where nobody traces. */
  static start(identity: Identity, method: string, parent: string | null): CallTrace | null {
    if (tracing.active === null) return null;
    const attributes = { 'holdfast.instance': describeIdentity(identity), 'holdfast.method': method };
    return new CallTrace(
      tracing.active.start({ name: 'worker.invoke', kind: 'server', parent, attributes }),
      attributes,
    );
  }

  private constructor(invoke: ActiveSpan, attributes: Readonly<Record<string, string>>) {
    this.#invoke = invoke;
    this.#attributes = attributes;
  }

  running(): void {
    const parent = this.#invoke.traceparent;
    this.#run =
      tracing.active?.start({ name: 'container.run', kind: 'internal', parent, attributes: this.#attributes }) ?? null;
  }

  stopped(): void {
    this.#run?.end(null);
    this.#run = null;
  }

  /** @param code of the error that the caller got from this worker; null: the container's own answer */
  answered(code: string | null): void {
    this.#invoke.end(code);
  }
}
