import type { BootId, InstanceKey } from '../ids.js';
import type { LeaseRecord, LeaseState } from '../lease.js';
import type { DeploymentRecord } from '../manifest.js';
import type { Attestation, Pin, PinChange, PinChangeResult } from '../pin.js';
import type { AlarmStore } from './alarm-store.js';
import type { CallStore } from './call-store.js';
import type { WrappedKey } from './kms.js';
import type { LiveStore } from './live-store.js';
import type { StateStore } from './state-store.js';
import type { VolumeHolds, VolumeStore } from './volume-store.js';

/**
 * What must outlive every process. Each operation has a deadline of its own and then rejects with `Unavailable`, outcome
 * `unknown`: the change may have happened, and is asked for again with the same `opId` (S4).
 */
export interface Store {
  readonly pins: PinStore;
  readonly leases: LeaseStore;
  readonly state: StateStore;
  readonly alarms: AlarmStore;
  readonly calls: CallStore;
  readonly apps: AppStore;
  readonly keys: KeyStore;
  readonly secrets: SecretStore;
  readonly volumes: VolumeStore;
  readonly holds: VolumeHolds;
  /** Of network file systems. */
  readonly live: LiveStore;
  /** Resolves when the store answers. @throws Unavailable */
  ping(): Promise<void>;
  /**
   * The servers that answer, each by a name that no other run of any has. One that is new may have forgotten what was written last
   * (S10). @throws Unavailable
   */
  servers(): Promise<readonly string[]>;
  close(): Promise<void>;
}

export interface PinStore {
  get(key: InstanceKey): Promise<Pin | null>;
  /** In the order of `keys`, in one round trip where the store allows it. */
  getMany(keys: readonly InstanceKey[]): Promise<(Pin | null)[]>;
  /**
   * One compare-and-set (S4). A change that makes or remakes an id also records its handle and enters it in the index; one to
   * `closed` deletes its durable state (D5).
   * @throws StoreQuarantined where its server has taken over from another one, unless it is `byOwner` (S10)
   */
  change(key: InstanceKey, change: PinChange): Promise<PinChangeResult>;
  /** What a boot that has its lease says of a pin that is at it: written where the store knows less (S10). */
  attest(key: InstanceKey, pin: Pin): Promise<Attestation>;
  /** Pins of a class, oldest first, without `closed` ones; `after` is the last page's `next`. */
  list(scope: PinScope, page: { readonly limit: number; readonly after: string | null }): Promise<PinPage>;
  /** What is recorded of the handles issued for this instance; null where none was. */
  handle(key: InstanceKey): Promise<HandleRecord | null>;
}

export interface PinScope {
  readonly account: string;
  readonly app: string;
  readonly className: string;
}

export interface PinPage {
  readonly pins: readonly Pin[];
  /** Null at the end. */
  readonly next: string | null;
}

export interface HandleRecord {
  readonly generation: number;
  readonly issuedAtMs: number;
}

export interface LeaseStore {
  create(lease: LeaseRecord, ttlMs: number): Promise<void>;
  /**
   * `refused`: it lapsed or was released, this boot is over (S6). `forgotten`: its server took over from the one that this process
   * has had it from, and does not know it; a boot within its deadline makes it anew (S10).
   */
  renew(bootId: BootId, ttlMs: number): Promise<'renewed' | 'refused' | 'forgotten'>;
  /** By the watchdog or a clean stop, only after the boot's containers are dead. Remembered for 10 min. */
  release(bootId: BootId): Promise<void>;
  /** @throws StoreQuarantined where there is none, and it may have been forgotten (S10) */
  read(bootId: BootId): Promise<LeaseState>;
}

export interface AppStore {
  /** Gives the next version of the app and makes it the current one. */
  publish(deployment: Omit<DeploymentRecord, 'version'>): Promise<DeploymentRecord>;
  /** Without a version: the current one. */
  get(account: string, app: string, version?: number): Promise<DeploymentRecord | null>;
  /** Current deployments, by app name. */
  list(account: string): Promise<DeploymentRecord[]>;
}

/** `deploy` may do all, `call` may also read, `read` may look. */
export type Role = 'deploy' | 'call' | 'read';

export interface SigningKey {
  readonly id: string;
  readonly secret: Uint8Array;
  readonly createdAtMs: number;
}

export interface TokenRecord {
  readonly id: string;
  readonly account: string;
  readonly role: Role;
  /** SHA-256 of the secret part, hex. */
  readonly secretSha256: string;
  readonly createdAtMs: number;
  readonly label: string;
}

export interface KeyStore {
  /** Newest first; makes `first` the only key where the account has none. Old keys go on verifying (S12). */
  signingKeys(account: string, first: SigningKey): Promise<SigningKey[]>;
  addSigningKey(account: string, key: SigningKey): Promise<void>;
  /** False where there was none. */
  removeSigningKey(account: string, id: string): Promise<boolean>;
  putToken(token: TokenRecord): Promise<void>;
  getToken(account: string, id: string): Promise<TokenRecord | null>;
  listTokens(account: string): Promise<TokenRecord[]>;
  /** False where there was none. */
  deleteToken(account: string, id: string): Promise<boolean>;
}

/** A secret as it is kept: nothing in it can be read without the master key. */
export interface SecretRecord {
  readonly account: string;
  readonly name: string;
  /** Of the change that made this record. */
  readonly revision: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly wrappedKey: WrappedKey;
  readonly sealed: Uint8Array;
}

/** `applied`: now or, by its revision, before. Otherwise what stands instead. */
export type SecretChangeResult =
  | { readonly applied: true }
  | { readonly applied: false; readonly record: SecretRecord | null };

export interface SecretStore {
  get(account: string, name: string): Promise<SecretRecord | null>;
  /** One compare-and-set. @param expected revision that stands; null: there is none */
  put(record: SecretRecord, expected: string | null): Promise<SecretChangeResult>;
  /** By name. */
  list(account: string): Promise<SecretRecord[]>;
  /** False where there was none. */
  delete(account: string, name: string): Promise<boolean>;
}
