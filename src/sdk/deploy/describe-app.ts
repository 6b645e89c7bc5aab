import { HoldfastError } from '../../common/errors.js';
import type { AppManifest } from '../../common/manifest.js';
import { describeClass } from '../classes/class-manifest.js';
import { type DeclaredApp, registeredApps } from '../classes/registry.js';
import { functionsOf, nameFunctions, type RegisteredFunction } from '../functions/registered-functions.js';
import { optionalHint } from './optional-parameters.js';

/**
 * The manifest of the app that a module has declared.
 *
 * @param module its exports, @throws InvalidArgument for none, several, or one with nothing in it
 */
export function describeApp(
  module: Record<string, unknown>,
  { appName, bundle }: { readonly appName: string; readonly bundle: string },
): AppManifest {
  const app = chooseApp(registeredApps(), appName);
  nameFunctions(module);
  const functions = functionsOf(app.name);
  if (app.classes.length + app.sandboxes.length + functions.length === 0) {
    const todo = 'decorate a class with @app.cls(), or declare app.function() or app.sandbox()';
    throw new HoldfastError('InvalidArgument', `app '${app.name}' has no classes, functions and sandboxes; ${todo}`);
  }
  const hint = optionalHint(bundle);
  const exportNames = exportsByValue(module);
  const classes = app.classes.map((registered) => {
    const exportName = exportNames.get(registered.ctor) ?? '';
    return [registered.name, { ...describeClass(registered, hint), exportName }];
  });
  const sandboxes = app.sandboxes.map(({ name, sandbox, manifest }) => {
    return [name, { ...manifest, exportName: exportNames.get(sandbox) ?? '' }];
  });
  const described = functions.map(([exported, registered]) => {
    const exportName = exportNames.get(exported) ?? '';
    return [namedFunction(registered, app), { ...registered.describe(hint), exportName }];
  });
  const { name, tags, metadata } = app;
  return { app: name, tags, metadata, classes: Object.fromEntries([...classes, ...sandboxes, ...described]) };
}

/** What the module threw while it was imported. @param folder of the bundle: the frames in it are the user's */
export function importFailed(thrown: unknown, folder: string): HoldfastError {
  const shown = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  const frames = thrown instanceof Error ? (thrown.stack ?? '').split('\n') : [];
  const places = frames.flatMap((line) => line.split(`${folder}/`)[1]?.replace(')', '') ?? []);
  // What the bundler added itself has no source.
  const place = places.find((each) => !each.startsWith('bundle.mjs'));
  const where = place === undefined ? '' : `, at ${place}`;
  const message = `the module threw while it was imported${where}: ${shown}`;
  return new HoldfastError('InvalidArgument', message, { cause: thrown });
}

function chooseApp(apps: readonly DeclaredApp[], name: string): DeclaredApp {
  const names = apps.map((app) => `'${app.name}'`).join(', ');
  if (apps.length === 0) {
    throw new HoldfastError('InvalidArgument', "the module declares no app: export const app = new App('name')");
  }
  if (name !== '') {
    const named = apps.find((app) => app.name === name);
    if (named !== undefined) return named;
    throw new HoldfastError('InvalidArgument', `the module declares no app '${name}'; it declares: ${names}`);
  }
  const [only, ...others] = apps;
  if (only !== undefined && others.length === 0) return only;
  throw new HoldfastError(
    'InvalidArgument',
    `the module declares several apps: ${names}; name the one to deploy, with the option \`app\` or --app`,
  );
}

/** Who deploys it reads its exports; where it was declared is only for those who do not. @throws InvalidArgument */
function namedFunction({ knownName }: RegisteredFunction, { name, sandboxes }: DeclaredApp): string {
  const isTaken = sandboxes.some((sandbox) => sandbox.name === knownName);
  if (knownName !== null && !isTaken) return knownName;
  const problem = isTaken
    ? `is exported as '${knownName}', which is the name of a sandbox: export it under another one`
    : 'has no name: export it';
  throw new HoldfastError('InvalidArgument', `a function of app '${name}' ${problem}, or give it the option 'name'`);
}

/** `default` only where a class has no other name. */
function exportsByValue(module: Record<string, unknown>): ReadonlyMap<unknown, string> {
  const entries = Object.entries(module).sort(([a], [b]) => Number(b === 'default') - Number(a === 'default'));
  return new Map(entries.map(([name, value]) => [value, name]));
}
