import type { Random } from '../../common/clock.js';
import { gpuDemand, gpusOffered } from '../../common/gpu-demand.js';
import type { BootId, WorkerId } from '../../common/ids.js';
import type { ClassOptions, Isolation, ResourceKind } from '../../common/manifest.js';
import type { PlacementNote } from '../../common/pin.js';
import type { LocalVolume } from './local-volumes.js';
import { type Offer, offerMismatches } from './offer.js';

/** A worker as placement sees it: its last heartbeat, less what this router has placed there since. */
export interface Candidate {
  readonly workerId: WorkerId;
  readonly bootId: BootId;
  readonly address: string;
  readonly state: string;
  /** Its heartbeats come. */
  readonly isFresh: boolean;
  readonly isolation: Isolation;
  /** Of sandboxes, and why there are none; empty where it has them. */
  readonly sandboxIsolation: Isolation;
  readonly sandboxLack: string;
  readonly containers: number;
  readonly maxContainers: number;
  readonly sandboxes: number;
  readonly maxSandboxes: number;
  readonly cpuCores: number;
  readonly freeMemoryMb: number;
  readonly freeGpus: number;
  /** Instances that its running containers can still take, by container label. */
  readonly rooms: ReadonlyMap<string, number>;
  readonly offer: Offer;
  /** Of images and volumes (common/recent-files) that it has used lately. */
  readonly recentFiles: ReadonlySet<string>;
}

/** What an instance needs of a worker. */
export interface Demand {
  readonly kind: ResourceKind;
  readonly options: ClassOptions;
  /** `app/class@deployment`, the label of containers that can hold it. */
  readonly label: string;
  /** The one boot that has its files; null: any. */
  readonly home: BootId | null;
  /** That is in a folder of one host; null: it needs none. */
  readonly local: LocalVolume | null;
  /** Images and volumes that it starts with (common/recent-files). */
  readonly files: readonly string[];
  /** Boots that refused it in this attempt, and why. */
  readonly refused: ReadonlyMap<BootId, string>;
}

export interface Placement {
  readonly chosen: Candidate;
  /** It goes into a container that runs already. */
  readonly usesRoom: boolean;
  readonly note: PlacementNote;
}

/** The note stays in the pin: of a large fleet only some. */
const notedRejections = 16;
const notedFiles = 4;

export type Rejection = PlacementNote['rejected'][number];

/** The worker to place on, or each worker's reason where none fits. Pure: chance only breaks ties. */
export function choosePlacement(
  demand: Demand,
  candidates: Iterable<Candidate>,
  random: Random,
): Placement | { readonly chosen: null; readonly rejected: readonly Rejection[] } {
  const rejected: Rejection[] = [];
  let best: { candidate: Candidate; score: number; tie: number } | null = null;
  for (const candidate of candidates) {
    const reasons = rejections(demand, candidate);
    if (reasons.length > 0) {
      rejected.push({ workerId: candidate.workerId, why: reasons.join('; ') });
      continue;
    }
    const score = scoreOf(demand, candidate);
    const tie = random.next();
    if (best === null || score > best.score || (score === best.score && tie > best.tie))
      best = { candidate, score, tie };
  }
  if (best === null) return { chosen: null, rejected };
  const { candidate, score } = best;
  const kept = keptFiles(demand, candidate);
  return {
    chosen: candidate,
    usesRoom: hasRoom(demand, candidate),
    note: {
      ...{ chosen: candidate.workerId, score, rejected: rejected.slice(0, notedRejections) },
      ...(kept.length === 0 ? {} : { kept: kept.slice(0, notedFiles) }),
    },
  };
}

function rejections(demand: Demand, candidate: Candidate): string[] {
  const reasons: string[] = [];
  if (demand.home !== null && demand.home !== candidate.bootId) reasons.push('does not have its files');
  reasons.push(...hostMismatches(demand.local, candidate));
  const refused = demand.refused.get(candidate.bootId);
  if (refused !== undefined) reasons.push(`refused: ${refused}`);
  if (!candidate.isFresh) reasons.push('silent: no heartbeat for 3 s');
  else if (candidate.state !== 'ready') reasons.push(`is ${candidate.state}`);
  const lack = isolationLack(demand, candidate);
  if (lack !== null) reasons.push(lack);
  reasons.push(...offerMismatches(demand.options.placement, candidate.offer));
  if (!hasRoom(demand, candidate)) reasons.push(...shortages(demand, candidate));
  return reasons;
}

