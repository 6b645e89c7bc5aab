import { test } from 'vitest';
import { findProgram } from '../src/runtime/isolation/requirements.js';
import { canIsolate } from './isolation-host.js';

export const hasGvisor = canIsolate && findProgram('runsc') !== null;

/** A test with a real runsc; skipped, and said so, where the host has none. */
export const gvisorTest = hasGvisor ? test : test.skip;

if (!hasGvisor) console.warn('gVisor is not tried: this host has no runsc (apt-get install runsc)');
