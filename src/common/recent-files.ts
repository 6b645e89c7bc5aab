/**
 * Names of what a host may have files of, as workers tell routers and `explain` shows them: an image by the beginning of its id,
 * a volume of the object store by its name. A hint and never authority: what is missing is fetched.
 */
export function filesOf({
  images = [],
  volumes = [],
}: {
  readonly images?: readonly string[];
  readonly volumes?: readonly string[];
}): readonly string[] {
  const ofImages = images.map((id) => `image ${id.slice(0, shownIdChars)}`);
  return [...ofImages, ...volumes.map((name) => `volume ${name}`)];
}

const shownIdChars = 12;