/** Bound, it is there and nowhere else; else it may be wherever its own `geolocation` says. */
function hostMismatches(local: LocalVolume | null, { workerId, offer }: Candidate): readonly string[] {
  if (local === null) return [];
  const { volume, host } = local;
  if (host !== null) return host === workerId ? [] : [`does not have volume ${volume.name}, which is on ${host}`];
  return volume.geolocation.length === 0 ? [] : offerMismatches({ geolocation: volume.geolocation }, offer);
}

/** Why it cannot isolate as is asked for, or null. */
export function isolationLack(
  { kind, options }: Pick<Demand, 'kind' | 'options'>,
  candidate: Candidate,
): string | null {
  const hasVolumes = (options.volumes?.length ?? 0) > 0;
  const needsWalls = hasVolumes || options.image !== undefined;
  const isolation = needsWalls && weakest(options.isolation) ? 'bubblewrap' : options.isolation;
  // Walls that are there for sandboxes are there for files of classes too (ADR 63).
  const isLent = kind === 'class' && needsWalls && candidate.isolation === 'process';
  const ofHost = candidate.sandboxIsolation === 'process' ? 'process' : 'bubblewrap';
  const ofClasses = isLent ? ofHost : candidate.isolation;
  const given = kind === 'sandbox' ? candidate.sandboxIsolation : ofClasses;
  if (isolation === null || strength[isolation] <= strength[given]) return null;
  if (kind === 'sandbox' && candidate.sandboxLack !== '') return candidate.sandboxLack;
  const why = isolation === options.isolation ? '' : ` for its ${hasVolumes ? 'volumes' : 'image'}`;
  const help = kind === 'class' && isolation === 'gvisor' ? '; a worker with --isolation gvisor does' : '';
  return `isolation: gives ${given}, needs ${isolation}${why}${help}`;
}

function weakest(isolation: Isolation | null): boolean {
  return isolation === null || isolation === 'process';
}

/** Ordered: a stronger isolation serves where a weaker one is asked for. */
const strength: Readonly<Record<Isolation, number>> = { process: 0, bubblewrap: 1, gvisor: 2 };

function shortages({ kind, options }: Demand, candidate: Candidate): string[] {
  const reasons: string[] = [];
  const { used, most } = places(kind, candidate);
  if (used >= most) reasons.push(`full: ${used} of ${most} ${kind === 'sandbox' ? 'sandboxes' : 'containers'}`);
  if (candidate.cpuCores < options.cpu) reasons.push(`cpu: has ${candidate.cpuCores} cores, needs ${options.cpu}`);
  if (candidate.freeMemoryMb < options.memoryMb) {
    reasons.push(`memory: ${round(candidate.freeMemoryMb)} MB free, needs ${options.memoryMb}`);
  }
  const gpus = kind === 'class' ? gpuDemand(options.placement) : 0;
  const offered = gpusOffered(candidate.offer);
  // Of a worker that has none its offer has said so.
  if (offered > 0 && gpus > candidate.freeGpus) {
    reasons.push(`gpus: ${Math.max(0, candidate.freeGpus)} of ${offered} free, needs ${gpus}`);
  }
  return reasons;
}

function places(kind: ResourceKind, candidate: Candidate): { readonly used: number; readonly most: number } {
  if (kind === 'sandbox') return { used: candidate.sandboxes, most: candidate.maxSandboxes };
  return { used: candidate.containers, most: candidate.maxContainers };
}

function hasRoom(demand: Demand, candidate: Candidate): boolean {
  return (candidate.rooms.get(demand.label) ?? 0) > 0;
}

/** What a worker may be fuller by than another one, as a share of all its places, that has none of the files. */
const filesWeight = 0.5;

/**
 * 2 for room in a container that runs (nothing to start), up to 1 more for the share of the worker that is free, and up to
 * `filesWeight` for the share of the files that it has.
 */
function scoreOf(demand: Demand, candidate: Candidate): number {
  const { used, most } = places(demand.kind, candidate);
  const load = most > 0 ? used / most : 1;
  const kept = demand.files.length === 0 ? 0 : keptFiles(demand, candidate).length / demand.files.length;
  return (hasRoom(demand, candidate) ? 2 : 0) + (1 - Math.min(1, Math.max(0, load))) + filesWeight * kept;
}

function keptFiles({ files }: Demand, { recentFiles }: Candidate): readonly string[] {
  return files.filter((name) => recentFiles.has(name));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
