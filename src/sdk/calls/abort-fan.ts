/** What wants to hear that a signal was aborted. */
export interface Abortable {
  aborted(): void;
}

/** One listener per signal however many calls share it: Node warns at eleven, and each costs more than a Set entry. */
const fans = new WeakMap<AbortSignal, Set<Abortable>>();

export function watchAbort(signal: AbortSignal, watcher: Abortable): void {
  let fan = fans.get(signal);
  if (fan === undefined) {
    const watchers = new Set<Abortable>();
    signal.addEventListener('abort', () => {
      for (const each of [...watchers]) each.aborted();
      watchers.clear();
    });
    fans.set(signal, watchers);
    fan = watchers;
  }
  fan.add(watcher);
}

export function unwatchAbort(signal: AbortSignal, watcher: Abortable): void {
  fans.get(signal)?.delete(watcher);
}
