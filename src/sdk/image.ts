import { inspect } from 'node:util';
import { checkedImageId, type ImageReference } from '../common/image.js';

/** Files that sandboxes start with: what `session.snapshot()` took, for `image` of `app.sandbox`. */
export class Image implements ImageReference {
  /** The same files in the same layers have the same one. */
  readonly id: string;

  private constructor(id: string) {
    this.id = id;
  }

  /** One that was made before, in this account. Nothing is looked up before a session starts. @throws InvalidArgument */
  static fromId(id: string): Image {
    return new Image(checkedImageId(id));
  }

  [inspect.custom](): string {
    return `Image ${this.id}`;
  }
}
