import type { ExplainView, InstanceView, LogLine, WorkerView } from '../../wire/gen/holdfast/v1/router.js';

/** An instance as `--json` prints it; the same fields as `InstanceInfo` of the SDK. */
export function instanceDocument(view: InstanceView): Record<string, unknown> {
  const { createdAtMs, lastCallAtMs, workerId, ...same } = view;
  return {
    ...same,
    workerId: workerId ?? null,
    createdAt: new Date(createdAtMs),
    lastCallAt: lastCallAtMs === undefined ? null : new Date(lastCallAtMs),
  };
}

/** Why an instance is where it is, as `--json` prints it. */
export function explanationDocument(explain: ExplainView): Record<string, unknown> {
  const { chosen, score, rejected, kept, leaseAgeMs, phasesMs, transitions, pool } = explain;
  return {
    placement: { chosen, score, rejected, kept },
    leaseAgeMs,
    phasesMs,
    transitions: transitions.map(({ atMs, ...same }) => ({ at: new Date(atMs), ...same })),
    ...(pool === undefined ? {} : { pool }),
  };
}

/** A worker as `--json` prints it. */
export function workerDocument({ offerJson, ...same }: WorkerView): Record<string, unknown> {
  return { ...same, offer: parseObject(offerJson) };
}

/** A log line as `--json` prints it. */
export function logDocument({ atMs, fieldsJson, ...same }: LogLine): Record<string, unknown> {
  return { at: new Date(atMs), ...same, fields: parseObject(fieldsJson) };
}

/** What came over the wire as the JSON of an object; empty where it is none. */
export function parseObject(text: string): Record<string, unknown> {
  try {
    return objectOf(JSON.parse(text || '{}'));
  } catch {
    return {}; // Another version's: shown without it.
  }
}

/** Empty where it is none. */
export function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
