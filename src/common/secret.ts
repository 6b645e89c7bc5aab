import { HoldfastError } from './errors.js';

/** A secret that a class names; its value is nowhere but in the store, sealed, and in containers that need it. */
export interface SecretReference {
  readonly name: string;
  /** Variables that it must have; a placement fails where one is missing. */
  readonly requiredKeys?: readonly string[] | undefined;
}

/** Environment variables by name. */
export type Variables = Readonly<Record<string, string>>;

const secretName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const variableName = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;
/** Of one secret, names and values: Linux refuses larger variables to the programs that a container starts. */
const maxSecretBytes = 65_536;

const wantedSecretName = 'a name of letters, digits, ., _ and -, at most 128 long';
/** A class names at most that many. */
export const maxSecretsPerClass = 64;

export function isSecretName(name: unknown): name is string {
  return typeof name === 'string' && secretName.test(name);
}

export function isVariableName(name: unknown): name is string {
  return typeof name === 'string' && variableName.test(name);
}

/** @throws InvalidArgument */
export function checkedSecretName(name: unknown): string {
  if (isSecretName(name)) return name;
  throw new HoldfastError('InvalidArgument', `the name of a secret must be ${wantedSecretName}`);
}

/** The variables of a secret as it was given: one of its own name, or several. @throws InvalidArgument; never quotes a value */
export function variablesOf(name: string, value: string | Variables): Variables {
  checkedSecretName(name);
  if (typeof value !== 'string') return checkedVariables(name, value);
  if (isVariableName(name)) return checkedVariables(name, { [name]: value });
  throw new HoldfastError(
    'InvalidArgument',
    `secret '${name}' has one value, so its name would be the variable's, which must be of letters, digits and _; give { VARIABLE: value } instead`,
  );
}

/** @throws InvalidArgument; never quotes a value */
export function checkedVariables(secret: string, variables: Variables): Variables {
  const refuse = (why: string): never => {
    throw new HoldfastError('InvalidArgument', `secret '${secret}' ${why}`, { details: { secret } });
  };
  const isRecord = typeof variables === 'object' && variables !== null && !Array.isArray(variables);
  const entries = isRecord ? Object.entries(variables) : [];
  if (entries.length === 0) return refuse('must have a value: a string, or variables by name');
  let bytes = 0;
  for (const [key, value] of entries) {
    if (!isVariableName(key)) return refuse('has a variable whose name is not of letters, digits and _');
    if (typeof value !== 'string' || value.includes('\0')) return refuse(`: ${key} must be text without NUL`);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > maxSecretBytes) return refuse(`has ${bytes} bytes, at most ${maxSecretBytes} are kept`);
  return variables;
}
