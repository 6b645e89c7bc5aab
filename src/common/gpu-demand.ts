import type { PlacementConstraints } from './manifest.js';

/** How many GPUs a container of a class has for itself: as many as it asks for, or one where it asks for anything of a GPU. */
export function gpuDemand({ gpu, gpuCount, minVramGb, minGpuRamBandwidthGbps }: PlacementConstraints): number {
  if (gpuCount !== undefined) return gpuCount;
  return gpu === undefined && minVramGb === undefined && minGpuRamBandwidthGbps === undefined ? 0 : 1;
}

/** How many GPUs a host has, as its offer says. */
export function gpusOffered({ gpu, gpuCount }: Readonly<Record<string, unknown>>): number {
  if (typeof gpuCount === 'number' && gpuCount >= 0) return Math.floor(gpuCount);
  return gpu === undefined ? 0 : 1;
}
