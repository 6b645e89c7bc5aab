import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { LiveNames } from '../../common/live/live-names.js';
import type * as proto from '../../wire/gen/holdfast/v1/router.js';
import type { RouterParts } from '../router-parts.js';
import type { Request } from '../service/request.js';
import { unaryHandler } from '../service/rpc.js';
import { listLive, listLiveNames, readLive, removeLive, writeLive } from './live-requests.js';
import { checkedTtl } from './volumes.js';

/** Network file systems are data of the account, as volumes are. */
export function liveHandlers(parts: RouterParts): UntypedServiceImplementation {
  const names = ({ account }: Request): LiveNames => new LiveNames({ ...parts, store: parts.store.live }, account);
  return {
    makeLive: unaryHandler(parts, {
      name: 'MakeLive',
      role: 'call',
      run: async ({ name, ttlMs }: proto.MakeLiveRequest, request) => {
        const { id } = await names(request).make(name, ttlMs === 0 ? null : checkedTtl(ttlMs));
        return { id };
      },
    }),
    extendLive: unaryHandler(parts, {
      name: 'ExtendLive',
      role: 'call',
      run: async ({ name, id, ttlMs }: proto.ExtendLiveRequest, request) => ({
        extended: await names(request).extend(name, id, checkedTtl(ttlMs)),
      }),
    }),
    deleteLive: unaryHandler(parts, {
      name: 'DeleteLive',
      role: 'call',
      run: async ({ name, id }: proto.DeleteLiveRequest, request) => ({
        deleted: await names(request).delete(name, id),
      }),
    }),
    listLiveNames: unaryHandler(parts, {
      name: 'ListLiveNames',
      role: 'read',
      run: (_ask: unknown, request) => listLiveNames(names(request)),
    }),
    listLive: unaryHandler(parts, {
      name: 'ListLive',
      role: 'read',
      run: (ask: proto.ListLiveRequest, request) => listLive(names(request), ask),
    }),
    readLive: unaryHandler(parts, {
      name: 'ReadLive',
      role: 'read',
      run: (ask: proto.ReadLiveRequest, request) => readLive(names(request), ask),
    }),
    writeLive: unaryHandler(parts, {
      name: 'WriteLive',
      role: 'call',
      run: (ask: proto.WriteLiveRequest, request) => writeLive(names(request), ask),
    }),
    removeLive: unaryHandler(parts, {
      name: 'RemoveLive',
      role: 'call',
      run: (ask: proto.RemoveLiveRequest, request) => removeLive(names(request), ask),
    }),
  };
}
