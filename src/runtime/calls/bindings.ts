import { HoldfastError } from '../../common/errors.js';
import type { Epoch, InstanceKey } from '../../common/ids.js';
import { Instance } from '../instances/instance.js';
import type { NameSlots } from './name-requests.js';

/** What a client has bound to a slot: the instance itself where it is here, since there may be very many. */
type Binding = Instance | Elsewhere;

/** Not here, not yet, or not for this client. */
export interface Elsewhere {
  readonly key: InstanceKey;
  readonly epoch: Epoch;
  /** The error, encoded: it may be one of very many, and an error holds its stack. */
  readonly refusal: Uint8Array | null;
}

/** A client's slots are its own choice of numbers; this bounds what it can make us remember. */
const maxSlots = 4_194_304;
/** Slots with a capability that is not good: anybody can bind those. */
const maxRefusedSlots = 65_536;
const nameless = '' as InstanceKey;

/** What the slots of one client name. */
export class Bindings implements NameSlots {
  readonly #find: (key: InstanceKey) => Instance | undefined;
  readonly #bySlot = new Map<number, Binding>();
  #refused = 0;

  constructor(find: (key: InstanceKey) => Instance | undefined) {
    this.#find = find;
  }

  at(slot: number): Binding | undefined {
    return this.#bySlot.get(slot);
  }

  /** @throws InvalidArgument where there are too many */
  set(slot: number, binding: Elsewhere): void {
    if (isRefused(this.#bySlot.get(slot))) this.#refused--;
    if (isRefused(binding)) this.#refused++;
    this.#bySlot.set(slot, this.#bound(binding));
    if (this.#bySlot.size <= maxSlots && this.#refused <= maxRefusedSlots) return;
    throw new HoldfastError(
      'InvalidArgument',
      `a client may bind ${maxSlots} instances at one worker, ${maxRefusedSlots} of them without a good capability`,
    );
  }

  hold(slot: number): (key: InstanceKey, epoch: Epoch) => void {
    const held: Elsewhere = { key: nameless, epoch: 0, refusal: null };
    this.set(slot, held);
    return (key, epoch) => {
      if (this.#bySlot.get(slot) === held) this.#bySlot.set(slot, this.#bound({ key, epoch, refusal: null }));
    };
  }

  /** A binding outlives its instance, which never comes back at the same epoch: it is `gone` for good then. */
  instanceAt(slot: number, binding: Binding): Instance | undefined {
    if (binding instanceof Instance) return binding;
    const bound = this.#bound(binding);
    if (!(bound instanceof Instance)) return undefined;
    this.#bySlot.set(slot, bound);
    return bound;
  }

  clear(): void {
    this.#bySlot.clear();
  }

  #bound(binding: Elsewhere): Binding {
    const here = binding.refusal === null ? this.#find(binding.key) : undefined;
    return here?.epoch === binding.epoch ? here : binding;
  }
}

function isRefused(binding: Binding | undefined): boolean {
  return binding !== undefined && !(binding instanceof Instance) && binding.refusal !== null;
}

/** The slot still names what it named. */
export function isSame(now: Binding | undefined, before: Elsewhere): boolean {
  return now?.key === before.key && now.epoch === before.epoch;
}
