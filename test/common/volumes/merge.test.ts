import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diffTrees, type PathChange } from '../../../src/common/volumes/diff.js';
import { entriesOf } from '../../../src/common/volumes/directory.js';
import type { DirectoryEntry, Entry } from '../../../src/common/volumes/entry.js';
import { mergeTrees } from '../../../src/common/volumes/merge.js';
import { parsePath } from '../../../src/common/volumes/paths.js';
import { type Change, changesAt, changeTree, emptyDirectory, find } from '../../../src/common/volumes/tree.js';
import { attributes, fileOf, MemoryNodes } from './memory-nodes.js';

/** A tree as a person would write it down: text of files by path, null for a directory that is empty. */
type Model = ReadonlyMap<string, string | null>;

type Edit = readonly [path: string, text: string | null | 'delete'];

const nodes = new MemoryNodes();
const empty = emptyDirectory(attributes);

async function edited(root: DirectoryEntry, edits: readonly Edit[]): Promise<DirectoryEntry> {
  let tree = root;
  for (const [path, text] of edits) {
    const names = parsePath(path);
    // What is below a file is not there to be changed.
    for (let depth = 1; depth < names.length; depth++) {
      const above = await find(nodes, tree, names.slice(0, depth));
      if (above !== null && above.type !== 'directory')
        tree = await edited(tree, [[names.slice(0, depth).join('/'), 'delete']]);
    }
    if (text === 'delete' && (await find(nodes, tree, names)) === null) continue;
    tree = await changeTree(nodes, tree, changesAt([[names, changeTo(text)]], attributes));
  }
  return tree;
}

function changeTo(text: Edit[1]): Change {
  if (text === 'delete') return { kind: 'delete' };
  if (text !== null) return { kind: 'put', entry: fileOf(text) };
  return { kind: 'directory', attributes: null, whenNew: attributes, isFresh: false, changes: new Map() };
}

async function modelOf(directory: DirectoryEntry, prefix = ''): Promise<Map<string, string | null>> {
  const model = new Map<string, string | null>();
  for await (const [name, entry] of entriesOf(nodes, directory)) {
    const path = `${prefix}${name}`;
    if (entry.type === 'directory') {
      const below = await modelOf(entry, `${path}/`);
      if (below.size === 0) model.set(path, null);
      for (const [inner, text] of below) model.set(inner, text);
    } else model.set(path, textOf(entry));
  }
  return model;
}

function textOf(entry: Entry): string {
  return entry.type === 'file' && entry.content.kind === 'inline' ? Buffer.from(entry.content.bytes).toString() : '?';
}

const files = (model: Model) => new Map([...model].filter(([, text]) => text !== null).sort());
const merged = async (base: readonly Edit[], mine: readonly Edit[], theirs: readonly Edit[]) => {
  const start = await edited(empty, base);
  const roots = { base: start, mine: await edited(start, mine), theirs: await edited(start, theirs) };
  const { root, conflicts } = await mergeTrees(nodes, roots);
  return { ...roots, root, conflicts, files: Object.fromEntries(await modelOf(root)) };
};

