import { isSecretName, isVariableName, maxSecretsPerClass, type SecretReference } from './secret.js';

/** Says what an option must be, or null where the value is that. */
export type Check = (value: unknown) => string | null;

/** Of an app, in keys and subjects: no separators, no control characters. */
const appNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** As a JavaScript identifier, with dots and dashes for those who name classes by hand. */
const classNamePattern = /^[\p{L}\p{N}_$][\p{L}\p{N}_$.-]{0,127}$/u;

const wantedClassName = 'a name of letters, digits, _, $, . and -, at most 128 long';

/** The kinds of values that options have. */
export const expected = {
  callback: (value: unknown) => (typeof value === 'function' ? null : 'a function'),
  boolean: (value: unknown) => (typeof value === 'boolean' ? null : 'true or false'),
  number: (least: number) => (value: unknown) =>
    isNumber(value) && value >= least ? null : `a number of at least ${least}`,
  above: (bound: number) => (value: unknown) => (isNumber(value) && value > bound ? null : `a number above ${bound}`),
  integer: (least: number, most: number) => (value: unknown) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? null
      : `a whole number from ${least} to ${most}`,
  oneOf:
    (...choices: readonly string[]) =>
    (value: unknown) =>
      choices.includes(value as string) ? null : `one of ${choices.map((choice) => `'${choice}'`).join(', ')}`,
  oneOrMoreStrings: (value: unknown) =>
    isText(value) || (Array.isArray(value) && value.length > 0 && value.every(isText))
      ? null
      : 'a string or a list of strings, none of them empty',
  stringOrUrl: (value: unknown) => (isText(value) || value instanceof URL ? null : 'a path or a URL'),
  className: (value: unknown) => (typeof value === 'string' && classNamePattern.test(value) ? null : wantedClassName),
  appName: (value: unknown) =>
    typeof value === 'string' && appNamePattern.test(value)
      ? null
      : 'a name of letters, digits, ., _ and -, at most 128 long, that starts with a letter or digit',
  tags: (value: unknown) =>
    Array.isArray(value) && value.every(isText) ? null : 'a list of strings, none of them empty',
  json: (value: unknown) => {
    if (!isPlainObject(value)) return 'an object of plain JSON values';
    const path = notJson(value, '', 0);
    return path === null ? null : `an object of plain JSON values (what is at '${path}' is none)`;
  },
  offerFilters: (value: unknown) =>
    isPlainObject(value) && Object.values(value).every(isOfferFilter)
      ? null
      : 'an object of offer fields, each a string, number, boolean, list of choices or { min, max }',
  image: (value: unknown) => (typeof value === 'object' && value !== null && 'recipe' in value ? null : 'an Image'),
  secrets: (value: unknown) =>
    Array.isArray(value) && value.length <= maxSecretsPerClass && value.every(isSecret)
      ? null
      : `a list of at most ${maxSecretsPerClass} secrets, as Secret.fromName makes them`,
  batch: (value: unknown) =>
    isBatch(value)
      ? null
      : `{ maxSize, waitMs }: a whole number from 1 to ${largestBatch}, milliseconds from 0 to 60 000`,
  retries: (value: unknown) =>
    isCount(value) || isRetries(value)
      ? null
      : 'a whole number from 0 to 1000, or { maxRetries, initialDelayMs, backoffCoefficient, maxDelayMs }',
} as const;

const largestBatch = 10_000;

function isBatch(value: unknown): boolean {
  if (!isPlainObject(value) || Object.keys(value).some((name) => name !== 'maxSize' && name !== 'waitMs')) return false;
  const { maxSize, waitMs } = value as Record<string, unknown>;
  const isSize = Number.isInteger(maxSize) && (maxSize as number) >= 1 && (maxSize as number) <= largestBatch;
  return isSize && isNumber(waitMs) && waitMs >= 0 && waitMs <= 60_000;
}

const retryFields: Readonly<Record<string, (value: unknown) => boolean>> = {
  maxRetries: isCount,
  initialDelayMs: (value) => isNumber(value) && value >= 0,
  backoffCoefficient: (value) => isNumber(value) && value >= 1,
  maxDelayMs: (value) => isNumber(value) && value >= 0,
};

const deepestMetadata = 32;

function isRetries(value: unknown): boolean {
  if (!isPlainObject(value) || value['maxRetries'] === undefined) return false;
  return Object.entries(value).every(
    ([field, given]) => given === undefined || (Object.hasOwn(retryFields, field) && retryFields[field]?.(given)),
  );
}

function isSecret(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, requiredKeys = [] } = value as Partial<SecretReference>;
  return isSecretName(name) && Array.isArray(requiredKeys) && requiredKeys.every(isVariableName);
}

function isOfferFilter(value: unknown): boolean {
  if (isText(value) || isNumber(value) || typeof value === 'boolean') return true;
  if (Array.isArray(value)) return value.length > 0 && value.every((choice) => isText(choice) || isNumber(choice));
  if (!isPlainObject(value)) return false;
  const entries = Object.entries(value).filter(([, bound]) => bound !== undefined);
  return entries.length > 0 && entries.every(([field, bound]) => /^(min|max)$/.test(field) && isNumber(bound));
}

/** Path of the first thing in it that JSON does not keep, or null. */
function notJson(value: unknown, path: string, depth: number): string | null {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || isNumber(value)) return null;
  if (depth > deepestMetadata || !(Array.isArray(value) || isPlainObject(value))) return path;
  for (const [key, inner] of Object.entries(value)) {
    const found = notJson(inner, path === '' ? key : `${path}.${key}`, depth + 1);
    if (found !== null) return found;
  }
  return null;
}

/** Written as a literal, or made by `JSON.parse`. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0;
}

function isNumber(value: unknown): value is number {
  return Number.isFinite(value);
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 1_000;
}
