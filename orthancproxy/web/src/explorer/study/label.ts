/** What Orthanc takes as a label. */
const LABEL = /^[0-9A-Za-z_-]{1,64}$/;

export function isLabel(text: string): boolean {
  return LABEL.test(text);
}

/** Labels that are not there yet, of those that the archive has. */
export function suggestions(known: readonly string[], present: readonly string[]): string[] {
  return known.filter((label) => !present.includes(label));
}
