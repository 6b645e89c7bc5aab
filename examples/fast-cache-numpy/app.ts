import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { App, Image, Volume } from 'holdfast';

export const app = new App('fast-cache-numpy', { entry: import.meta.url });

const fastCache = Volume.fromName('numpy-cache', {
  createIfMissing: true,
  backend: 'vast_local',
  sizeGb: 50,
  mountPathDefault: '/cache',
  geolocation: ['US', 'CA'],
});

// The script comes last: a change of it does not install numpy again.
const image = Image.debianSlim({ pythonVersion: '3.11' }).pipInstall('numpy').copyLocal('warm-cache.py', '/srv/');

/** Runs where one of these GPUs is free, on the files of the image: what computes is Python, in the function's own container. */
export const warmCache = app.function(
  async () => {
    const { stdout } = await promisify(execFile)('python3', ['/srv/warm-cache.py']);
    return { gpu: process.env['CUDA_VISIBLE_DEVICES'] ?? 'none', table: stdout.trim() };
  },
  {
    gpu: ['RTX_4070', 'RTX_4070S', 'RTX_4070_TI', 'RTX_3080', 'RTX_3060', 'RTX_3060_TI'],
    gpuCount: 1,
    minVramGb: 10,
    geolocation: ['US', 'CA'],
    diskGb: 160,
    image,
    volumes: [fastCache.mountedAt('/cache')],
  },
);
