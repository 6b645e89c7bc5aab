import { readFile, writeFile } from 'node:fs/promises';
import { App, Secret, Volume } from 'holdfast';

export const app = new App('volume-demo', { entry: import.meta.url });

export const whoami = app.function(
  async () => (process.env['HF_TOKEN'] === undefined ? 'no secret' : 'secret mounted'),
  { secrets: [Secret.fromName('HF_TOKEN')] },
);

// In the object store: the same files wherever a function or a session runs.
const shared = Volume.fromName('model-cache', { createIfMissing: true, mountPathDefault: '/cache' });
export const writeMarker = app.function(
  async () => {
    await writeFile('/cache/marker.txt', 'hello');
    return await readFile('/cache/marker.txt', 'utf8');
  },
  { volumes: [shared.mountedAt('/cache')], idleTimeoutMs: 1 },
);
export const portable = app.sandbox({ name: 'portable', volumes: [shared] });

// On the disk of one host: the first session binds it, the next ones go there.
const fast = Volume.vastLocal('fast-cache', { sizeGb: 0.05 });
export const local = app.sandbox({ name: 'local', volumes: { '/cache': fast } });

export const shell = app.sandbox({ name: 'shell' });
