import { appendFile, readFile } from 'node:fs/promises';
import { App, Volume } from 'holdfast';

export const app = new App('fast-cache-demo', { entry: import.meta.url });

// Reserved by name; the first placement of what mounts it binds it to a host there, and everything after that goes to that host.
const fastCache = Volume.fromName('fast-cache', {
  createIfMissing: true,
  backend: 'vast_local',
  sizeGb: 50,
  mountPathDefault: '/cache',
  geolocation: ['US', 'CA'],
});

/** Runs where one of these GPUs is free, which nobody else has meanwhile. */
export const warmCache = app.function(
  async () => {
    const found = await readFile('/cache/kernels', 'utf8').catch(() => '');
    await appendFile('/cache/kernels', 'compiled\n');
    return { gpu: process.env['CUDA_VISIBLE_DEVICES'] ?? 'none', kernels: found === '' ? 'none' : found.trim() };
  },
  {
    gpu: ['RTX_4070', 'RTX_4070S', 'RTX_4070_TI', 'RTX_3080', 'RTX_3060', 'RTX_3060_TI'],
    gpuCount: 1,
    minVramGb: 10,
    geolocation: ['US', 'CA'],
    diskGb: 160,
    volumes: [fastCache.mountedAt('/cache')],
  },
);
