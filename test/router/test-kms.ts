import { randomBytes } from 'node:crypto';
import { openLocalKms } from '../../src/adapters/kms/local-kms.js';
import { systemRandom } from '../../src/adapters/system/clock.js';
import type { Kms } from '../../src/common/ports/kms.js';

/** Master keys of this test alone. */
export function testKms(text = randomBytes(32).toString('base64')): Promise<Kms> {
  return openLocalKms({ kind: 'text', text, name: 'the test' }, systemRandom);
}
