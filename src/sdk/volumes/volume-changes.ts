import { posix } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import { storeStream } from '../../common/volumes/content.js';
import type { Attributes, DirectoryEntry } from '../../common/volumes/entry.js';
import { type Path, parsePath, showPath } from '../../common/volumes/paths.js';
import { type Change, changesAt, changeTree, find } from '../../common/volumes/tree.js';
import { piecesOf } from './content-pieces.js';
import type { NewState } from './volume-access.js';
import { existing, type State } from './volume-tree.js';

type Build = NewState['build'];

/** For what a client makes of its own. */
export function attributesNow(mode: number, nowMs: number): Attributes {
  const mtimeSeconds = Math.floor(nowMs / 1_000);
  return { mode, mtimeSeconds, mtimeNanos: Math.floor((nowMs - mtimeSeconds * 1_000) * 1_000_000) };
}

const [fileMode, directoryMode] = [0o644, 0o755];

/** The path of something in the volume, which is not its root. @throws InvalidArgument */
export function checkedPath(text: string): Path {
  const path = parsePath(text);
  if (path.length > 0) return path;
  throw new HoldfastError('InvalidArgument', `'${text}' is the root of the volume, not something in it`);
}

/** A file, in the place of another one or new, with the directories on its way. */
export function writing(
  name: string,
  at: string,
  { content, nowMs }: { readonly content: unknown; nowMs: number },
): Build {
  const path = checkedPath(at);
  return async (root, builder) => {
    const state = { name, root, reader: builder };
    const before = await find(builder, root, path);
    const mode = before?.type === 'file' ? before.mode : fileMode;
    const stored = await storeStream(builder.uploads, piecesOf(content));
    const entry = { type: 'file', ...attributesNow(mode, nowMs), ...stored } as const;
    return await applied(builder, state, { changes: [[path, { kind: 'put', entry }]], nowMs });
  };
}

/** @throws FileNotFound, InvalidArgument for a directory, unless it is to go with all that is in it */
export function removing(name: string, at: string, isRecursive: boolean): Build {
  const path = checkedPath(at);
  return async (root, builder) => {
    const state = { name, root, reader: builder };
    const { type } = await existing(state, path);
    if (type === 'directory' && !isRecursive) throw wrongType(state, path, 'a directory: remove it recursively');
    return await changeTree(builder, root, changesAt([[path, { kind: 'delete' }]], attributesNow(directoryMode, 0)));
  };
}

/** As `cp -a` has it; bytes stay where they are. */
export function copying(
  name: string,
  { from, to }: { readonly from: readonly string[]; readonly to: string },
  nowMs: number,
): Build {
  if (!Array.isArray(from)) throw new HoldfastError('InvalidArgument', 'copyFiles needs a list of paths to copy');
  const [sources, target] = [from.map(checkedPath), parsePath(to)];
  if (sources.length === 0) throw new HoldfastError('InvalidArgument', 'copyFiles needs at least one path to copy');
  return async (root, builder) => {
    const state = { name, root, reader: builder };
    const there = await find(builder, root, target);
    const isInto = there?.type === 'directory' || sources.length > 1 || to.endsWith('/');
    const changes: [Path, Change][] = [];
    for (const source of sources) {
      const path = isInto ? [...target, source.at(-1) as string] : target;
      changes.push([path, { kind: 'put', entry: await existing(state, source) }]);
    }
    // Directories, too: they are not merged.
    checkTargets(
      name,
      changes.map(([path]) => ({ path, isDirectory: false })),
    );
    return await applied(builder, state, { changes, nowMs });
  };
}

/** Where something is to be put; a directory takes what others put into it. */
export interface Target {
  readonly path: Path;
  readonly isDirectory: boolean;
}

/** That nothing of one commit takes the place of something else of it. @throws InvalidArgument */
export function checkTargets(name: string, targets: readonly Target[]): void {
  const others = new Set(targets.filter(({ isDirectory }) => !isDirectory).map(({ path }) => showPath(path)));
  const ways = new Set<string>();
  const seen = new Set<string>();
  const refuse = (path: string, why: string): never => {
    throw new HoldfastError('InvalidArgument', `${posix.join('/', path)} in volume ${name} would be ${why}`);
  };
  for (const { path, isDirectory } of targets) {
    const shown = showPath(path);
    if ((isDirectory && others.has(shown)) || (!isDirectory && seen.has(shown))) refuse(shown, 'two things at once');
    seen.add(shown);
    for (let length = path.length - 1; length > 0; length--) {
      const way = showPath(path.slice(0, length));
      if (ways.has(way)) break;
      ways.add(way);
      if (others.has(way)) refuse(way, 'a directory and something else at once');
    }
  }
}

/** The tree after the changes, none of which makes a directory of what is none, or the other way. @throws InvalidArgument */
export async function applied(
  builder: Parameters<Build>[1],
  state: State,
  { changes, nowMs }: { readonly changes: readonly (readonly [Path, Change])[]; readonly nowMs: number },
): Promise<DirectoryEntry> {
  const checked = new Set<string>();
  for (const [path, change] of changes) {
    await checkPlace(state, path, change);
    const way = path.slice(0, -1);
    if (checked.has(showPath(way))) continue;
    checked.add(showPath(way));
    await checkWay(state, way);
  }
  return await changeTree(builder, state.root, changesAt(changes, attributesNow(directoryMode, nowMs)));
}

async function checkPlace(state: State, path: Path, change: Change): Promise<void> {
  const before = await find(state.reader, state.root, path);
  if (before === null || change.kind === 'delete') return;
  if (before.type === 'directory') {
    if (change.kind === 'put') throw wrongType(state, path, 'a directory: remove it first, or choose another path');
    return;
  }
  const isDirectory = change.kind === 'directory' || change.entry.type === 'directory';
  if (isDirectory) throw wrongType(state, path, `a ${before.type}, where a directory is to be`);
}

async function checkWay(state: State, way: Path): Promise<void> {
  for (let length = 1; length <= way.length; length++) {
    const path = way.slice(0, length);
    const entry = await find(state.reader, state.root, path);
    if (entry === null) return;
    if (entry.type !== 'directory') throw wrongType(state, path, `a ${entry.type}, nothing can be in it`);
  }
}

function wrongType({ name }: State, path: Path, what: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `${posix.join('/', showPath(path))} in volume ${name} is ${what}`);
}
