import { isHoldfastError } from '../../common/errors.js';
import { type BuildEvent, copyPath } from '../../common/image-build.js';
import { checkedRecipe } from '../../common/image-recipe.js';
import type { Guest } from '../../common/ports/guest.js';
import { notSent } from '../images/build-step.js';
import type { SessionParts } from './session-parts.js';

/** Of the output of steps, for a reader who is slow; what is more is left out. */
const mostWaiting = 1_000;

/** What happens while an image is built, to its end. Who reads no more stops waiting for it. @throws as ImageBuilds does */
export async function* buildImage(
  { guest, box }: Pick<SessionParts, 'guest' | 'box'>,
  given: unknown,
  signal: AbortSignal,
): AsyncGenerator<BuildEvent, void, undefined> {
  const recipe = checkedRecipe(given);
  const left = new AbortController();
  const waiting: BuildEvent[] = [];
  let wake = (): void => undefined;
  const onEvent = (event: BuildEvent): void => {
    if (event.type === 'output' && waiting.length >= mostWaiting) return;
    waiting.push(event);
    wake();
  };
  const watch = { onEvent, signal: AbortSignal.any([signal, left.signal]) };
  let isOver = false;
  const building = box
    .buildImage(recipe, (sha256) => sentFile(guest, sha256), watch)
    .finally(() => {
      isOver = true;
      wake();
    });
  building.catch(() => undefined); // thrown below
  try {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (isOver) break;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (isOver || waiting.length > 0) resolve();
        });
      }
    }
    yield { type: 'built', image: await building };
  } finally {
    left.abort();
    await building.catch(() => undefined); // thrown above, or nobody waits for it any more
  }
}

/** What a client has uploaded into this session. @throws FileNotFound, with `details.sha256` */
async function* sentFile(guest: Guest, sha256: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* guest.read(copyPath(sha256));
  } catch (e) {
    throw isHoldfastError(e, 'FileNotFound') ? notSent(sha256) : e;
  }
}
