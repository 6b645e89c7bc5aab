import type { CloseOptions, CloseResult, HandleInput } from '../infos.js';
import type { Args, Class, ClassInstance, LocalClassInstance, Prefix, Rest } from './class-types.js';
import type { Cls } from './cls.js';

/** A class with its first constructor arguments given; `R` are those that are left. */
export class BoundCls<C extends Class, R extends readonly unknown[] = Args<C>> {
  readonly cls: Cls<C>;
  readonly initArgs: readonly unknown[];

  /** Use `Cls.partial`. */
  constructor(cls: Cls<C>, initArgs: readonly unknown[]) {
    this.cls = cls;
    this.initArgs = Object.freeze([...initArgs]);
  }

  get signature(): string | null {
    return this.cls.signature;
  }

  bind(...args: R): Promise<ClassInstance<C>> {
    return this.cls.bind(...this.#all(args));
  }

  /** The same as `bind`. */
  remote(...args: R): Promise<ClassInstance<C>> {
    return this.cls.remote(...this.#all(args));
  }

  local(...args: R): Promise<LocalClassInstance<C>> {
    return this.cls.local(...this.#all(args));
  }

  new(...args: R): Promise<ClassInstance<C>> {
    return this.cls.new(...this.#all(args));
  }

  named(instanceId: string, ...args: R): Promise<ClassInstance<C>> {
    return this.cls.named(instanceId, ...this.#all(args));
  }

  partial<P extends Prefix<R>>(...args: P): BoundCls<C, Rest<R, P>> {
    return new BoundCls(this.cls, this.#all(args));
  }

  closeHandle(handle: HandleInput, options?: CloseOptions): Promise<CloseResult> {
    return this.cls.closeHandle(handle, options);
  }

  closeNamed(instanceId: string, ...args: R | []): Promise<CloseResult> {
    return this.cls.closeNamed(instanceId, ...this.#all(args));
  }

  /** The types have checked that both together are the constructor's arguments. */
  #all(args: readonly unknown[]): Args<C> {
    return [...this.initArgs, ...args] as Args<C>;
  }
}
