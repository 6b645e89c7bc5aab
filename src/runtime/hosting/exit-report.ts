import type { DeactivatedBody } from '../../wire/frames/frames.js';

/** Of what an exit hook threw; it becomes part of an answer on the bus. */
const longestExitError = 2_048;

/** The report is the container's word: every field is checked. */
export function exitReport({ exitHook, error }: Record<string, unknown>): DeactivatedBody {
  const isKnown = exitHook === 'ran' || exitHook === 'failed' || exitHook === 'timed-out' || exitHook === 'none';
  return {
    exitHook: isKnown ? exitHook : 'skipped',
    ...(typeof error === 'string' ? { error: error.slice(0, longestExitError) } : {}),
  };
}
