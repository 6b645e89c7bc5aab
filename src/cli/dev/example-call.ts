import type { AppManifest, ClassManifest, ParameterManifest } from '../../common/manifest.js';

/** A command line that calls a method of the app, to be copied; null where it has none. */
export function exampleCall(manifest: AppManifest, program: string): string | null {
  for (const described of Object.values(manifest.classes)) {
    const line = callOf(manifest.app, described, program);
    if (line !== null) return line;
  }
  return null;
}

function callOf(app: string, described: ClassManifest, program: string): string | null {
  const [method] = Object.values(described.methods);
  if (method === undefined) return null;
  const args = placeholders(method.parameters);
  const init = placeholders(described.parameters);
  return [
    `${program} call ${app}/${described.name} one ${method.name}`,
    ...(args === '' ? [] : [args]),
    ...(init === '' ? [] : [`--init ${init}`]),
  ].join(' ');
}

/** The names of the parameters that must be given: their types are gone at run time. */
function placeholders(parameters: readonly ParameterManifest[]): string {
  const names = parameters.filter(({ optional, rest }) => !optional && !rest).map(({ name }) => name);
  return names.length === 0 ? '' : `'${JSON.stringify(names)}'`;
}
