import type { Duplex } from 'node:stream';

/**
 * Carries bytes both ways between two streams until both directions have ended; each direction ends by itself, and either
 * side's error or early close destroys both. `pipe` stops reading where writing is slow.
 */
export function splice(a: Duplex, b: Duplex): void {
  const end = (): void => {
    a.destroy();
    b.destroy();
  };
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on('error', end);
    from.on('close', () => {
      // What it has sent is still on its way to a slow reader, unless it did not get to say that that was all.
      if (!from.readableEnded) end();
    });
    from.pipe(to);
  }
}
