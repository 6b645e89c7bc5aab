import type { PlacementConstraints } from './manifest.js';

/** How many GPUs a container of a class has for itself: as many as it asks for, or one where it asks for anything of a GPU. */
export function gpuDemand({ gpu, gpuCount, minVramGb, minGpuRamBandwidthGbps }: PlacementConstraints): number {
  if (gpuCount !== undefined) return gpuCount;
  return gpu === undefined && minVramGb === undefined && minGpuRamBandwidthGbps === undefined ? 0 : 1;
}

/** How many GPUs a host has, as its offer says: one where it says anything of a GPU, and not how many. */
export function gpusOffered(offer: Readonly<Record<string, unknown>>): number {
  const { gpuCount } = offer;
  if (typeof gpuCount === 'number' && gpuCount >= 0) return Math.floor(gpuCount);
  return ['gpu', 'vramGb', 'gpuRamBandwidthGbps'].some((field) => Object.hasOwn(offer, field)) ? 1 : 0;
}
