import { HoldfastError } from '../../common/errors.js';
import type { Epoch } from '../../common/ids.js';
import type { Alarm } from '../../common/ports/alarm-store.js';

/** What the store keeps beside an instance's durable state: `epoch sequence`, of the last commit; then, where an alarm stands, ` id at due failures`. */
export interface StateRecord {
  readonly epoch: Epoch;
  readonly sequence: number;
  readonly alarm: Alarm | null;
}

const text = /^(\d+) (\d+)(?: (\d+\.\d+) (\d+) (\d+) (\d+))?$/;

/** @throws Internal */
export function decodeStateRecord(record: string): StateRecord {
  const parts = text.exec(record);
  if (parts === null)
    throw new HoldfastError('Internal', `a state record of ${record.length} characters does not decode`);
  const [epoch, sequence, atMs, dueMs, failures] = [parts[1], parts[2], parts[4], parts[5], parts[6]].map(Number);
  const id = parts[3];
  const alarm = id === undefined ? null : { id, atMs: atMs ?? 0, dueMs: dueMs ?? 0, failures: failures ?? 0 };
  return { epoch: epoch ?? 0, sequence: sequence ?? 0, alarm };
}

export function encodeStateRecord({ epoch, sequence, alarm }: StateRecord): string {
  const ringing = alarm === null ? '' : ` ${alarm.id} ${alarm.atMs} ${alarm.dueMs} ${alarm.failures}`;
  return `${epoch} ${sequence}${ringing}`;
}
