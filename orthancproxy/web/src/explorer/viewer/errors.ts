/** Why an image is not shown. */

/** A file that cannot be fetched. */
export class FileError extends Error {
  constructor(readonly status: number) {
    super(`The file was answered with the status ${status}.`);
  }
}

/** A file whose image cannot be shown: its format is not supported, or it is broken. */
export class ImageError extends Error {}

/** Images that cannot be put together, although their positions are those of a volume. */
export class VolumeError extends Error {}

/** The graphics processor draws no more. */
export class GraphicsError extends Error {}
