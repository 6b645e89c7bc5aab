import { checkOptions } from '../../common/check-options.js';
import { type Check, expected } from '../../common/option-checks.js';
import { type CallLimits, during, Limits, limitChecks } from '../calls/call-limits.js';
import { choiceChecks, chooseClient } from '../client-choice.js';
import type { ClientChoice } from '../infos.js';
import { VolumeAccess } from './volume-access.js';
import type { VolumeDeclaration } from './volume-declaration.js';

const text: Check = (value) => (typeof value === 'string' && value !== '' ? null : 'a text with something in it');

/** What options there are beside the limits; `get` with all. */
export const volumeChecks = {
  recursive: { recursive: expected.boolean },
  history: { limit: expected.integer(1, Number.MAX_SAFE_INTEGER) },
  branch: { at: text },
  ephemeral: { prefix: text, mountPath: text },
  upload: { onProgress: expected.callback },
  get: { ...choiceChecks, ...limitChecks, mintIfMissing: expected.boolean },
} as const;

/** A volume as a program has named it. */
export interface NamedVolume {
  readonly name: string;
  readonly choice: ClientChoice;
  readonly declared: VolumeDeclaration;
  readonly isMadeIfMissing: boolean;
}

/** One call: its limits are among its options. */
export interface VolumeCall {
  readonly method: string;
  readonly options: CallLimits;
  /** Of its own options. */
  readonly checks?: Readonly<Record<string, Check>>;
}

/** Runs one call on a volume, to its end or to that of its limits; its requests end with them too. */
export async function callVolume<T>(
  of: NamedVolume,
  call: VolumeCall,
  work: (access: VolumeAccess) => Promise<T>,
): Promise<T> {
  const limits = limitsOf(of, call);
  return await during(limits, work(VolumeAccess.of(chooseClient(of.choice), limits)));
}

/** The same for what is in it: it is made before, where it is to be. */
export async function callFiles<T>(
  of: NamedVolume,
  call: VolumeCall,
  work: (access: VolumeAccess) => Promise<T>,
): Promise<T> {
  return await callVolume(of, call, async (access) => await work(await made(of, access)));
}

/** For a call whose values are read one by one: each request of it ends with its limits. */
export async function openFiles(of: NamedVolume, call: VolumeCall): Promise<VolumeAccess> {
  return await made(of, VolumeAccess.of(chooseClient(of.choice), limitsOf(of, call)));
}

async function made({ name, declared, isMadeIfMissing }: NamedVolume, access: VolumeAccess): Promise<VolumeAccess> {
  if (isMadeIfMissing) await access.create(name, declared);
  return access;
}

/** @throws InvalidArgument, Cancelled */
function limitsOf({ name, choice }: NamedVolume, { method, options, checks }: VolumeCall): Limits | undefined {
  const what = `${method} of volume ${name}`;
  checkOptions(what, options, { ...limitChecks, ...checks });
  return Limits.of(chooseClient(choice).clock, what, options);
}
