import type { Class, RemoteApp } from './class-types.js';
import type { ClientCore } from './client-core.js';
import { type Cls, makeCls } from './cls.js';
import { classOf, type KnownDeployment } from './deployments.js';

/** An app as it is deployed: its classes under the names of the module's exports. */
export function remoteApp<M>(client: ClientCore, deployment: KnownDeployment): RemoteApp<M> {
  const { app } = deployment;
  const cls = (name: string): Cls => {
    const { name: known } = classOf(deployment, name);
    return makeCls({ appName: app, name: known, local: null, deployment, choice: client });
  };
  const exported = Object.values(deployment.manifest.classes).map(({ name, exportName }) => [
    exportName === '' ? name : exportName,
    cls(name),
  ]);
  return { ...Object.fromEntries(exported), appName: app, cls: cls as <C extends Class>(name: string) => Cls<C> };
}
