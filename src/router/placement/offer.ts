import type { OfferFilter, PlacementConstraints } from '../../common/manifest.js';

/**
 * What a worker publishes about its host. Field names are those of the placement options without `min` or `max`, in
 * camelCase, and in the units of their names: `gpu` (model), `gpuCount`, `vramGb`, `geolocation`, `costPerHourUsd`,
 * `costPerTflopHourUsd`, `totalFlops`, `gpuRamBandwidthGbps`, `cpuCores`, `cpuRamGb`, `cpuGhz`, `diskBandwidthMbS`,
 * `internetUploadMbps`, `internetDownloadMbps`, `secureCloud` (boolean), `diskGb`. Any other field can be asked for by
 * `offerFilters`.
 */
export type Offer = Readonly<Record<string, unknown>>;

type Rule = { readonly field: string; readonly filter: (wanted: never) => OfferFilter };

const atLeast = (field: string): Rule => ({ field, filter: (wanted: number) => ({ min: wanted }) });
const atMost = (field: string): Rule => ({ field, filter: (wanted: number) => ({ max: wanted }) });
const oneOf = (field: string): Rule => ({ field, filter: (wanted: OfferFilter) => wanted });

/** How each placement option reads its field of the offer. */
const rules: Readonly<Record<Exclude<keyof PlacementConstraints, 'offerFilters'>, Rule>> = {
  gpu: oneOf('gpu'),
  gpuCount: atLeast('gpuCount'),
  minVramGb: atLeast('vramGb'),
  geolocation: oneOf('geolocation'),
  maxCostPerHourUsd: atMost('costPerHourUsd'),
  maxCostPerTflopHourUsd: atMost('costPerTflopHourUsd'),
  minTotalFlops: atLeast('totalFlops'),
  minGpuRamBandwidthGbps: atLeast('gpuRamBandwidthGbps'),
  minCpuCores: atLeast('cpuCores'),
  minCpuRamGb: atLeast('cpuRamGb'),
  minCpuGhz: atLeast('cpuGhz'),
  minDiskBandwidthMbS: atLeast('diskBandwidthMbS'),
  minInternetUploadMbps: atLeast('internetUploadMbps'),
  minInternetDownloadMbps: atLeast('internetDownloadMbps'),
  secureCloudOnly: oneOf('secureCloud'),
  diskGb: atLeast('diskGb'),
};

const allRules = Object.entries(rules);

/** Why this offer does not satisfy the constraints, one sentence for each that fails; empty where it does. */
export function offerMismatches(constraints: PlacementConstraints, offer: Offer): string[] {
  const mismatches: string[] = [];
  for (const [option, rule] of allRules) {
    const wanted = constraints[option as keyof typeof rules];
    // `secureCloudOnly: false` asks for nothing: a secure worker is fine too.
    if (wanted === undefined || wanted === false) continue;
    const why = mismatch(rule.field, rule.filter(wanted as never), offer);
    if (why !== null) mismatches.push(why);
  }
  for (const [field, filter] of Object.entries(constraints.offerFilters ?? {})) {
    const why = mismatch(field, filter, offer);
    if (why !== null) mismatches.push(why);
  }
  return mismatches;
}

function mismatch(field: string, filter: OfferFilter, offer: Offer): string | null {
  const offered = Object.hasOwn(offer, field) ? offer[field] : undefined;
  if (satisfies(filter, offered)) return null;
  const has = offered === undefined ? 'not in its offer' : `offers ${JSON.stringify(offered)}`;
  return `${field}: ${has}, needs ${describeFilter(filter)}`;
}

function satisfies(filter: OfferFilter, offered: unknown): boolean {
  // A field may list several values, as where a host has GPUs of two models: one that fits is enough.
  if (Array.isArray(offered)) return offered.some((one) => !Array.isArray(one) && satisfies(filter, one));
  if (Array.isArray(filter)) return filter.includes(offered);
  if (typeof filter !== 'object') return offered === filter;
  if (typeof offered !== 'number') return false;
  const { min = -Infinity, max = Infinity } = filter as { readonly min?: number; readonly max?: number };
  return offered >= min && offered <= max;
}

function describeFilter(filter: OfferFilter): string {
  if (Array.isArray(filter)) return `one of ${JSON.stringify(filter)}`;
  if (typeof filter !== 'object') return JSON.stringify(filter);
  const { min, max } = filter as { readonly min?: number; readonly max?: number };
  if (max === undefined) return `at least ${min}`;
  if (min === undefined) return `at most ${max}`;
  return `${min} to ${max}`;
}
