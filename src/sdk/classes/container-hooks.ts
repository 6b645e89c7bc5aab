import type { Clock, Random } from '../../common/clock.js';
import type { Transport } from '../../common/ports/channel.js';
import { clientWith } from '../client.js';
import { setDefaultClient } from '../client-choice.js';
import { systemParts } from '../default-client.js';
import { nameFunctions } from '../functions/registered-functions.js';
import type { Class } from './class-types.js';
import { enterContainer } from './container-state.js';
import { findRegistered } from './registry.js';

/** The SDK of this process speaks through its worker from here on, with no configuration (C12). */
export function useContainerTransport(
  transport: Transport,
  parts: { readonly clock: Clock; readonly random: Random } = systemParts,
): void {
  enterContainer();
  setDefaultClient(clientWith({ transport, endpoint: 'the worker of this container', ...parts }));
}

/** A bundle was loaded: what it exports says how its functions are called. */
export function loaded(module: Readonly<Record<string, unknown>>): void {
  nameFunctions(module);
}

/** The class, or that of a function, that a bundle has registered under that name; undefined where it has none. */
export function findClass(app: string, className: string): Class | undefined {
  return findRegistered(app, className)?.ctor;
}
