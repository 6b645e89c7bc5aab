import { execFile } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { promisify } from 'node:util';

const bytesPerGb = 1_073_741_824;
/** What an idle container takes, with room for a little state; see docs/performance.md. */
const memoryPerContainerMb = 64;
/** What an idle session takes, with room for a program. */
const memoryPerSandboxMb = 8;
const nvidiaTimeoutMs = 5_000;

/**
 * What this host can offer, as far as it can tell by itself; labels add to it and win. Fields as in router/offer.
 * @param labels `k=v` of the command line; numbers and booleans are taken as such
 */
export async function hostOffer(labels: Readonly<Record<string, string>>): Promise<Record<string, unknown>> {
  const processors = cpus();
  const disk = await statfs('/').catch(() => null); // an offer without a disk's size is still one
  return {
    cpuCores: processors.length,
    cpuRamGb: round(totalmem() / bytesPerGb),
    ...((processors[0]?.speed ?? 0) > 0 ? { cpuGhz: round((processors[0]?.speed ?? 0) / 1_000) } : {}),
    ...(disk === null ? {} : { diskGb: round((disk.bavail * disk.bsize) / bytesPerGb) }),
    ...(await gpus()),
    ...Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, labelValue(value)])),
  };
}

export function defaultMaxContainers(): number {
  return Math.max(16, Math.floor(totalmem() / 1_048_576 / memoryPerContainerMb));
}

/** Once there was a first session: enough for a few at a time. */
export const defaultWarmSandboxes = 2;

export function defaultMaxSandboxes(): number {
  return Math.max(16, Math.floor(totalmem() / 1_048_576 / memoryPerSandboxMb));
}

/** Of several models all names, and the least memory: what holds for whichever a container gets. */
async function gpus(): Promise<Record<string, unknown>> {
  const query = ['--query-gpu=name,memory.total', '--format=csv,noheader,nounits'];
  const output = await promisify(execFile)('nvidia-smi', query, { timeout: nvidiaTimeoutMs }).catch(() => null); // no GPU here
  const lines = output?.stdout.trim().split('\n') ?? [];
  const found = lines.map((line) => line.split(',').map((text) => text.trim()));
  const known = found.flatMap(([name = '', memoryMb]) => {
    const vramGb = round(Number(memoryMb) / 1_024);
    return name === '' || !(vramGb > 0) ? [] : [{ name, vramGb }];
  });
  const models = [...new Set(known.map(({ name }) => name))];
  if (models.length === 0) return {};
  const vramGb = Math.min(...known.map((each) => each.vramGb));
  return { gpu: models.length === 1 ? models[0] : models, gpuCount: known.length, vramGb };
}

function labelValue(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  const number = Number(text);
  return text.trim() !== '' && Number.isFinite(number) ? number : text;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
