import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { isHoldfastError } from '../../../src/common/errors.js';
import { tarHeaders, tarPadding } from '../../../src/common/tar-header.js';
import { fromOciLayer } from '../../../src/runtime/images/oci-layer.js';
import { tarOf } from '../../system/images/oci-fixture.js';

/** In pieces of a size that fits no block. */
async function convert(tar: Uint8Array, pieceBytes = 777): Promise<Buffer> {
  const pieces = Array.from({ length: Math.ceil(tar.length / pieceBytes) }, (_, index) =>
    tar.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  );
  const out: Uint8Array[] = [];
  for await (const bytes of fromOciLayer(Readable.from(pieces))) out.push(Buffer.from(bytes));
  return Buffer.concat(out);
}

/** Type and name of each entry, by GNU tar. */
function listed(tar: Buffer): string[] {
  const args = ['--list', '--verbose', '--numeric-owner', '--quoting-style=escape', '-f', '-'];
  return execFileSync('tar', args, { input: tar, encoding: 'utf8' })
    .trimEnd()
    .split('\n')
    .map((line) => `${line[0]} ${line.split(' ').at(-1)}`);
}

async function refusal(tar: Uint8Array): Promise<string> {
  const refused = await convert(tar).catch((e: unknown) => e);
  return isHoldfastError(refused) ? `${refused.code}: ${refused.message}` : String(refused);
}

const entry = (name: string, text = '') => {
  const bytes = Buffer.from(text);
  return Buffer.concat([
    tarHeaders({ name, type: 'file', mode: 0o644, size: bytes.length }),
    bytes,
    tarPadding(bytes.length),
  ]);
};
const folder = (name: string, mode: number) => Buffer.from(tarHeaders({ name, type: 'folder', mode }));
const end = Buffer.alloc(1_024);

describe('a layer of OCI', () => {
  test('without marks stays as it is, whatever its names and sizes', async () => {
    const tar = tarOf({
      'a/b': randomBytes(70_000).toString('latin1'),
      [`${'d'.repeat(120)}/${'ü'.repeat(100)}`]: 'x',
      'e/': '',
    });
    const same = await convert(tar);
    expect(same.subarray(0, same.length - 1_024).equals(tar.subarray(0, same.length - 1_024))).toBe(true);
  });

  test('hides what it says is gone, and leaves out devices and foreign marks', async () => {
    const device = Buffer.from(tarHeaders({ name: 'dev/null', type: 'hidden', mode: 0o666 }));
    const tar = Buffer.concat([
      ...[folder('etc', 0o755), entry('etc/.wh.gone'), entry('etc/kept', 'text'), device],
      ...[entry('.wh..wh.plnk', 'x'), folder('srv', 0o711), entry('srv/.wh..wh..opq'), end],
    ]);
    expect(listed(await convert(tar))).toEqual(
      ['d etc', 'c etc/gone', '- etc/kept', 'd srv', 'd srv'].map((line) => line.replace(/^d (.*)/, 'd $1')),
    );
    expect((await convert(tar)).toString('latin1')).toContain('SCHILY.xattr.user.overlay.opaque=y');
  });

  test('that puts a folder in the place of one that is gone shows nothing of that', async () => {
    const before = Buffer.concat([entry('srv/.wh.new'), folder('srv/new', 0o700), end]);
    const after = Buffer.concat([folder('srv/new', 0o700), entry('srv/new/own', 'x'), entry('srv/.wh.new'), end]);
    expect(listed(await convert(before))).toEqual(['c srv/new', 'd srv/new', 'd srv/new']);
    expect(listed(await convert(after))).toEqual(['d srv/new', '- srv/new/own', 'd srv/new']);
  });

  test('that is no tar, or only a part of one, is refused', async () => {
    const tar = Buffer.concat([entry('a', 'x'.repeat(2_000)), end]);
    expect(await refusal(randomBytes(2_048))).toContain('cannot be used');
    expect(await refusal(tar.subarray(0, 1_100))).toContain('it ends too early');
    expect(await refusal(tar.subarray(0, 300))).toContain('it ends too early');
    const long = Buffer.concat([
      Buffer.from(tarHeaders({ name: 'x'.repeat(2_000_000), type: 'file', mode: 0o644 })),
      end,
    ]);
    expect(await refusal(long)).toContain('too long');
  });
});
