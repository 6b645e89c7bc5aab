import { liveKeys } from './inode.js';
import { liveFolder } from './live-content.js';
import type { LiveNames } from './live-names.js';
import type { LiveParts } from './live-records.js';

/** Whoever has a file open that lost its name goes on for so long; what a writer that was killed left is as old. */
const keptMs = 3_600_000;
const pageKeys = 500;
/** Ids of objects begin with when they were made. */
const timeDigits = 12;

/** Removes what nothing names any more: deleted file systems, files without names, objects of writes that were never made. */
export async function sweepLive(parts: LiveParts, account: string, names: LiveNames): Promise<void> {
  for await (const id of names.dead()) {
    await removeAll(parts, account, id);
    await names.buried(id);
  }
  for await (const { id } of names.all()) {
    await removeNameless(parts, { account, id }, names);
    await removeOrphans(parts, { account, id });
  }
}

async function removeAll({ store, objects }: LiveParts, account: string, id: string): Promise<void> {
  const fs = { account, id };
  for (;;) {
    const page = await store.list(fs, { prefix: '', after: null, limit: pageKeys });
    if (page.length === 0) break;
    await store.commit(
      fs,
      [],
      page.map(({ key }) => ({ key, value: null })),
    );
  }
  for await (const keys of objects.list(liveFolder(fs))) for (const key of keys) await objects.delete(key);
}

async function removeNameless(
  { store, clock }: LiveParts,
  fs: { readonly account: string; readonly id: string },
  names: LiveNames,
): Promise<void> {
  const prefix = liveKeys.nameless('');
  const { content } = names.files(fs.id);
  for (let after: string | null = null; ; ) {
    const page = await store.list(fs, { prefix, after, limit: pageKeys });
    for (const { key, value } of page) {
      if (clock.now() - Number(value) < keptMs) continue;
      const ino = key.slice(prefix.length);
      // First its record: who still has it open hears that it is gone, and writes nothing more. Unless it was used since.
      const isGone = await store.commit(fs, [{ key, value }], [{ key: liveKeys.inode(ino), value: null }]);
      if (!isGone) continue;
      await content.remove(ino);
      await store.commit(fs, [], [{ key, value: null }]);
    }
    after = page.at(-1)?.key ?? null;
    if (after === null || page.length < pageKeys) return;
  }
}

async function removeOrphans(
  { store, objects, clock }: LiveParts,
  fs: { readonly account: string; readonly id: string },
): Promise<void> {
  const folder = `${liveFolder(fs)}/`;
  for await (const keys of objects.list(liveFolder(fs))) {
    const old = keys.filter((key) => clock.now() - madeAtMs(key) >= keptMs);
    for (const ino of new Set(old.map((key) => key.slice(folder.length).split('/')[0] ?? ''))) {
      const named = new Set<string>();
      for (let after: string | null = null; ; ) {
        const page = await store.list(fs, { prefix: liveKeys.blocks(ino), after, limit: pageKeys });
        for (const { value } of page) named.add(value);
        after = page.at(-1)?.key ?? null;
        if (after === null || page.length < pageKeys) break;
      }
      const of = old.filter((key) => key.startsWith(`${folder}${ino}/`));
      for (const key of of) if (!named.has(key.slice(key.lastIndexOf('/') + 1))) await objects.delete(key);
    }
  }
}

function madeAtMs(key: string): number {
  const id = key.slice(key.lastIndexOf('/') + 1);
  return Number.parseInt(id.slice(0, timeDigits), 16);
}
