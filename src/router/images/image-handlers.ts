import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type * as proto from '../../wire/gen/holdfast/v1/router.js';
import type { RouterParts } from '../router-parts.js';
import { unaryHandler } from '../service/rpc.js';
import { listImages, sweepAccountImages } from './account-images.js';

/** Images of the account: which there are, and what nothing needs any more. */
export function imageHandlers(parts: RouterParts): UntypedServiceImplementation {
  return {
    listImages: unaryHandler(parts, {
      name: 'ListImages',
      role: 'read',
      run: (_ask: unknown, { account }) => listImages(parts, account),
    }),
    sweepImages: unaryHandler(parts, {
      name: 'SweepImages',
      role: 'deploy',
      run: ({ keepForMs }: proto.SweepImagesRequest, { account }) => sweepAccountImages(parts, account, keepForMs),
    }),
  };
}
