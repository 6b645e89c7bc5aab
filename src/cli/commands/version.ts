import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { toJson } from '../output/json-value.js';
import type { CommandContext } from './command-context.js';
import { type JsonOption, withJson } from './options.js';

/** `holdfast version` */
export function registerVersion(program: Command, { terminal }: CommandContext): void {
  withJson(program.command('version').description('print the version')).action((options: JsonOption) => {
    const version = packageVersion();
    terminal.print(options.json ? toJson({ version, node: process.versions.node }) : version);
  });
}

/** The version of this package. */
export function packageVersion(): string {
  return JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version;
}
