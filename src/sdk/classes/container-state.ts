/** What this process is: a program of the user's, a container, or the child that describes a bundle. */
type Place = 'program' | 'container' | 'describing';

let place: Place = 'program';

export function enterContainer(): void {
  place = 'container';
}

export function enterDescribing(): void {
  place = 'describing';
}

export function currentPlace(): Place {
  return place;
}
