/** Modalities (PS3.3 section C.7.3.1.1.1) whose instances have no image. */
const WITHOUT_IMAGES = new Set(
  'AR ASMT AU DOC ECG EPS HD IOL KER KO LEN OAM PLAN PR PPG REG RTPLAN RTRECORD RTSTRUCT RWV SR SRF STAIN TEXTUREMAP'.split(
    ' ',
  ),
);

/** Whether the instances of a modality have images; so it is assumed of those without one. */
export function hasImages(modality: string | null | undefined): boolean {
  return !modality || !WITHOUT_IMAGES.has(modality);
}
