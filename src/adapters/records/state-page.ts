/** A page of durable state ends after so many entries, or after the one with which it has so many bytes. */
export const mostPerPage = 1_024;
export const pageBytes = 1_048_576;
