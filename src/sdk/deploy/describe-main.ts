/**
 * The child that runs a bundle once to see what it declares. Arguments: the bundle, the file for the answer, the app's name
 * (empty: the only one). The answer is `{ manifest }` as JSON, or an error as wire/errors encodes it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { encodeError } from '../../wire/errors.js';
import { enterDescribing } from '../classes/container-state.js';
import * as sdk from '../index.js';
import { describeApp, importFailed } from './describe-app.js';

const [, , bundlePath = '', answerPath = '', appName = ''] = process.argv;

enterDescribing();
Object.defineProperty(globalThis, Symbol.for('holdfast.container'), { value: sdk });
try {
  const module = await importBundle();
  const manifest = describeApp(module, { appName, bundle: readFileSync(bundlePath, 'utf8') });
  writeFileSync(`${answerPath}.json`, JSON.stringify({ manifest }));
} catch (e) {
  writeFileSync(`${answerPath}.error`, encodeError(e));
}
// What the module has left open must not keep this process.
process.exit(0);

async function importBundle(): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(bundlePath).href)) as Record<string, unknown>;
  } catch (thrown) {
    throw importFailed(thrown, dirname(bundlePath));
  }
}
