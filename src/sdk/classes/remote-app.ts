import { declaredKindOf } from '../../common/manifest.js';
import type { AnyFunction, RemoteFunction } from '../functions/function-types.js';
import { remoteFunction } from '../functions/remote-function.js';
import { makeSandbox, type Sandbox } from '../sandbox/sandbox.js';
import type { ClientCore } from '../sessions/client-core.js';
import type { Class, RemoteApp } from './class-types.js';
import { type Cls, makeCls } from './cls.js';
import { classOf, type KnownDeployment, resourceOf } from './deployments.js';

/** An app as it is deployed: its classes, functions and sandboxes under the names of the module's exports. */
export function remoteApp<M>(client: ClientCore, deployment: KnownDeployment): RemoteApp<M> {
  const { app } = deployment;
  const known = { appName: app, local: null, deployment, choice: client };
  const cls = (name: string): Cls => makeCls({ ...known, kind: 'class', name: classOf(deployment, name).name });
  const sandbox = (name: string): Sandbox =>
    makeSandbox({ ...known, name: resourceOf(deployment, 'sandbox', name).name });
  const fn = <F extends AnyFunction>(name: string): RemoteFunction<F> =>
    remoteFunction<F>({ ...known, name: resourceOf(deployment, 'function', name).name });
  const made = { class: cls, function: fn, sandbox };
  const exported = Object.values(deployment.manifest.classes).map((manifest) => {
    const { name, exportName } = manifest;
    return [exportName === '' ? name : exportName, made[declaredKindOf(manifest)](name)];
  });
  return {
    ...Object.fromEntries(exported),
    appName: app,
    cls: cls as <C extends Class>(name: string) => Cls<C>,
    function: fn,
    sandbox,
  };
}
