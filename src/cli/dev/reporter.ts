import { homedir } from 'node:os';
import { relative } from 'node:path';
import type { ModuleDeployment } from '../../sdk/deploy/deploy-module.js';
import type { LogLine } from '../../wire/gen/holdfast/v1/router.js';
import { logDocument } from '../commands/documents.js';
import { logLineText } from '../commands/log-stream.js';
import { errorDocument, errorLines } from '../output/errors.js';
import { toJson } from '../output/json-value.js';
import type { Terminal } from '../output/terminal.js';

/** What `holdfast dev` tells, to people or, line by line, to programs. */
export interface DevReporter {
  ready(at: { readonly endpoint: string; readonly folder: string }): void;
  /** @param because the file that changed; null at the start */
  deployed(deployment: ModuleDeployment, because: string | null, examples: readonly string[]): void;
  deployFailed(error: unknown): void;
  watching(files: number): void;
  log(line: LogLine): void;
  notice(event: string, text: string): void;
}

export function createReporter(terminal: Terminal, format: { readonly json: boolean }): DevReporter {
  return format.json ? jsonReporter(terminal) : humanReporter(terminal);
}

function jsonReporter(terminal: Terminal): DevReporter {
  const print = (event: string, fields: object): void => terminal.print(toJson({ event, ...fields }));
  return {
    ready: (at) => print('dev.ready', at),
    deployed: ({ app, version, manifest }, changed, examples) =>
      print('dev.deployed', { app, version, classes: Object.keys(manifest.classes), changed, examples }),
    deployFailed: (error) => print('dev.deploy-failed', { error: errorDocument(error) }),
    watching: (files) => print('dev.watching', { files }),
    log: (line) => print('log', logDocument(line)),
    notice: (event, text) => print(event, { message: text }),
  };
}

function humanReporter(terminal: Terminal): DevReporter {
  const { print, paint } = terminal;
  let isFirst = true;
  const field = (name: string, text: string): void => print(`  ${paint('dim', name.padEnd(8))}  ${text}`);
  return {
    ready: ({ endpoint, folder }) => {
      print(paint('bold', 'Holdfast runs on this machine: one router, one worker, an embedded store.'));
      field('endpoint', endpoint);
      field('data', shortPath(folder));
    },
    deployed: ({ app, version, manifest }, changed, examples) => {
      if (!isFirst) {
        const why = changed === null ? '' : `${relative(process.cwd(), changed)} changed: `;
        return print(`${paint('green', '✓')} ${why}deployed ${app}, deployment ${version}`);
      }
      isFirst = false;
      field('app', `${app}, deployment ${version}: ${Object.keys(manifest.classes).join(', ')}`);
      const next =
        examples.length > 0
          ? ['In another terminal:', ...examples.map((line) => `  ${paint('cyan', line)}`)]
          : ['No method yet: mark one with @method().'];
      print(`\n${next.join('\n')}\n`);
    },
    deployFailed: (error) => {
      for (const line of errorLines(error, terminal)) terminal.note(line);
    },
    watching: (files) =>
      print(paint('dim', `Watching ${files} ${files === 1 ? 'file' : 'files'}; a change deploys again. Ctrl-C stops.`)),
    log: (line) => print(logLineText(line, terminal)),
    notice: (_event, text) => print(paint('yellow', text)),
  };
}

function shortPath(path: string): string {
  const home = homedir();
  return path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}
