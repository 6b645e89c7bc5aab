import { type ClassInstance, isHoldfastError } from 'holdfast';
import type { Gate } from '../app.js';

/** Of `Gate` in app.ts, which this process does not load: it has the deployed class. */
const running = 3;
const waiting = 5;
const tooMany = 40;

/** @param gate a fresh one, which is closed afterwards. @throws where more or fewer calls than the limits say were admitted */
export async function checkLimits(gate: ClassInstance<typeof Gate>): Promise<void> {
  let refused = 0;
  let onRefused = (): void => undefined;
  const allRefused = new Promise<void>((resolve) => {
    onRefused = () => {
      refused += 1;
      if (refused === tooMany) resolve();
    };
  });
  const calls = Array.from({ length: running + waiting + tooMany }, () =>
    gate.pass().catch((error: unknown) => {
      if (!isHoldfastError(error, 'PendingLimitExceeded')) throw error;
      if (error.details['limit'] !== waiting) throw error;
      onRefused();
    }),
  );
  // They are refused while all others are held: at once, that is.
  await allRefused;
  await gate.open();
  await Promise.all(calls);
  const { mostRunning, ran } = await gate.counts();
  await gate.close();
  if (refused === tooMany && mostRunning === running && ran === running + waiting) return;
  throw new Error(`limits ${running} and ${waiting}: ${refused} refused, ${ran} ran, at most ${mostRunning} at once`);
}
