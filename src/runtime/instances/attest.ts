import type { InstanceKey } from '../../common/ids.js';
import type { PinStore } from '../../common/ports/store.js';
import type { Instance } from './instance.js';

/** So many at once; a store that is slow gets no more. */
const atOnce = 256;

export interface AttestDeps {
  readonly pins: Pick<PinStore, 'attest'>;
  readonly instances: ReadonlyMap<InstanceKey, Instance>;
  /** False: this boot is over (S7). */
  readonly mayRun: () => boolean;
}

/**
 * Tells the store what runs here, after one of its servers was replaced (S10): it may have forgotten, or have been told of a higher
 * epoch, whose loser is killed. @throws Unavailable: not all were told
 */
export async function attestAll(deps: AttestDeps): Promise<void> {
  const left = [...deps.instances.values()].values();
  const attestEach = async (): Promise<void> => {
    for (const instance of left) if (deps.mayRun() && instance.phase !== 'gone') await attestOne(deps.pins, instance);
  };
  await Promise.all(Array.from({ length: atOnce }, attestEach));
}

/** Whether its pin stands. Of one that has lost it the containers are killed. @throws Unavailable */
export async function attestOne(pins: Pick<PinStore, 'attest'>, instance: Instance): Promise<boolean> {
  const attestation = await pins.attest(instance.key, instance.pin);
  if (attestation === 'stands') return true;
  // The last change of one that leaves may have been made, and its answer be on the way: nothing of it runs any more then.
  if (attestation === 'superseded' || instance.phase === 'active') instance.kill();
  return false;
}
