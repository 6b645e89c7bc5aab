import { lstatSync, readlinkSync, realpathSync } from 'node:fs';
import type { LauncherStep } from './launcher.js';

/** A folder at the top of the host's root: a real one, or where its symbolic link points to. */
type TopFolder =
  | { readonly name: string; readonly kind: 'folder' }
  | { readonly name: string; readonly kind: 'link'; readonly text: string };

/** What programs of the host need of it, all of it readable by anyone. */
const programFolders = ['usr', 'bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];
/** What programs in /usr look up in /etc, and what changes with them: links to alternatives, the loader's cache, authorities of TLS. */
const boundSettings = [
  'alternatives',
  'ld.so.cache',
  'ssl/certs',
  'pki/tls/certs',
  'pki/ca-trust/extracted',
  'crypto-policies',
];
/** Small files that hardly ever change: a copy costs less than a mount. */
const copiedSettings = ['localtime', 'mime.types', 'protocols', 'services'];

/** What of the host is shown to sandboxes with a host root, and to bubblewrap itself; found out once. */
export interface HostView {
  /** Builds it at the stage, for the launcher. */
  readonly stage: (stage: string) => LauncherStep[];
  /** Arguments of bubblewrap that show it inside, from the stage. */
  readonly binds: readonly string[];
  /** Absolute paths of what is shown inside, all read-only. */
  readonly shown: readonly string[];
  /** Names and targets of the links that the root of a sandbox has. */
  readonly links: readonly (readonly [name: string, text: string])[];
  /** Folders in which the binds are, parents first. */
  readonly folders: readonly string[];
  /** Files to copy. */
  readonly copies: readonly { readonly name: string; readonly path: string }[];
}

export function readHostView(): HostView {
  const tops = programFolders.flatMap(topFolder);
  const folders = tops.filter((top) => top.kind === 'folder').map(({ name }) => name);
  const links = tops.flatMap((top) => (top.kind === 'link' ? [[top.name, top.text] as const] : []));
  const found = boundSettings.flatMap(realSetting);
  const parents = [...new Set(found.flatMap(({ name }) => parentsOf(`etc/${name}`)))];
  const shown = [...folders.map((name) => `/${name}`), ...found.map(({ name }) => `/etc/${name}`)];
  return {
    stage: (stage) => [
      // tmp: bubblewrap builds its root there; dev and proc: it takes devices and its own entries from them.
      ...['tmp', ...parents].map((name) => ['folder', `${stage}/${name}`] as const),
      ...['dev', 'proc', ...folders].map((name) => ['bind', `/${name}`, `${stage}/${name}`] as const),
      ...links.map(([name, text]) => ['link', text, `${stage}/${name}`] as const),
      ...found.map(({ name, path }) => ['bind', path, `${stage}/etc/${name}`] as const),
    ],
    binds: shown.flatMap((path) => ['--ro-bind', path, path]),
    shown,
    links,
    folders: parents,
    copies: copiedSettings.flatMap(realSetting).map(({ name, path }) => ({ name: `etc/${name}`, path })),
  };
}

function topFolder(name: string): TopFolder[] {
  try {
    const stat = lstatSync(`/${name}`);
    if (stat.isSymbolicLink()) return [{ name, kind: 'link', text: readlinkSync(`/${name}`) }];
    return stat.isDirectory() ? [{ name, kind: 'folder' }] : [];
  } catch {
    // This host has none.
    return [];
  }
}

function realSetting(name: string): { readonly name: string; readonly path: string }[] {
  try {
    return [{ name, path: realpathSync(`/etc/${name}`) }];
  } catch {
    // This host has none, or it points nowhere.
    return [];
  }
}

function parentsOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}
