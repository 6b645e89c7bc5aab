import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changeDirectory } from '../../../src/common/volumes/change-directory.js';
import { differencesOf, entriesOf, lookUp } from '../../../src/common/volumes/directory.js';
import { type DirectoryEntry, type Entry, sameBlob } from '../../../src/common/volumes/entry.js';
import { emptyDirectory } from '../../../src/common/volumes/tree.js';
import { attributes, fileOf, MemoryNodes } from './memory-nodes.js';

async function built(nodes: MemoryNodes, files: Iterable<readonly [string, Entry]>): Promise<DirectoryEntry> {
  return await changeDirectory(nodes, emptyDirectory(attributes), new Map(files));
}

/** Names and contents of some of very many. */
const many = (from: number, to: number, text = 'x'.repeat(80)) =>
  Array.from({ length: to - from }, (_, i) => [`file-${from + i}`, fileOf(`${text}-${from + i}`)] as const);

async function list(nodes: MemoryNodes, directory: DirectoryEntry): Promise<Map<string, Entry>> {
  const found = new Map<string, Entry>();
  for await (const [name, entry] of entriesOf(nodes, directory)) found.set(name, entry);
  return found;
}

describe('a directory', () => {
  it('of equal entries is equal, by whatever changes it came to be', async () => {
    const change = fc.tuple(fc.nat(60), fc.option(fc.nat(3)));
    const batches = fc.array(fc.array(change, { maxLength: 40 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(batches, fc.constantFrom(20, 4_000), async (changes, bytes) => {
        const nodes = new MemoryNodes();
        const model = new Map<string, Entry>();
        let directory = emptyDirectory(attributes);
        for (const batch of changes) {
          const entries = new Map<string, Entry | null>();
          for (const [n, version] of batch)
            entries.set(`n${n}`, version === null ? null : fileOf(`${version}`.padEnd(bytes, 'x')));
          directory = await changeDirectory(nodes, directory, entries);
          for (const [name, entry] of entries) entry === null ? model.delete(name) : model.set(name, entry);
        }
        const fresh = await built(nodes, model);
        expect(sameBlob(directory.node, fresh.node)).toBe(true);
        expect(directory).toMatchObject({ files: model.size, bytes: [...model.values()].length * bytes });
        expect(new Map([...(await list(nodes, directory))].sort())).toEqual(new Map([...model].sort()));
      }),
      { numRuns: 60 },
    );
  });

  it('of very many entries is split, found in, and whole again when they are gone', async () => {
    const nodes = new MemoryNodes();
    const directory = await built(nodes, many(0, 20_000));
    expect(directory.files).toBe(20_000);
    expect(nodes.objects.size).toBeGreaterThan(16);
    nodes.reads = 0;
    expect(await lookUp(nodes, directory, 'file-12345')).toMatchObject({ type: 'file' });
    expect(await lookUp(nodes, directory, 'file-20000')).toBeNull();
    expect(nodes.reads).toBeLessThanOrEqual(8);
    expect((await list(nodes, directory)).size).toBe(20_000);
    const removed = new Map(many(10, 20_000).map(([name]) => [name, null] as const));
    const small = await changeDirectory(nodes, directory, removed);
    expect(sameBlob(small.node, (await built(nodes, many(0, 10))).node)).toBe(true);
  });

  it('that changes in one entry is written anew only on the way to it', async () => {
    const nodes = new MemoryNodes();
    const directory = await built(nodes, many(0, 20_000));
    const before = nodes.objects.size;
    const changed = await changeDirectory(nodes, directory, new Map([['file-7', fileOf('changed')]]));
    expect(nodes.objects.size - before).toBeLessThanOrEqual(4);
    nodes.reads = 0;
    const differences = [];
    for await (const difference of differencesOf(nodes, directory, changed)) differences.push(difference.name);
    expect(differences).toEqual(['file-7']);
    expect(nodes.reads).toBeLessThanOrEqual(8);
  });

  it('differs from another in what is in one of them or not alike, also across a split', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(3_000), fc.nat(3_000), fc.nat(2_000), async (first, second, shift) => {
        const nodes = new MemoryNodes();
        const [a, b] = [many(0, first), many(shift, shift + second, 'y'.repeat(30))];
        const [left, right] = [await built(nodes, a), await built(nodes, b)];
        const seen = new Map<string, readonly [Entry | null, Entry | null]>();
        for await (const { name, before, after } of differencesOf(nodes, left, right)) {
          expect(seen.has(name)).toBe(false);
          seen.set(name, [before, after]);
        }
        const expected = new Map<string, readonly [Entry | null, Entry | null]>();
        for (const [name, entry] of a) expected.set(name, [entry, null]);
        for (const [name, entry] of b) expected.set(name, [expected.get(name)?.[0] ?? null, entry]);
        expect(new Map([...seen].sort())).toEqual(new Map([...expected].sort()));
      }),
      { numRuns: 8 },
    );
  });
});
