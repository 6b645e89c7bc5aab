import type { StateCommit, StatePage, StateRange } from '../../common/ports/state-store.js';
import type { StateLink } from '../../wire/link/instance-storage.js';
import type { LocalAlarm } from './local-alarm.js';

/** The durable state of an instance in this process, which it outlives no more than the instance does. */
export class LocalState implements StateLink {
  readonly #values = new Map<string, Uint8Array>();
  readonly #alarm: LocalAlarm | null;

  /** @param alarm null: its class has no method for alarms */
  constructor(alarm: LocalAlarm | null = null) {
    this.#alarm = alarm;
  }

  async commit({ changes, alarm }: StateCommit): Promise<void> {
    if (alarm !== undefined) this.#alarm?.set(alarm);
    for (const { key, value } of changes) {
      if (value === null) this.#values.delete(key);
      else this.#values.set(key, value);
    }
  }

  async get(key: string): Promise<Uint8Array | null> {
    return this.#values.get(key) ?? null;
  }

  async alarm(): Promise<number | null> {
    return this.#alarm?.atMs ?? null;
  }

  async list({ from, to, limit, reverse }: StateRange): Promise<StatePage> {
    const all = [...this.#values].map(([key, value]) => ({ key, value, bytes: Buffer.from(key, 'utf8') }));
    const within = all.filter(
      ({ bytes }) =>
        (from === null || Buffer.compare(bytes, from) >= 0) && (to === null || Buffer.compare(bytes, to) < 0),
    );
    within.sort((a, b) => (reverse ? Buffer.compare(b.bytes, a.bytes) : Buffer.compare(a.bytes, b.bytes)));
    return { entries: within.slice(0, limit), isEnd: true };
  }
}
