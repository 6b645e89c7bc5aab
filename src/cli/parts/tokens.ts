import { systemClock, systemRandom } from '../../adapters/system/clock.js';
import type { Role, Store } from '../../common/ports/store.js';
import { createToken as makeToken } from '../../wire/token.js';

/** Makes a token directly in the store: the first one of an account, which no router could let in. */
export async function createToken(
  store: Store,
  token: { readonly account: string; readonly role: Role; readonly label: string },
): Promise<{ readonly id: string; readonly token: string }> {
  const { text, record } = makeToken(systemRandom, { ...token, createdAtMs: systemClock.now() });
  await store.keys.putToken(record);
  return { id: record.id, token: text };
}
