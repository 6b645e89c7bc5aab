import { hash } from 'node:crypto';

declare const brand: unique symbol;
type Id<Name extends string> = string & { readonly [brand]: Name };

/** A worker's configured or generated name; stable over its restarts. */
export type WorkerId = Id<'WorkerId'>;
/** One run of one worker process (a ULID). A lapsed boot never comes back (S6). */
export type BootId = Id<'BootId'>;
/** Hash of an identity; the `{T}` of every per-instance key, so that they share a cluster slot. */
export type InstanceKey = Id<'InstanceKey'>;

/** Rises at every activation of an instance: microseconds of the store's clock, or one more than the last (S2). */
export type Epoch = number;
/** The epoch of the first activation since the id was made or remade (S2). */
export type Generation = number;

/** What an instance is: constructor arguments are not part of it (S1). */
export interface Identity extends ClassIdentity {
  readonly id: string;
}

/** What its class is, at any deployment. */
export interface ClassIdentity {
  readonly account: string;
  readonly app: string;
  /** Name of the class (or sandbox). */
  readonly className: string;
}

/** 22 characters of base64url: 128 bits of SHA-256 over the length-prefixed parts of the identity. */
export function instanceKey(identity: Identity): InstanceKey {
  const { account, app, className, id } = identity;
  const text = sized(account) + sized(app) + sized(className) + sized(id);
  return hash('sha256', text, 'buffer').toString('base64url', 0, 16) as InstanceKey;
}

function sized(part: string): string {
  return `${Buffer.byteLength(part)}:${part}`;
}

/** `app/Class/id`, for messages and logs. */
export function describeIdentity(identity: Identity): string {
  return `${identity.app}/${identity.className}/${identity.id}`;
}
