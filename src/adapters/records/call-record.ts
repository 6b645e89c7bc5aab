import { HoldfastError } from '../../common/errors.js';
import type { CallHead, CallProgress, SpawnedState } from '../../common/spawned-call.js';

/** `state attempt losses startedAtMs endedAtMs`, `-` where there is none: scripts read the first word. */
export function encodeProgress({ state, attempt, losses, startedAtMs, endedAtMs }: CallProgress): string {
  return `${state} ${attempt} ${losses} ${startedAtMs ?? '-'} ${endedAtMs ?? '-'}`;
}

const text = /^(queued|running|succeeded|failed|cancelled|lost) (\d+) (\d+) (\d+|-) (\d+|-)$/;

/** @throws Internal */
export function decodeProgress(record: string): CallProgress {
  const [, state, attempt, losses, startedAt, endedAt] = text.exec(record) ?? [];
  if (state === undefined) throw new HoldfastError('Internal', `the record of a call says ${JSON.stringify(record)}`);
  const time = (at: string | undefined): number | null => (at === '-' ? null : Number(at));
  return {
    state: state as SpawnedState,
    attempt: Number(attempt),
    losses: Number(losses),
    startedAtMs: time(startedAt),
    endedAtMs: time(endedAt),
  };
}

export function encodeHead(head: CallHead): string {
  return JSON.stringify(head);
}

export function decodeHead(record: string): CallHead {
  return JSON.parse(record) as CallHead;
}
