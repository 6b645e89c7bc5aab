import { HoldfastError } from '../../common/errors.js';
import type { Handle, PinView } from '../../wire/gen/holdfast/v1/router.js';
import type { ClassInstanceHandle } from '../infos.js';
import type { WorkerSession } from '../sessions/worker-session.js';

/** Where an instance is, as the router said: its pin, and the right to call it. */
export interface Placement {
  readonly handle: ClassInstanceHandle;
  /** Hash of the identity. */
  readonly key: string;
  readonly epoch: number;
  /** `host:port` of the worker. */
  readonly address: string;
  readonly capability: string;
  readonly deployment: number;
  /** The pin, encoded, until it was brought to the worker; null: the worker has the instance. */
  readonly pin: Uint8Array | null;
}

/** What names an instance at its worker. */
export interface BoundSlot {
  readonly session: WorkerSession;
  readonly slot: number;
}

/** @throws Internal for an answer without a handle */
export function placementOf(view: PinView): Placement {
  const { handle, key, epoch, address, capability, deployment, pin } = view;
  if (handle === undefined) throw new HoldfastError('Internal', 'the router answered without a handle');
  return {
    handle: fromWireHandle(handle),
    key,
    epoch,
    address,
    capability,
    deployment,
    pin: pin.length === 0 ? null : pin,
  };
}

export function fromWireHandle(handle: Handle): ClassInstanceHandle {
  const { account, app, name, id, generation, signature } = handle;
  const kind = handle.kind === 'sandbox' ? 'sandbox' : 'class';
  return Object.freeze({ v: 1, kind, account, app, name, id, generation, signature });
}
