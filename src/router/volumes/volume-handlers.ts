import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type * as proto from '../../wire/gen/holdfast/v1/router.js';
import type { RouterParts } from '../router-parts.js';
import { requireRole } from '../service/auth.js';
import { downloadHandler, unaryHandler, uploadHandler } from '../service/rpc.js';
import { findObjects, hold, publishCommit, reserveObjects } from './commits.js';
import { liveHandlers } from './live-handlers.js';
import { giveObject, objectTaker, signObjects } from './objects.js';
import { defaultRetention, sweepAccount } from './sweep.js';
import { createVolume, deleteVolume, extendVolume, findVolume, listCommits, listVolumes } from './volumes.js';

/** Volumes are data of the account: who may call instances may also read, write and delete them. */
export function volumeHandlers(parts: RouterParts): UntypedServiceImplementation {
  return { ...nameHandlers(parts), ...commitHandlers(parts), ...objectHandlers(parts), ...liveHandlers(parts) };
}

function nameHandlers(parts: RouterParts): UntypedServiceImplementation {
  return {
    createVolume: unaryHandler(parts, {
      name: 'CreateVolume',
      role: 'call',
      run: (ask: proto.CreateVolumeRequest, request) => createVolume(parts, ask, request),
    }),
    findVolume: unaryHandler(parts, {
      name: 'FindVolume',
      role: 'read',
      run: ({ name }: proto.FindVolumeRequest, request) => findVolume(parts, name, request),
    }),
    listVolumes: unaryHandler(parts, {
      name: 'ListVolumes',
      role: 'read',
      run: (_ask: unknown, request) => listVolumes(parts, request),
    }),
    deleteVolume: unaryHandler(parts, {
      name: 'DeleteVolume',
      role: 'call',
      run: (ask: proto.DeleteVolumeRequest, request) => deleteVolume(parts, ask, request),
    }),
    extendVolume: unaryHandler(parts, {
      name: 'ExtendVolume',
      role: 'call',
      run: (ask: proto.ExtendVolumeRequest, request) => extendVolume(parts, ask, request),
    }),
    sweepVolumes: unaryHandler(parts, {
      name: 'SweepVolumes',
      role: 'deploy',
      run: ({ keepCommits, keepForMs }: proto.SweepVolumesRequest, { account }) => {
        const retention = keepCommits > 0 ? { keepCommits, keepForMs } : defaultRetention;
        return sweepAccount(parts, account, retention);
      },
    }),
  };
}

function commitHandlers(parts: RouterParts): UntypedServiceImplementation {
  return {
    listCommits: unaryHandler(parts, {
      name: 'ListCommits',
      role: 'read',
      run: (ask: proto.ListCommitsRequest, request) => listCommits(parts, ask, request),
    }),
    // Who reads an old commit keeps it.
    hold: unaryHandler(parts, {
      name: 'Hold',
      role: 'read',
      run: (ask: proto.HoldRequest, request) => hold(parts, ask, request),
    }),
    reserveObjects: unaryHandler(parts, {
      name: 'ReserveObjects',
      role: 'call',
      run: (ask: proto.ReserveObjectsRequest, request) => reserveObjects(parts, ask, request),
    }),
    publishCommit: unaryHandler(parts, {
      name: 'PublishCommit',
      role: 'call',
      run: (ask: proto.PublishCommitRequest, request) => publishCommit(parts, ask, request),
    }),
  };
}

function objectHandlers(parts: RouterParts): UntypedServiceImplementation {
  return {
    findObjects: unaryHandler(parts, {
      name: 'FindObjects',
      role: 'call',
      run: (ask: proto.FindObjectsRequest, request) => findObjects(parts, ask, request),
    }),
    signObjects: unaryHandler(parts, {
      name: 'SignObjects',
      role: 'read',
      run: (ask: proto.SignObjectsRequest, request) => {
        if (ask.for === 'put') requireRole(request, 'call', 'SignObjects for put');
        return signObjects(parts, ask, request);
      },
    }),
    putObject: uploadHandler(parts, { name: 'PutObject', role: 'call', run: objectTaker(parts) }),
    getObject: downloadHandler(parts, {
      name: 'GetObject',
      role: 'read',
      run: (ask: proto.GetObjectRequest, request) => giveObject(parts, ask, request),
    }),
  };
}
