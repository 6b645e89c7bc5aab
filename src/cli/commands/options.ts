import { existsSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { HoldfastError } from '../../common/errors.js';

/** Options of every command that talks to a router. */
export interface ConnectionOptions {
  readonly endpoint?: string;
  readonly token?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Option of every command that prints data. */
export interface JsonOption {
  readonly json?: boolean;
}

/** Adds the options that say which cluster, and `--json`. */
export function withConnection(command: Command): Command {
  return withJson(command)
    .option('--endpoint <host:port>', 'router, or several: a:1,b:2 (env: HOLDFAST_ENDPOINT)')
    .option('--token <token>', 'your rights there (env: HOLDFAST_TOKEN)')
    .option('--ca <file>', 'authority to trust; turns TLS on (env: HOLDFAST_CA)')
    .option('--cert <file>', 'your certificate, for mTLS (env: HOLDFAST_CERT)')
    .option('--key <file>', 'its key (env: HOLDFAST_KEY)');
}

/** Adds `--json`. */
export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON, for programs');
}

/** @throws InvalidArgument for a path of nothing */
export function checkPem(option: string, file: string): void {
  if (existsSync(file)) return;
  throw new HoldfastError('InvalidArgument', `${option}: there is no file ${file}; it should be PEM`);
}

/** For options that count something. */
export function wholeNumber(text: string): number {
  return atLeast(text, 0);
}

/** For options that are a number of something that must be there. */
export function positiveNumber(text: string): number {
  return atLeast(text, 1);
}

/** For repeated `--label k=v`. */
export function keyValue(text: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Write KEY=VALUE.');
  return { ...previous, [text.slice(0, at)]: text.slice(at + 1) };
}

function atLeast(text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
  throw new InvalidArgumentError(`Write a whole number, ${least} or more.`);
}
