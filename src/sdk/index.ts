// First: classes of the user's need it while they are defined.
import './classes/metadata.js';

export type { ExitReason } from '../common/activation.js';
export type { BatchOptions } from '../common/batches.js';
export type { Logger } from '../common/context.js';
export { type ErrorCode, HoldfastError, isHoldfastError, type Outcome } from '../common/errors.js';
export type { FunctionOptions } from '../common/function-options.js';
export type { ImageReference } from '../common/image.js';
export type { BuildEvent } from '../common/image-build.js';
export type { AlarmCall, InstanceAlarm } from '../common/instance-alarm.js';
export type { InstanceStorage, StorageBatch, StorageListOptions } from '../common/instance-storage.js';
export type { Isolation, OnLoss } from '../common/manifest.js';
export type {
  ClsOptions,
  MethodOptions,
  OfferFilters,
  PlacementOptions,
  ResourceOptions,
  Retries,
} from '../common/options.js';
export type { SandboxOptions } from '../common/sandbox-options.js';
export type { SecretReference } from '../common/secret.js';
export type { NetworkPolicy, SessionOptions } from '../common/session-options.js';
export type { Mountable, MountOptions, VolumeBackend, VolumesOption } from '../common/volume-mounts.js';
export { App, type AppOptions } from './app.js';
export type { CallLimits } from './calls/call-limits.js';
export { FunctionCall, type FunctionCallExplanation, type FunctionCallStatus } from './calls/function-call.js';
export { BoundCls } from './classes/bound-cls.js';
export type {
  Args,
  Batch,
  CallOptions,
  Class,
  ClassInstance,
  InstanceControls,
  LocalClassInstance,
  Methods,
  Prefix,
  RemoteApp,
  RemoteGenerator,
  RemoteMethod,
  Rest,
  Stub,
} from './classes/class-types.js';
export { Cls } from './classes/cls.js';
export { type CurrentContext, currentContext } from './classes/current-context.js';
export { alarm, enter, exit, method } from './classes/decorators.js';
export { Client, type ClientOptions } from './client.js';
export type { CallChoice } from './client-choice.js';
export type { AnyFunction, MapOptions, RemoteFunction } from './functions/function-types.js';
export type { ImageProgress } from './images/deploy-images.js';
export { Image } from './images/image.js';
export type {
  ClassInfo,
  ClassInstanceHandle,
  ClientChoice,
  CloseOptions,
  CloseResult,
  Deployment,
  DeployOptions,
  Explanation,
  HandleInput,
  InstanceInfo,
  MethodInfo,
  ParameterInfo,
  PoolInfo,
  WorkerInfo,
} from './infos.js';
export type { TransferOptions, WriteOptions } from './sandbox/files.js';
export type { ForkOptions } from './sandbox/fork.js';
export type { Forwarding } from './sandbox/forward.js';
export { Sandbox } from './sandbox/sandbox.js';
export { SandboxProcess } from './sandbox/sandbox-process.js';
export { SandboxSession } from './sandbox/sandbox-session.js';
export type {
  Bytes,
  ExecOptions,
  FileChange,
  FileStat,
  SandboxExecResult,
  SandboxHandle,
  SandboxInfo,
  SandboxSessionInfo,
  SandboxStreamEvent,
  SpawnOptions,
} from './sandbox/types.js';
export { Secret } from './secret.js';
export type { ArchiveSource } from './volumes/archive.js';
export { CloudBucketMount, type CloudBucketMountOptions } from './volumes/cloud-bucket-mount.js';
export { NetworkFileSystem } from './volumes/network-file-system.js';
export type { StorageMount } from './volumes/storage-mount.js';
export type { LocalFile } from './volumes/upload-files.js';
export { Volume } from './volumes/volume.js';
export type { MountCommitOptions, VolumeChange, VolumeCommit, VolumeCreateOptions } from './volumes/volume-infos.js';