describe('a merge', () => {
  it('has both sides’ changes of different paths', async () => {
    const base: Edit[] = [
      ['a', '1'],
      ['d/x', '1'],
      ['d/y', '1'],
      ['gone', '1'],
    ];
    const { files: tree, conflicts } = await merged(
      base,
      [
        ['a', '2'],
        ['d/new', '2'],
        ['gone', 'delete'],
      ],
      [
        ['d/y', '3'],
        ['e', '3'],
      ],
    );
    expect(tree).toEqual({ a: '2', 'd/x': '1', 'd/y': '3', 'd/new': '2', e: '3' });
    expect(conflicts).toEqual([]);
  });

  it('has mine where both changed one path, and names it; the same change by both is none', async () => {
    const base: Edit[] = [
      ['a', '1'],
      ['b', '1'],
      ['c', '1'],
    ];
    const { files: tree, conflicts } = await merged(
      base,
      [
        ['a', 'm'],
        ['b', 'same'],
        ['c', 'delete'],
      ],
      [
        ['a', 't'],
        ['b', 'same'],
        ['c', 't'],
      ],
    );
    expect(tree).toEqual({ a: 'm', b: 'same' });
    expect([...conflicts].sort()).toEqual(['a', 'c']);
  });

  it('keeps what one side put into a directory that the other removed', async () => {
    const base: Edit[] = [
      ['d/old', '1'],
      ['d/older', '1'],
    ];
    expect((await merged(base, [['d', 'delete']], [['d/new', 't']])).files).toEqual({ 'd/new': 't' });
    expect((await merged(base, [['d/new', 'm']], [['d', 'delete']])).files).toEqual({ 'd/new': 'm' });
    expect((await merged(base, [['d', 'delete']], [['d/old', 'delete']])).files).toEqual({});
    expect(await merged(base, [['d', 'delete']], [['d/old', 't']])).toMatchObject({ files: {}, conflicts: ['d/old'] });
  });

  it('keeps empty directories that one side made, and the mode of whoever changed it', async () => {
    expect((await merged([], [['m', null]], [['t', null]])).files).toEqual({ m: null, t: null });
    const base = await edited(empty, [
      ['d/x', '1'],
      ['d/y', '1'],
    ]);
    const mode = (mode: number): ReadonlyMap<string, Change> =>
      new Map([
        [
          'd',
          {
            kind: 'directory',
            attributes: { ...attributes, mode },
            whenNew: attributes,
            isFresh: false,
            changes: new Map(),
          },
        ],
      ]);
    const mine = await changeTree(nodes, await edited(base, [['d/x', '2']]), mode(0o700));
    const theirs = await edited(base, [['d/y', '3']]);
    for (const roots of [
      { base, mine, theirs },
      { base, mine: theirs, theirs: mine },
    ]) {
      const { root, conflicts } = await mergeTrees(nodes, roots);
      expect(await find(nodes, root, ['d'])).toMatchObject({ mode: 0o700 });
      expect(conflicts).toEqual([]);
    }
    const both = await mergeTrees(nodes, { base, mine, theirs: await changeTree(nodes, theirs, mode(0o711)) });
    expect(both.conflicts).toEqual(['d']);
    expect(await find(nodes, both.root, ['d'])).toMatchObject({ mode: 0o700 });
  });

  it('loses no content to a new time alone', async () => {
    const base = await edited(empty, [['a', '1']]);
    const touched = await changeTree(
      nodes,
      base,
      new Map([['a', { kind: 'put', entry: fileOf('1', { mtimeSeconds: 99 }) }]]),
    );
    const theirs = await edited(base, [['a', 'changed']]);
    expect(await mergeTrees(nodes, { base, mine: touched, theirs })).toMatchObject({
      root: { node: theirs.node },
      conflicts: [],
    });
    expect(await mergeTrees(nodes, { base, mine: theirs, theirs: touched })).toMatchObject({
      root: { node: theirs.node },
      conflicts: [],
    });
  });

  it('loses no path that only one side wrote, keeps mine where both did, and names exactly those', async () => {
    // Directories and files have names of their own, so that no path is both.
    const path = fc
      .tuple(fc.array(fc.constantFrom('d', 'e'), { maxLength: 2 }), fc.constantFrom('1', '2', '3', '4'))
      .map(([directories, name]) => [...directories, name].join('/'));
    const text = fc.constantFrom('a', 'b', 'c');
    const edits = fc.array(
      fc.tuple(
        path,
        fc.oneof({ weight: 3, arbitrary: text }, { weight: 2, arbitrary: fc.constant('delete' as const) }),
      ),
      {
        maxLength: 12,
      },
    );
    await fc.assert(
      fc.asyncProperty(edits, edits, edits, async (base, mine, theirs) => {
        const result = await merged(base, mine, theirs);
        const [b, m, t, r] = [
          files(await modelOf(result.base)),
          files(await modelOf(result.mine)),
          files(await modelOf(result.theirs)),
          files(await modelOf(result.root)),
        ];
        const conflicts: string[] = [];
        const expected = new Map<string, string>();
        for (const each of new Set([...b.keys(), ...m.keys(), ...t.keys()])) {
          const [was, ours, other] = [b.get(each) ?? null, m.get(each) ?? null, t.get(each) ?? null];
          const stands = ours === was ? other : ours;
          if (ours !== was && other !== was && ours !== other) conflicts.push(each);
          if (stands !== null) expected.set(each, stands);
        }
        expect(r).toEqual(new Map([...expected].sort()));
        expect([...result.conflicts].sort()).toEqual(conflicts.sort());
        // Nothing of the other side is lost either when it is the one that comes later.
        const swapped = await mergeTrees(nodes, { base: result.base, mine: result.theirs, theirs: result.mine });
        expect([...swapped.conflicts].sort()).toEqual(conflicts);
      }),
      { numRuns: 300 },
    );
  });

  it('of trees in which files become directories and back always ends, with every path of mine', async () => {
    const path = fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
    const edits = fc.array(fc.tuple(path, fc.constantFrom('1', '2', null, 'delete' as const)), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(edits, edits, edits, async (base, mine, theirs) => {
        const result = await merged(base, mine, theirs);
        const [was, ours, both] = [
          files(await modelOf(result.base)),
          files(await modelOf(result.mine)),
          files(await modelOf(result.root)),
        ];
        for (const [each, text] of ours) if (was.get(each) !== text) expect(both.get(each)).toBe(text);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a diff', () => {
  const diff = async (before: DirectoryEntry, after: DirectoryEntry): Promise<PathChange[]> => {
    const changes: PathChange[] = [];
    for await (const change of diffTrees(nodes, before, after)) changes.push(change);
    return changes.sort((a, b) => (a.path < b.path ? -1 : 1));
  };

  it('names every path that differs, down to what is in directories that came or went', async () => {
    const before = await edited(empty, [
      ['same', '1'],
      ['changed', '1'],
      ['old/deep/file', '1'],
      ['both/x', '1'],
    ]);
    const after = await edited(before, [
      ['changed', '2'],
      ['old', 'delete'],
      ['new/file', '1'],
      ['both/y', '1'],
      ['void', null],
    ]);
    expect(await diff(before, after)).toEqual([
      { path: 'both/y', change: 'added' },
      { path: 'changed', change: 'modified' },
      { path: 'new', change: 'added' },
      { path: 'new/file', change: 'added' },
      { path: 'old', change: 'deleted' },
      { path: 'old/deep', change: 'deleted' },
      { path: 'old/deep/file', change: 'deleted' },
      { path: 'void', change: 'added' },
    ]);
    expect(await diff(after, after)).toEqual([]);
  });
});
