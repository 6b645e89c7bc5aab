import {
  type AppManifest,
  type ClassManifest,
  declaredKindOf,
  kindOf,
  type ParameterManifest,
} from '../../common/manifest.js';

/** Command lines to be copied: a call of the first method of the app, a shell in its first sandbox. */
export function exampleCommands({ app, classes }: AppManifest, program: string): string[] {
  const all = Object.values(classes);
  const [call] = all.flatMap((described) => callOf(app, described, program) ?? []);
  const sandbox = all.find((described) => kindOf(described) === 'sandbox');
  return [
    ...(call === undefined ? [] : [call]),
    ...(sandbox === undefined ? [] : shellIn(`${app}/${sandbox.name}`, program)),
  ];
}

function shellIn(sandbox: string, program: string): string[] {
  return [`${program} sandbox create ${sandbox} one`, `${program} sandbox shell ${sandbox}/one`];
}

function callOf(app: string, described: ClassManifest, program: string): string | null {
  const [method] = Object.values(described.methods);
  if (method === undefined) return null;
  const args = placeholders(method.parameters);
  if (declaredKindOf(described) === 'function')
    return [`${program} call ${app}/${described.name}`, args].join(' ').trim();
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
