/** Windows: the width and centre of the values that are shown between black and white (PS3.3 C.11.2). */

export interface Window {
  width: number;
  center: number;
}

export type PresetName =
  | 'brain'
  | 'stroke'
  | 'subdural'
  | 'softTissue'
  | 'lung'
  | 'mediastinum'
  | 'liver'
  | 'bone'
  | 'angiography';

export interface Preset extends Window {
  name: PresetName;
}

// In Hounsfield units: other modalities have no values that mean the same in each file.
const CT: readonly Preset[] = [
  { name: 'softTissue', width: 400, center: 40 },
  { name: 'lung', width: 1500, center: -600 },
  { name: 'mediastinum', width: 350, center: 50 },
  { name: 'bone', width: 2000, center: 400 },
  { name: 'brain', width: 80, center: 40 },
  { name: 'stroke', width: 40, center: 40 },
  { name: 'subdural', width: 250, center: 75 },
  { name: 'liver', width: 150, center: 60 },
  { name: 'angiography', width: 600, center: 300 },
];

export function presetsOf(modality: string | null | undefined): readonly Preset[] {
  return modality === 'CT' ? CT : [];
}

export interface FileWindow extends Window {
  /** WindowCenterWidthExplanation (0028,1055). */
  explanation: string | null;
}

function listed<T>(value: T | readonly T[] | null | undefined): readonly T[] {
  if (value === null || value === undefined) return [];
  return Array.isArray(value) ? value : [value as T];
}

/** Return the windows of a file, without those that are not numbers or have no width. */
export function fileWindows(
  centers: number | readonly number[] | null | undefined,
  widths: number | readonly number[] | null | undefined,
  explanations?: string | readonly string[] | null,
): FileWindow[] {
  const allWidths = listed(widths);
  const texts = listed(explanations);
  return listed(centers).flatMap((center, index) => {
    const width = allWidths[index];
    if (!Number.isFinite(center) || !Number.isFinite(width) || !width || width < 1) return [];
    return [{ center, width, explanation: texts[index]?.trim() || null }];
  });
}

/** A window that is offered: of the file, which may explain it, or of the modality, by its name. */
export interface NamedWindow extends FileWindow {
  name: PresetName | null;
}

/** Return the windows that are offered for an image: those of its file, then those of its modality. */
export function windowsOf(ofFile: readonly FileWindow[], modality: string | null | undefined): NamedWindow[] {
  return [
    ...ofFile.map((one) => ({ ...one, name: null })),
    ...presetsOf(modality).map((one) => ({ ...one, explanation: null })),
  ];
}
