import { coldNames, earlyNames } from './cold-names.js';
import { durableState } from './durable-state.js';
import { earlyFirstCall, firstCall } from './first-call.js';
import { functions } from './functions.js';
import { generator } from './generator.js';
import { growth } from './growth.js';
import { idleCores } from './idle-cores.js';
import { idleSessions } from './idle-sessions.js';
import { instances } from './instances.js';
import { map } from './map.js';
import { memory } from './memory.js';
import { neighbours } from './neighbours.js';
import { outOfStep } from './out-of-step.js';
import { payloads } from './payloads.js';
import { resolve } from './resolve.js';
import { sandboxes, sandboxesOnIdleCores } from './sandboxes.js';
import type { Scenario } from './scenario.js';
import { spawn } from './spawn.js';
import { volumes } from './volumes.js';
import { warmCalls } from './warm-calls.js';

/** In the order in which they run. */
export const scenarios: readonly Scenario[] = [
  ...[warmCalls, idleCores, outOfStep, payloads, generator, functions, map, instances, growth],
  ...[
    coldNames,
    earlyNames,
    firstCall,
    earlyFirstCall,
    durableState,
    spawn,
    memory,
    resolve,
    sandboxes,
    sandboxesOnIdleCores,
    neighbours,
    idleSessions,
  ],
  volumes,
];
